"""Tests that every step occurs once in TensorBoard files despite interruptions."""

import json
import pickle
import time
from collections import Counter
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from nitido.data import Store
from nitido.training.callbacks import TrainingInterruptedError
from nitido.training.event_files import rewind_events
from nitido.training.hyperparameters import Hyperparameters
from tests.forked import ForkServer
from tests.training.small_runs import train_on
from tests.training.test_train import OPTIONS, fresh_network, press_ctrl_c_at
from tests.training.traces import lines


def run(store: Store, directory: Path, listener=lambda step, psnr: None) -> None:
    train_on(store, directory, fresh_network(), Hyperparameters.parse(OPTIONS, "test"), listener)


def content(directory: Path) -> dict[str, list[int]]:
    """The steps of everything that TensorBoard reads in `directory`, with nothing purged."""
    events = EventAccumulator(str(directory), size_guidance=dict.fromkeys(["images", "histograms", "scalars"], 0))
    events.purge_orphaned_data = False
    events.Reload()
    tags = events.Tags()
    steps = {tag: [event.step for event in events.Scalars(tag)] for tag in tags["scalars"]}
    steps |= {tag: [event.step for event in events.Images(tag)] for tag in tags["images"]}
    steps |= {tag: [event.step for event in events.Histograms(tag)] for tag in tags["histograms"]}
    assert ("_hparams_/experiment" in events.summary_metadata) == (directory / "ended").exists()
    return steps


@pytest.fixture(scope="module")
def whole(small_store: Store, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[int]]:
    directory = tmp_path_factory.mktemp("whole")
    run(small_store, directory)
    (directory / "ended").touch()
    return content(directory)


def test_every_step_occurs_once(whole: dict[str, list[int]]) -> None:
    assert whole["loss/l1"] == [0, 3, 6, 9]
    assert whole["validation/psnr_y"] == [4, 8, 12]
    assert whole["truth, bicubic, network"] == [4, 8, 12]
    for tag, steps in whole.items():
        assert max(Counter(steps).values()) == 1, tag


@pytest.mark.parametrize("step", [1, 4, 6, 8, 11])
def test_an_interrupted_and_resumed_run_has_all_events(
    small_store: Store, whole: dict[str, list[int]], tmp_path: Path, step: int
) -> None:
    with pytest.raises(TrainingInterruptedError):
        run(small_store, tmp_path, press_ctrl_c_at(step))
    run(small_store, tmp_path)
    (tmp_path / "ended").touch()
    assert content(tmp_path) == whole


KILLED = """
import json, os, pickle, sys
from pathlib import Path
from nitido.training.hyperparameters import Hyperparameters
from tests.training.small_runs import network, train_on

directory, store, step, when, options = sys.argv[1:]

def die(done, psnr):
    if done == int(step) and (psnr is not None) == (when == "validated"):
        os._exit(9)

store = pickle.loads(Path(store).read_bytes())
train_on(store, Path(directory), network(), Hyperparameters.parse(json.loads(options), "test"), die)
"""


@pytest.mark.parametrize(("step", "when"), [(3, "trained"), (4, "validated"), (7, "trained"), (11, "trained")])
def test_a_killed_and_resumed_run_has_all_events(
    fork_server: ForkServer, small_store: Store, whole: dict[str, list[int]], tmp_path: Path, step: int, when: str
) -> None:
    """The process is killed, so events in the queue of TensorBoard's thread are lost."""
    (tmp_path / "store").write_bytes(pickle.dumps(small_store))
    arguments = [tmp_path / "run", tmp_path / "store", step, when, json.dumps(OPTIONS)]
    killed = fork_server.python(KILLED, *arguments, cwd=tmp_path)
    assert killed.code == 9, killed
    time.sleep(1)  # names of event files have seconds: one that starts in the same second may sort before the other
    run(small_store, tmp_path / "run")
    (tmp_path / "run" / "ended").touch()
    assert content(tmp_path / "run") == whole
    assert len(lines(tmp_path / "run")) == len(whole["loss/l1"]) + len(whole["validation/psnr_y"])


def test_events_after_damage_are_dropped(small_store: Store, tmp_path: Path) -> None:
    run(small_store, tmp_path)
    file = max(tmp_path.glob("events.out.tfevents.*"), key=lambda path: path.stat().st_size)
    whole = file.read_bytes()
    for damaged in (whole[:-5], whole[: len(whole) // 2], whole[:4], b"", b"x" * 999, whole[:600] + b"?" + whole[601:]):
        file.write_bytes(damaged)
        rewind_events(tmp_path, 12)
        if file.exists():
            assert content(tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".nitido-draft")]
