"""Programs that a run can do without (Graphviz, a compiler, git) may fail or hang: the run finishes and reports it."""

import os
from pathlib import Path
from typing import Any

import pytest

from nitido.inspection import detailed_graph
from nitido.kernels import compiler
from nitido.study import environment as study_environment
from nitido.study import execute
from tests.cli.test_fast_path import command
from tests.forked import ForkServer, server


@pytest.mark.parametrize("error", [ValueError("a\nb"), RuntimeError(), OSError(28, "No space left on device", "f")])
def test_an_image_that_cannot_be_drawn_is_one_line(capsys: pytest.CaptureFixture[str], error: Exception) -> None:
    def draw() -> None:
        raise error

    execute._attempt("the diagram", draw)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("note: the diagram was not drawn: ")


def impatient(args: list[str]) -> dict[str, Any]:
    """Run the command line in this process, with programs that have a second."""
    for module, name in (
        (detailed_graph, "DOT_SECONDS"),
        (compiler, "TRIAL_SECONDS"),
        (study_environment, "GIT_SECONDS"),
    ):
        assert getattr(module, name) > 1
        setattr(module, name, 1.0)
    return server.command(args, None)


@pytest.mark.parametrize("text", ["sleep 1000", "echo garbage", "echo broken >&2; exit 1"])
def test_a_training_finishes_though_every_program_fails(
    fork_server: ForkServer, environment: dict[str, str], tmp_path: Path, text: str
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    for program in ("dot", "git", "g++", "uname", "gcc"):
        (folder / program).write_text(f"#!/bin/sh\n{text}\n")
        (folder / program).chmod(0o755)
    changed = environment | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    arguments = {"args": list(map(str, command(tmp_path, "compile=auto")))}
    done = fork_server.call(f"{__name__}:impatient", arguments, cwd=tmp_path, environment=changed)
    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    drawn, machine = ([line for line in done.err.splitlines() if word in line] for word in ("not drawn", "machine: "))
    assert len(drawn) == 1
    assert drawn[0].startswith("note: the detailed graph was not drawn: Graphviz (")
    assert "no working C++ compiler (g++: " in machine[0]
    assert (tmp_path / "out" / "model.safetensors").exists()
    assert (tmp_path / "out" / "model.svg").exists()
