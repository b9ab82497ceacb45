"""Tables on terminals of every width."""

import os
import pty
import subprocess
from pathlib import Path

import pytest

from nitido.cli.console import print_table
from tests.cli.conftest import COMMAND

HEADER = ["name", "images", "kept in", "terms", "what"]
LINES = [
    ["a-name-of-some-length", "12", "inside the installed package", "free", "images of many kinds (2012), chosen"],
    ["[final] [/old] :cat:", "1,234", "$NITIDO_DATA/set14/", "none stated (academic)", ""],
    ["b\x1b[2J\n\u202e", "5", "", "", "超解像度のテスト画像 超解像度のテスト画像"],
]


@pytest.mark.parametrize("columns", [20, 30, 40, 60, 80, 100, 120, 160])
def test_no_word_is_broken_at_any_width(columns: int, monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    print_table("", HEADER, LINES)
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= max(columns, 4 + len("a-name-of-some-length"))
    cells = [cell for line in LINES[:2] for cell in line] + [r"b\x1b[2J\n\u202e"]
    for word in " ".join(cells).split():
        assert word in shown.split(), (word, shown)
    assert "\x1b" not in shown


def test_a_table_stays_a_table_where_it_fits(monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    print_table("the title", ["name", "value"], [["a", "1"], ["b", "22"]])
    shown = capsys.readouterr().out
    assert "the title\n" in shown
    assert "│ b    │    22 │" in shown


def test_a_piped_table_is_as_wide_as_it_needs(monkeypatch, capsys) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    long = "x" * 500
    print_table("", ["name", "value"], [[long, f"some words and {long}"]])
    assert f"│ {long} │ some words and {long} │" in capsys.readouterr().out


def test_an_empty_table_has_its_header(monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    print_table("", ["name", "value"], [])
    assert "name" in capsys.readouterr().out


@pytest.mark.parametrize("columns", [40, 80])
def test_the_terminal_says_how_wide_it_is(columns: int, environment: dict[str, str], tmp_path: Path) -> None:
    import fcntl
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    free = {name: value for name, value in environment.items() if name != "COLUMNS"} | {"TERM": "dumb"}
    process = subprocess.Popen([*COMMAND, "model", "list"], stdout=theirs, stderr=theirs, env=free, cwd=tmp_path)
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:  # how Linux tells that the other end was closed
        pass
    os.close(ours)
    assert process.wait() == 0
    lines = shown.decode().replace("\r", "").splitlines()
    assert max(map(len, lines)) <= columns
    assert any("srresnet-x4" in line for line in lines)
