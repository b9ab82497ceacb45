"""How many runs train side by side: chosen by measurement, within the cores and the memory, and kept."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from nitido.base.json_files import read_json
from nitido.study.executors import jobs, step_speed
from nitido.study.executors.base import ExecutorError
from nitido.study.executors.jobs import Remaining, check_jobs, choose_jobs, fastest, keep_threads
from nitido.study.executors.step_speed import StepSpeed
from nitido.study.forecast import workloads
from nitido.study.plan import plan
from nitido.study.resolve import resolve
from nitido.study.spec import load_study_file

Work = Callable[[int], Remaining]


@pytest.fixture
def work() -> Work:
    def remaining(steps: int) -> Remaining:
        runs = plan(resolve(load_study_file("srcnn"), "demo", [f"steps={steps}", "warmup=0", "batch=1", "patch=16"]))
        return Remaining(runs, workloads(runs, {run.directory: steps for run in runs}))

    return remaining


@pytest.fixture
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "usable_cores", lambda: 8)


def test_a_short_study_is_not_divided(work: Work, tmp_path: Path) -> None:
    chosen = choose_jobs(None, work(2), ["cpu"], tmp_path / "jobs.json")
    assert (chosen.jobs, chosen.threads) == (0, torch.get_num_threads())
    assert "too few to divide" in chosen.reason
    assert read_json(tmp_path / "jobs.json", "")["jobs"] == 0


def test_the_number_of_threads_of_a_study_is_kept(work: Work, tmp_path: Path, eight_cores: None) -> None:
    file = tmp_path / "jobs.json"
    assert choose_jobs(8, work(2000), ["cpu"], file).threads == 1
    assert (chosen := choose_jobs(2, work(2000), ["cpu"], file)).threads == 1, chosen
    assert choose_jobs(None, work(2000), ["cpu"], file).jobs == 8
    assert keep_threads(1, file) == keep_threads(4, file) == 1


def test_more_threads_than_cores_are_refused(work: Work, tmp_path: Path, eight_cores: None) -> None:
    file = tmp_path / "jobs.json"
    assert keep_threads(4, file) == 4
    with pytest.raises(ExecutorError, match=r"4 threads each.*8 cores are enough for 2"):
        choose_jobs(3, work(2000), ["cpu"], file)
    with pytest.raises(ExecutorError, match=r"cpus=2.*use cpus=4"):
        keep_threads(2, file)
    for number in (0, 9):
        with pytest.raises(ExecutorError, match="this machine has 8 cores; choose 1 to 8, or auto"):
            check_jobs(number)


def test_runs_are_divided_among_graphics_cards(work: Work, tmp_path: Path) -> None:
    cards = ["cuda:0", "cuda:1"]
    assert choose_jobs(None, work(2), cards, tmp_path / "auto.json").devices == ("cuda:0", "cuda:1")
    assert choose_jobs(4, work(2), cards, tmp_path / "four.json").devices == ("cuda:0", "cuda:1", "cuda:0", "cuda:1")
    assert choose_jobs(None, work(2), ["cuda:1"], tmp_path / "one.json").jobs == 0
    assert choose_jobs(2, work(2), ["cuda:1"], tmp_path / "two.json").devices == ("cuda:1", "cuda:1")


def test_the_fastest_division_fits_into_memory() -> None:
    gigabyte = 1 << 30
    speeds = [StepSpeed(1, 8, 10.0, gigabyte), StepSpeed(4, 2, 20.0, gigabyte), StepSpeed(8, 1, 20.3, gigabyte)]
    assert fastest(speeds, None).jobs == 4
    assert fastest(speeds, 4 * gigabyte).jobs == 1
    assert fastest(speeds, 5 * gigabyte).jobs == 4


def test_a_long_study_is_measured_in_real_processes(
    work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "usable_cores", lambda: 2)
    monkeypatch.setattr(jobs, "SHORT", 0.0)
    monkeypatch.setattr(step_speed, "WINDOW", 0.1)
    chosen = choose_jobs(None, work(1), ["cpu"], tmp_path / "jobs.json")
    assert chosen.jobs in (1, 2)
    assert chosen.reason.startswith("steps per second of ")
