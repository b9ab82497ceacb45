"""Runs of several scales: what is allowed, what is refused before any training, and that studies have one scale."""

from pathlib import Path

import pytest
import yaml

from nitido.base.errors import NitidoError
from nitido.study.identity import PlannedImages
from nitido.study.plan import RunConfig, single_run
from nitido.study.resolve import resolve
from nitido.study.run_directory import RunDirectory, RunDirectoryError
from nitido.study.spec import StudyError, load_study_file


def test_the_first_scale_is_the_networks_own() -> None:
    run = single_run("vdsr", "debug", ["scales=3,2,4"])
    assert (run.scale, run.scales, run.every_scale) == (3, (3, 2, 4), (3, 2, 4))
    assert run.config["scale"] == 3
    assert single_run("vdsr", "debug", ["scales=3,2,4", "scale=3"]) == run
    emphasised = single_run("vdsr", "debug", ["scales=3,3,2"])
    assert (emphasised.scale_schedule, emphasised.every_scale) == ((3, 3, 2), (3, 2))
    alone = single_run("vdsr", "debug", ["scale=3"])
    assert (alone.scales, alone.every_scale) == (None, (3,))


@pytest.mark.parametrize(
    ("architecture", "settings", "message"),
    [
        ("vdsr", ["scales=2,3", "scale=3"], "scales begin with 2, but the network's own scale is 3"),
        ("vdsr", ["scales=2,2"], "several different scales are needed, got 2, 2"),
        ("vdsr", ["scales=2"], "several different scales are needed, got 2"),
        ("vdsr", ["scales=2,5"], "VDSR at scale 5: scale: input should be less than or equal to 4"),
        ("vdsr", ["scales=2,three"], "scales.1: input should be a valid integer"),
        ("vdsr", ["scales=2,3", "upsampler=transposed"], "cannot be used at scale 3: its weights are for scale 2"),
        ("edsr", ["scales=2,3"], r"this EDSR cannot be used at scale 3.*`upsampler` is `bicubic`"),
        ("vdsr", ["scales=2,3", "loss=l1,adversarial", "patch=32"], "loss term 'adversarial': a discriminator needs"),
        ("vdsr", ["scals=2,3"], "unknown key 'scals': did you mean 'scales'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(architecture: str, settings: list[str], message: str) -> None:
    with pytest.raises(NitidoError, match=message) as caught:
        single_run(architecture, "debug", settings)
    assert "\n" not in str(caught.value)


def claim(directory: RunDirectory, run: RunConfig) -> None:
    images = PlannedImages(train=(), validation=(), test={})
    directory.claim(images.identity(run, None), run)


def test_a_directory_remembers_its_scales(tmp_path: Path) -> None:
    run, directory = single_run("vdsr", "debug", ["scales=2,3"]), RunDirectory(tmp_path / "run")
    claim(directory, run)
    assert directory.read_config() == run
    claim(directory, run)
    with pytest.raises(RunDirectoryError, match=r"holds another run \(scales: "):
        claim(directory, single_run("vdsr", "debug", ["scales=2,4"]))
    with pytest.raises(RunDirectoryError, match=r"holds another run \(scales: "):
        claim(directory, single_run("vdsr", "debug", ["scale=2"]))


def test_a_run_with_one_scale_records_no_others(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    claim(directory, single_run("vdsr", "debug", []))
    assert "scales" not in yaml.safe_load(directory.config.read_text())


def test_a_configuration_that_contradicts_itself_is_refused() -> None:
    values = single_run("vdsr", "debug", ["scales=2,3"]).model_dump(mode="json")
    with pytest.raises(NitidoError, match="scales begin with 3"):
        RunConfig.parse(values | {"scales": [3, 2]}, "config.yaml")


def test_studies_are_for_one_scale() -> None:
    with pytest.raises(StudyError, match="unknown key 'scales': did you mean 'scale'"):
        resolve(load_study_file("vdsr"), "demo", ["scales=2,3"])
    with pytest.raises(NitidoError, match="scale: "):
        resolve(load_study_file("vdsr"), "demo", ["scale=2,3"])
