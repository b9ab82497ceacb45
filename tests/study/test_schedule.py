"""A schedule hands over what is ready, in order, and follows what others train."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from nitido.study.executors import ProcessEnd
from nitido.study.plan import PlannedRun
from nitido.study.resolve import resolve
from nitido.study.review import Review
from nitido.study.run import Opened, Outcome, run_study
from nitido.study.run_directory import RunDirectory, Status
from nitido.study.spec import load_study_file
from nitido.study.task import Task, resume_run
from nitido.training.callbacks import ProgressListener
from tests.forked.images import make_images

OPTIONS = {
    "steps": 2,
    "validate_every": 2,
    "batch": 1,
    "patch": 8,
    "compile": False,
    "precision": "float32",
    "log_every": 1,
}


class InThisProcess:
    """An executor that trains each run when it is handed over; `killed` are the variants whose process dies."""

    outlives_study = False

    def __init__(self, slots: int | None, killed: Sequence[str] = ()) -> None:
        self.slots = slots
        self.killed = killed
        self.batches: list[list[str]] = []
        self._ends: list[ProcessEnd] = []

    def submit(self, directories: Sequence[Path]) -> None:
        self.batches.append([directory.parts[-3] for directory in directories])
        for directory in directories:
            assert status(directory).state == "planned"
            if directory.parts[-3] in self.killed:
                self._ends.append(ProcessEnd(directory, "its process was ended by SIGKILL"))
                continue
            resume_run(directory, lambda steps: lambda step, validation: None)
            self._ends.append(ProcessEnd(directory))

    def follow(self, directory: Path) -> bool:
        return False

    def ended(self) -> list[ProcessEnd]:
        ends, self._ends = self._ends, []
        return ends

    def stop(self) -> None:
        raise AssertionError("nobody interrupted")

    def close(self) -> None:
        self.closed = True


class Silent:
    """Receives the progress of a study."""

    def reviewed(self, review: Review) -> None: ...

    def planned(self, runs: object, works: object) -> None: ...

    def started(self, run: PlannedRun, number: int, runs: int, steps: int) -> ProgressListener:
        return lambda step, validation: None

    def ended(self, run: PlannedRun, status: Status) -> None: ...


def status(directory: Path) -> Status:
    found = RunDirectory(directory).read_status()
    assert found is not None
    return found


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study of which `second` starts from `first`, and comes before it in the file."""
    make_images(tmp_path / "images")
    monkeypatch.chdir(tmp_path)
    variants = [
        {"name": "second", "variant": "debug", "pretrained": "variant:first"},
        {"name": "first", "variant": "debug"},
        {"name": "third", "variant": "debug", "config": {"activation": "prelu"}},
    ]
    demo = {
        "data": {split: f"images/{split}" for split in ("train", "validation", "test")},
        "learning_rates": [1e-3],
        "hyperparameters": OPTIONS,
    }
    content = {"study": "three", "question": "?", "architecture": "srcnn", "scale": 2, "baseline": "first"}
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(content | {"variants": variants, "profiles": {"demo": demo}}))
    return path


def execute(study: Path, executor: InThisProcess) -> Outcome:
    resolved = resolve(load_study_file(str(study)), "demo")
    return run_study(
        resolved, study.parent / "out", Silent(), opener=lambda out, remaining: Opened(executor, Task(threads=1))
    )


def test_a_run_waits_for_the_variant_that_it_starts_from(study: Path) -> None:
    everything = InThisProcess(slots=None)
    outcome = execute(study, everything)
    assert outcome.failures == ()
    assert everything.batches == [["first", "third"], ["second"]]
    assert everything.closed
    assert {entry.variant: entry.status for entry in outcome.board.entries}["second"] == "ok"

    nothing = InThisProcess(slots=None)
    assert execute(study, nothing).failures == ()
    assert nothing.batches == []


def test_no_more_runs_than_slots_are_handed_over(study: Path) -> None:
    one = InThisProcess(slots=1)
    assert execute(study, one).failures == ()
    assert one.batches == [["first"], ["second"], ["third"]]


def test_a_run_whose_process_dies_and_those_that_start_from_it_fail(study: Path) -> None:
    failures = execute(study, InThisProcess(slots=None, killed=["first"])).failures
    assert failures == (
        "runs/first/lr=0.001/seed=0: failed: its process was ended by SIGKILL",
        "runs/second/lr=0.001/seed=0: failed: no run of first, which it starts from, has finished",
    )
    assert status(study.parent / "out/runs/first/lr=0.001/seed=0").state == "failed"
    assert status(study.parent / "out/runs/third/lr=0.001/seed=0").state == "finished"
