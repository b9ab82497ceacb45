"""Tests the line about the machine that training prints, and training without a compiler or bfloat16."""

import json
import os
from pathlib import Path

import pytest

from tests.cli.conftest import Done
from tests.forked.images import SPLITS, make_images
from tests.programs import require_compiler

TINY = ["steps=4", "batch=2", "patch=12", "validate_every=4"]


def command(folder: Path, *settings: str) -> list[object]:
    """The command of a tiny training into `out` in the folder, and its images beside it."""
    make_images(folder / "images")
    sets = [f"data.{split}={folder / 'images' / split}" for split in SPLITS]
    words = [word for setting in [*TINY, *sets, *settings] for word in ("--set", setting)]
    return ["train", "srcnn", "--variant", "debug", *words, "--out", folder / "out"]


def machine_lines(done: Done) -> list[str]:
    return [line for line in done.err.splitlines() if line.startswith("machine: ")]


def test_a_compiled_training_describes_the_machine_without_messages_of_pytorch(
    nitido, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    require_compiler()
    # If CUDA is installed but there is no such device, PyTorch would report it while it compiles.
    monkeypatch.setitem(environment, "CUDA_HOME", "/usr/local")
    monkeypatch.setitem(environment, "CUDA_VISIBLE_DEVICES", "")
    done = nitido(*command(tmp_path, "compile=true"))
    assert done.code == 0, done.err
    first, *others = done.err.splitlines()
    assert [first] == machine_lines(done)
    assert first.endswith("; C++ compiler found")
    assert {others[0].split()[0], others[-1].split()[0]} == {"[1/1]", "debug"}
    assert json.loads((tmp_path / "out" / "fast_path.json").read_text())["compiled"] is True


def test_a_study_reports_once_what_the_machine_lacks(
    nitido, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tiny_study: Path, tmp_path: Path
) -> None:
    monkeypatch.setitem(environment, "CXX", "no-such-compiler")
    monkeypatch.setitem(environment, "OMP_NUM_THREADS", "1")
    done = nitido("study", "run", tiny_study, "--set", "precision=float32", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    (line,) = machine_lines(done)
    assert line == done.err.splitlines()[0]
    assert line.startswith("machine: 1 thread; ")
    assert line.endswith("; no C++ compiler: steps are not compiled")
    files = sorted((tmp_path / "out").rglob("fast_path.json"))
    assert len(files) == 2, "one a run"
    for file in files:
        chosen = json.loads(file.read_text())
        assert (chosen["precision"], chosen["compiled"]) == ("float32", False)
        assert chosen["reason"] == "no C++ compiler (no-such-compiler) on this machine"


def test_compiling_where_nothing_compiles_is_one_line(call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    refused = call(*command(tmp_path, "compile=true"))
    assert refused.code == 1
    assert "compile=true, but there is no C++ compiler (no-such-compiler): install one" in refused.error_line


@pytest.mark.parametrize("words", [("train",), ("study", "run")])
def test_help_loads_no_pytorch(
    nitido_process, words: tuple[str, ...], environment: dict[str, str], tmp_path: Path
) -> None:
    # A module of PyTorch's name that cannot be imported stands before the real one.
    (tmp_path / "fake" / "torch").mkdir(parents=True)
    (tmp_path / "fake" / "torch" / "__init__.py").write_text("raise ImportError('PyTorch was loaded')")
    path = os.pathsep.join([str(tmp_path / "fake"), environment.get("PYTHONPATH", "")])
    done = nitido_process(*words, "--help", env=environment | {"PYTHONPATH": path})
    assert done.code == 0, done.err
    assert "Example:" in done.out
