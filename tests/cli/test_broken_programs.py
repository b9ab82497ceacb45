"""Programs that a run can do without (Graphviz, a compiler, git) may fail or hang: the run finishes and says so."""

import os
from pathlib import Path

import pytest

from nitido.study import execute
from tests.cli.test_fast_path import command


@pytest.mark.parametrize("error", [ValueError("a\nb"), RuntimeError(), OSError(28, "No space left on device", "f")])
def test_an_image_that_cannot_be_drawn_is_one_line(capsys: pytest.CaptureFixture[str], error: Exception) -> None:
    def draw() -> None:
        raise error

    execute._attempt("the diagram", draw)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("note: the diagram was not drawn: ")


@pytest.mark.parametrize("text", ["sleep 1000", "echo garbage", "echo broken >&2; exit 1"])
def test_a_training_finishes_though_every_program_fails(
    nitido, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    for program in ("dot", "git", "g++", "uname", "gcc"):
        (folder / program).write_text(f"#!/bin/sh\n{text}\n")
        (folder / program).chmod(0o755)
    monkeypatch.setitem(environment, "PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    done = nitido(*command(tmp_path / "out", "compile=auto"))
    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    drawn, machine = ([line for line in done.err.splitlines() if word in line] for word in ("not drawn", "machine: "))
    assert len(drawn) == 1
    assert drawn[0].startswith("note: the detailed graph was not drawn: Graphviz (")
    assert "no working C++ compiler (g++: " in machine[0]
    assert (tmp_path / "out" / "model.safetensors").exists()
    assert (tmp_path / "out" / "model.svg").exists()
