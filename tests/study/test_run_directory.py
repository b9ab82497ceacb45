"""What a run directory records, and that it belongs to one run."""

import json
import subprocess
from pathlib import Path

import pytest
import torch

from nitido.base.json_files import DamagedFileError
from nitido.study.environment import describe_environment, git_commit
from nitido.study.identity import ImageRecord, PlannedImages, RunIdentity, first_difference
from nitido.study.plan import RunConfig, network_size, single_run
from nitido.study.run_directory import RunDirectory, RunDirectoryError, Status
from nitido.study.sessions import Session, Sessions

IMAGES = (ImageRecord(name="a", sha256="0"), ImageRecord(name="b", sha256="1"))


def identity(run: RunConfig, **changed: str) -> RunIdentity:
    """The identity of `run` on two training images, some with another content and some more."""
    contents = {record.name: record.sha256 for record in IMAGES} | changed
    train = tuple(ImageRecord(name=name, sha256=sha256) for name, sha256 in contents.items())
    return PlannedImages(train=train, validation=IMAGES[:1], test={}).identity(run, None)


def test_a_directory_belongs_to_the_run_that_claimed_it(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    run = single_run("srcnn", "residual", ["steps=5", "kernel_sizes=5,1,3"])
    assert directory.claim(identity(run), run) == identity(run)
    assert directory.read_config() == run
    directory.claim(identity(run), run)
    other = single_run("srcnn", "residual", ["steps=5", "kernel_sizes=5,1,3", "batch=2"])
    with pytest.raises(RunDirectoryError, match=r"holds another run .hyperparameters.batch: 16 → 2."):
        directory.claim(identity(other), other)
    assert directory.read_config() == run
    with pytest.raises(RunDirectoryError, match=r"training images: b changed"):
        directory.claim(identity(run, b="2"), run)
    with pytest.raises(RunDirectoryError, match=r"training images: c added"):
        directory.claim(identity(run, c="3"), run)


def test_images_count_by_content_and_order_not_by_name() -> None:
    run = single_run("srcnn", "residual", ["steps=5"])
    first, second = IMAGES
    renamed = PlannedImages(train=(first.model_copy(update={"name": "z"}), second), validation=(), test={})
    swapped = PlannedImages(train=(second, first), validation=(), test={})
    known = PlannedImages(train=IMAGES, validation=(), test={}).identity(run, None)
    assert known.difference(renamed.identity(run, None)) == ""
    assert known.digest == renamed.identity(run, None).digest
    assert known.difference(swapped.identity(run, None)) == "training images: another order"
    assert known.digest != swapped.identity(run, None).digest
    assert known.difference(known.model_copy(update={"source_sha256": "x"})) == "it starts from other weights"


def test_the_defaults_of_a_later_version_are_those_of_an_earlier_run() -> None:
    """A field that the identity's writer did not know had its default."""
    run = single_run("srcnn", "residual", ["steps=5"])
    known = identity(run)
    earlier = known.model_copy(deep=True)
    del earlier.configuration["hyperparameters"]["ema"]
    assert earlier.difference(known) == ""
    other = identity(single_run("srcnn", "residual", ["steps=5", "ema=0.5"]))
    assert "ema" in earlier.difference(other)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"state": "finished"', '{"state": "done"}', '{"steps": "x"}'])
def test_a_damaged_status_is_one_line_that_names_it(tmp_path: Path, content: str) -> None:
    (tmp_path / "status.json").write_text(content)
    with pytest.raises(DamagedFileError, match=r"status.json is damaged .* resume the run from its last checkpoint"):
        RunDirectory(tmp_path).read_status()


def test_a_modified_status_is_detected(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    directory.write_status(Status("finished", 10, 5, 1.5, {"psnr_y": 30.25}))
    directory.status.write_text(directory.status.read_text().replace("30.25", "31.25"))
    with pytest.raises(DamagedFileError, match="does not match its checksum"):
        directory.read_status()


def test_what_is_no_run_is_left_alone(tmp_path: Path) -> None:
    run = single_run("srcnn", "debug", ["steps=5"])
    (tmp_path / "thesis.txt").write_text("mine")
    for path in (tmp_path, tmp_path / "thesis.txt"):
        with pytest.raises(RunDirectoryError, match="holds no run"):
            RunDirectory(path).claim(identity(run), run)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_status_and_curve_are_read_back(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    assert directory.read_status() is None
    assert directory.validation_curve() == []
    status = Status("finished", 10, 5, 1.5, {"psnr_y": 30.25})
    directory.write_status(status)
    assert directory.read_status() == status
    lines = [{"step": 0, "loss/l1": 0.1}, {"step": 5, "validation/psnr_y": 30.25}]
    directory.metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert directory.validation_curve() == [(5, 30.25)]


def test_the_first_difference_is_found_wherever_it_is() -> None:
    assert first_difference({"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 2}}) == ""
    assert first_difference({"b": {"c": 2}}, {"b": {"c": 3}}) == "b.c: 2 → 3"
    assert first_difference({}, {"d": 4}) == "d: None → 4"


def test_the_environment_records_versions_hardware_precision_and_commit(tmp_path: Path) -> None:
    found = describe_environment("float32", torch.device("cpu"))
    assert found["precision"] == "float32"
    assert (found["device"], found["gpu"]) == ("cpu", None)
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


def test_the_environment_of_another_run_is_not_believed(tmp_path: Path) -> None:
    run, other = (single_run("srcnn", "residual", [f"steps={steps}", "warmup=0"]) for steps in (5, 6))
    first, second = RunDirectory(tmp_path / "first"), RunDirectory(tmp_path / "second")
    first.claim(identity(run), run)
    second.claim(identity(other), other)
    sessions = Sessions((Session({"processor": "of the first"}, 0, 5, 1.0),))
    first.write_sessions(sessions)
    assert first.read_sessions() == sessions
    second.environment.write_bytes(first.environment.read_bytes())
    with pytest.raises(DamagedFileError, match=r"environment\.json is of another run"):
        second.read_sessions()
