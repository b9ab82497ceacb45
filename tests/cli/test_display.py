"""What a command shows while it works: live on a real terminal, lines in a log, nothing on standard output."""

import os
import pty
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nitido.base.activity import activity, announced
from nitido.cli import display
from tests.cli.conftest import COMMAND, write_tiny_study


def on_a_terminal(arguments: list[str], folder: Path, environment: dict[str, str]) -> tuple[int, str]:
    """Run the command in a folder, on a terminal of its own; returns the exit code and all that it wrote there."""
    primary, secondary = pty.openpty()
    environment = environment | {"TERM": "xterm-256color"}
    process = subprocess.Popen(
        [*COMMAND, *arguments], stdin=secondary, stdout=secondary, stderr=secondary, cwd=folder, env=environment
    )
    os.close(secondary)
    written = b"".join(_until_closed(primary))
    return process.wait(), written.decode()


def _until_closed(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            content = os.read(terminal, 1 << 16)
        except OSError:  # Linux: the other end was closed
            os.close(terminal)
            return
        yield content


def test_a_study_on_a_terminal_shows_runs_remaining_time_and_the_ranking_so_far(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    file = write_tiny_study(tmp_path)
    code, shown = on_a_terminal(["study", "run", str(file), "--out", "out"], tmp_path, environment)
    assert code == 0, shown
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert "loading PyTorch" in plain
    assert "study: 0 of 2 runs" in plain
    assert "study: 1 of 2 runs" in plain
    assert re.search(r"about \d+ s left", plain)
    assert re.search(r"So far, by validation.*plain +│ +1/1", plain, re.DOTALL)
    assert "writing the report" in plain
    assert plain.rstrip().endswith("report.html")
    assert "\x1b[?25h" in shown[shown.rindex("\x1b[?25l") :], "the cursor is shown again"


def test_a_log_gets_a_line_for_long_activities_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(display, "LOGGED_AFTER", 0.2)
    monkeypatch.setattr(display, "LOGGED_EVERY", 0.2)
    with display.Display().for_command():
        with activity("quick"):
            pass
        with activity("writing the report"):
            for _ in announced(range(3), "measuring [bold]\x1b"):
                time.sleep(0.25)
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert {re.sub(r"\d of", "n of", line) for line in lines} == {r"measuring [bold]\x1b: n of 3"}
