"""What a run directory remembers, and that it belongs to one run."""

import json
import subprocess
from pathlib import Path

import pytest

from nitido.study.environment import describe_environment, git_commit
from nitido.study.identity import first_difference
from nitido.study.plan import network_size, single_run
from nitido.study.run_directory import RunDirectory, RunDirectoryError, Status


def test_a_directory_belongs_to_the_run_that_claimed_it(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    run = single_run("srcnn", "residual", ["steps=5", "kernel_sizes=5,1,3"])
    directory.claim(run)
    assert directory.read_config() == run
    directory.claim(run)
    other = single_run("srcnn", "residual", ["steps=5", "kernel_sizes=5,1,3", "batch=2"])
    with pytest.raises(RunDirectoryError, match=r"holds another run .hyperparameters.batch: 16 → 2."):
        directory.claim(other)
    assert directory.read_config() == run


def test_what_is_no_run_is_left_alone(tmp_path: Path) -> None:
    run = single_run("srcnn", "debug", ["steps=5"])
    (tmp_path / "thesis.txt").write_text("mine")
    for path in (tmp_path, tmp_path / "thesis.txt"):
        with pytest.raises(RunDirectoryError, match="holds no run"):
            RunDirectory(path).claim(run)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_status_and_curve_are_read_back(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    assert directory.read_status() is None
    assert directory.validation_curve() == []
    status = Status("finished", 10, 5, 1.5, 30.25)
    directory.write_status(status)
    assert directory.read_status() == status
    lines = [{"step": 0, "loss/l1": 0.1}, {"step": 5, "validation/psnr_y": 30.25}]
    directory.metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert directory.validation_curve() == [(5, 30.25)]


def test_the_first_difference_is_found_wherever_it_is() -> None:
    assert first_difference({"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 2}}) == ""
    assert first_difference({"b": {"c": 2}}, {"b": {"c": 3}}) == "b.c: 2 → 3"
    assert first_difference({}, {"d": 4}) == "d: None → 4"


def test_the_environment_tells_versions_hardware_precision_and_commit(tmp_path: Path) -> None:
    found = describe_environment("float32")
    assert found["precision"] == "float32"
    assert {"torch", "lightning", "nitido"} <= set(found["packages"])
    assert found["processor"]
    assert json.loads(json.dumps(found)) == found

    assert git_commit(tmp_path) is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    (tmp_path / "file").write_text("1")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "first"], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert git_commit(tmp_path) == commit
    (tmp_path / "file").write_text("2")
    assert git_commit(tmp_path) == f"{commit}+changes"


def test_a_networks_size_is_counted_without_building_it() -> None:
    size = network_size(single_run("srcnn", "vanilla", []))
    assert size.parameters == 109_827
    assert size.macs == 1280 * 720 * (9 * 9 * 3 * 128 + 3 * 3 * 128 * 64 + 5 * 5 * 64 * 3)
