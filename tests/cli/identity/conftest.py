"""A finished study, a killed one, and copies of them."""

import copy
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.conftest import Done
from tests.cli.identity.study import LONG, PLAIN, RESIDUAL, STUDY, image
from tests.forked import Ended, ForkServer

Nitido = Callable[..., Done]
Start = Callable[..., Ended]
SIGNALLED = "tests.cli.identity.study:signalled"


@pytest.fixture(scope="session")
def start(fork_server: ForkServer, environment: dict[str, str]) -> Start:
    """Return a function that runs `study run` in a folder, as a process of its own."""

    def start(folder: Path, *args: object, **variables: str) -> Ended:
        command = ("study", "run", "small.yaml", "--out", "out", *args)
        return fork_server.nitido(*command, cwd=folder, environment=environment | variables, timeout=240)

    return start


@pytest.fixture(scope="session")
def stop(fork_server: ForkServer, environment: dict[str, str]) -> Start:
    """Return a function that does the same with arguments of `signalled`."""

    def stop(folder: Path, *args: object, **arguments: Any) -> Ended:
        arguments["args"] = ["study", "run", "small.yaml", "--out", "out", *map(str, args)]
        return fork_server.call(SIGNALLED, arguments, cwd=folder, environment=environment, timeout=240)

    return stop


@pytest.fixture(scope="session")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images and a study."""
    folder = tmp_path_factory.mktemp("study")
    for number, name in enumerate(["train/a", "train/b", "validation/c", "test/d", "test/e"]):
        image(folder / f"{name}.png", number)
    (folder / "small.yaml").write_text(yaml.safe_dump(STUDY))
    return folder


@pytest.fixture(scope="session")
def finished(begun: Path, start: Start, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with the study run, in `out`."""
    folder = tmp_path_factory.mktemp("finished")
    shutil.copytree(begun, folder, dirs_exist_ok=True)
    ended = start(folder)
    assert ended.code == 0, ended
    return folder


@pytest.fixture
def images(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished study, in the working directory."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def study() -> dict[str, Any]:
    """The study file's content, to be changed."""
    return copy.deepcopy(STUDY)


@pytest.fixture
def run(call: Nitido, images: Path, study: dict[str, Any]) -> Nitido:
    """`study run` of the study as it is now."""

    def again(*args: object, out: str = "out") -> Done:
        (images / "small.yaml").write_text(yaml.safe_dump(study))
        return call("study", "run", "small.yaml", "--out", images / out, *args)

    return again


@pytest.fixture(scope="session")
def finished_seeds(begun: Path, start: Start, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of `plain` with three seeds."""
    folder = tmp_path_factory.mktemp("seeds")
    shutil.copytree(begun, folder, dirs_exist_ok=True)
    ended = start(folder, "--set", "variants=plain", "--set", "seeds=0,1,2")
    assert ended.code == 0, ended
    return folder / "out"


@pytest.fixture
def seeds(finished_seeds: Path, images: Path) -> list[Path]:
    """A study of `plain` with three seeds in `seeds`: the directories of its runs."""
    shutil.copytree(finished_seeds, images / "seeds")
    return [images / "seeds" / PLAIN.with_name(f"seed={seed}") for seed in (0, 1, 2)]


@pytest.fixture(scope="session")
def killed(begun: Path, start: Start, stop: Start, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A long study whole in `whole`, and killed after a few validations in `out`."""
    folder = tmp_path_factory.mktemp("killed")
    shutil.copytree(begun, folder, dirs_exist_ok=True)
    ended = start(folder, *LONG)
    assert ended.code == 0, ended
    (folder / "out").rename(folder / "whole")
    ended = stop(folder, *LONG, number=signal.SIGKILL, step=23)
    assert ended.code == -signal.SIGKILL, ended
    assert (folder / "out" / RESIDUAL / "checkpoints" / "last.ckpt").exists()
    assert not (folder / "out" / RESIDUAL / "model.safetensors").exists()
    return folder


@pytest.fixture
def interrupted(killed: Path, tmp_path: Path) -> Path:
    """The killed run's directory, in a copy of its study."""
    shutil.copytree(killed, tmp_path, dirs_exist_ok=True)
    return tmp_path / "out" / RESIDUAL
