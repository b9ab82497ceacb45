"""Time to quality: what a recipe is as a command, which recipes the rules allow, and what counts as reached."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from nitido.base.errors import NitidoError
from nitido.base.validation import ConfigError
from nitido.benchmarking.machine_info import MachineInfo
from nitido.benchmarking.time_to_quality import (
    TARGETS,
    Recipe,
    Repeat,
    RulesError,
    Spread,
    TimeToQuality,
    find_target,
    read_repeat,
)
from nitido.data import prepare, resolve_all
from nitido.models import ModelDescriptor, ModelFileError, save_model
from nitido.study.plan import single_run
from nitido.study.run_directory import RunDirectory, Status
from nitido.training.batches import samplers
from tests.architectures import recipes

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "time_to_quality.py"
SRCNN, VDSR = TARGETS["srcnn"], TARGETS["vdsr"]
HERE = MachineInfo("cpu", "a processor", 2, "2.9", 0.0, ())
ALLOWED_TRAINING = {"t91", "bsds200", "bsds200_test[20:]"}


def call(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_figures_and_limits_are_the_published_ones() -> None:
    assert {t.name: (t.psnr, t.limit) for t in TARGETS.values()} == {"srcnn": (36.66, 180), "vdsr": (37.53, 2100)}


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_the_recipes_keep_the_rules(target) -> None:
    target.check(target.recipe)
    run = target.recipe.run(seed=2)
    assert run.architecture in target.families
    assert set(run.data.train) <= ALLOWED_TRAINING
    assert (run.data.validation, run.data.test) == (("bsds200_test[:20]",), ("set5",))
    assert run.every_scale == (2,)
    assert run.hyperparameters.seed == 2


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_the_recipes_patches_fit_into_their_images(target, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NITIDO_DATA", str(shared / "data"))
    run = target.recipe.run(0)
    assert samplers(prepare(resolve_all(run.data.train), [2]), run.hyperparameters, (2,))


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_the_command_trains_the_run_that_was_checked(target) -> None:
    train, architecture, *words = target.recipe.arguments(1, Path("some where"))
    assert train == "train"
    options = {"--variant": [], "--set": [], "--out": []}
    for option, value in zip(words[::2], words[1::2], strict=True):
        options[option].append(value)
    assert options["--out"] == ["some where"]
    (variant,) = options["--variant"]
    assert single_run(architecture, variant, options["--set"]) == target.recipe.run(1)


def test_changes_win_over_the_recipe() -> None:
    recipe = Recipe("srcnn", "debug", ("steps=9", "batch=3", "loss=l2"))
    assert recipe.changed([]) == recipe
    options = recipe.changed(["batch=5", "epochs=2"]).run(0).hyperparameters
    assert (options.batch, options.steps, options.epochs, options.loss) == (5, None, 2, {"l2": 1})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("data.train=t91,set14", "unknown training images under the rules 'set14'"),
        ("data.train=bsds200_test", "did you mean 'bsds200_test[20:]'"),
        ("data.validation=set5", "data.validation is set5, but the rules allow bsds200_test[:20] alone"),
        ("data.test=set5,set14", "data.test is set5,set14, but the rules allow set5 alone"),
        ("scale=4", "scales is 4, but the rules allow 2 alone"),
        ("pretrained=edsr-x2", "pretrained is edsr-x2, but the rules allow not set alone"),
        ("loss=l1,perceptual", "loss is l1,perceptual, but the rules allow fidelity alone"),
        ("seed=3", "the repeats have the seeds"),
    ],
)
def test_what_is_against_the_rules_is_refused(change: str, message: str) -> None:
    with pytest.raises(RulesError) as problem:
        SRCNN.check(SRCNN.recipe.changed([change]))
    assert message in str(problem.value)
    assert "\n" not in str(problem.value)


def test_fewer_of_the_training_images_are_allowed() -> None:
    SRCNN.check(SRCNN.recipe.changed(["data.train=t91"]))


def test_other_families_and_unknown_words_are_refused() -> None:
    VDSR.check(SRCNN.recipe)
    with pytest.raises(RulesError, match=r"unknown network for the target 'srcnn' 'edsr'"):
        SRCNN.check(VDSR.recipe)
    with pytest.raises(NitidoError, match="did you mean 'steps'"):
        SRCNN.check(SRCNN.recipe.changed(["stepps=3"]))
    with pytest.raises(ConfigError, match="batch"):
        SRCNN.check(SRCNN.recipe.changed(["batch=-1"]))
    with pytest.raises(NitidoError, match="did you mean 'vdsr'"):
        find_target("vdrs")


@pytest.mark.parametrize(
    ("psnr", "seconds", "reached"),
    [
        (36.66, 179.9, True),
        (36.6599, 1.0, False),
        (40.0, 180.0, False),
        (None, 1.0, False),
    ],
)
def test_reached_means_as_good_and_in_less_time(psnr: float | None, seconds: float, reached: bool) -> None:
    assert SRCNN.reached(psnr, seconds) is reached


def test_all_repeats_must_reach_the_figure() -> None:
    good = Repeat(0, 100.0, "finished", 36.7, 32.2, 900, 800)
    weak = Repeat(1, 120.0, "finished", 36.5, 32.0, 900, 900)
    lost = Repeat(2, 80.0, "diverged", reason="loss is nan")
    outcome = TimeToQuality(SRCNN, SRCNN.recipe, (good, weak, lost), HERE)
    assert not outcome.all_reached
    assert not TimeToQuality(SRCNN, SRCNN.recipe, (), HERE).all_reached
    assert TimeToQuality(SRCNN, SRCNN.recipe, (good, replace(good, seed=1)), HERE).all_reached
    assert outcome.seconds == Spread(80.0, 100.0, 120.0)
    assert outcome.psnr == Spread(36.5, 36.6, 36.7)


def test_the_json_has_every_repeat_and_can_be_run_again() -> None:
    lost = Repeat(0, 80.0, "diverged", reason="loss is nan")
    written = TimeToQuality(SRCNN, SRCNN.recipe.changed(["steps=7"]), (lost,), HERE).as_json()
    assert written == json.loads(json.dumps(written))
    assert (written["target"], written["target_psnr_y"], written["limit_seconds"]) == ("srcnn", 36.66, 180)
    assert (written["reached"], written["psnr_y"]) == (False, None)
    assert written["seconds"] == {"min": 80.0, "median": 80.0, "max": 80.0}
    assert written["processor"] == "a processor"
    (repeat,) = written["repeats"]
    assert repeat == {
        "seed": 0,
        "reached": False,
        "seconds": 80.0,
        "psnr_y": None,
        "validation_psnr_y": None,
        "state": "diverged",
        "steps": 0,
        "best_step": 0,
        "reason": "loss is nan",
    }
    recipe = written["recipe"]
    again = single_run(recipe["architecture"], recipe["variant"], recipe["settings"])
    assert again == SRCNN.recipe.changed(["steps=7"]).run(0)


def test_what_a_run_measured_is_read_from_its_model(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    directory.write_status(Status("finished", 20, 10, 3.0, {"psnr_y": 31.5}))
    with pytest.raises(ModelFileError):
        read_repeat(tmp_path, 4, 5.0, exit_code=0)
    network = recipes.Recipe("srcnn", "debug").build()
    training = {"steps": 20, "best_step": 10, "validation": {"psnr_y": 31.5}}
    save_model(
        directory.model,
        network,
        ModelDescriptor.of(network, "srcnn", "debug", training, {"set5": {"psnr_y": 35.25}}),
    )
    assert read_repeat(tmp_path, 4, 5.0, exit_code=0) == Repeat(4, 5.0, "finished", 35.25, 31.5, 20, 10)
    assert read_repeat(tmp_path, 4, 5.0, exit_code=-9) == Repeat(
        4, 5.0, "failed", reason="the process ended with exit code -9"
    )


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (None, Repeat(0, 5.0, "failed", reason="the process ended with exit code 1")),
        (Status("running"), Repeat(0, 5.0, "failed", reason="the process ended with exit code 1")),
        (Status("diverged", reason="loss is nan"), Repeat(0, 5.0, "diverged", reason="loss is nan")),
        (Status("failed", reason="no space left"), Repeat(0, 5.0, "failed", reason="no space left")),
    ],
)
def test_a_run_without_an_end_has_no_figures(tmp_path: Path, status: Status | None, expected: Repeat) -> None:
    if status is not None:
        RunDirectory(tmp_path).write_status(status)
    assert read_repeat(tmp_path, 0, 5.0, exit_code=1) == expected


def test_the_script_refuses_a_directory_that_exists(tmp_path: Path) -> None:
    done = call("srcnn", "--out", tmp_path)
    assert done.returncode == 1
    assert (
        done.stderr
        == f"nitido: {tmp_path} is there already, and nothing is resumed: choose a new directory for --out\n"
    )


def test_the_script_measures_a_short_run(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_cache: Path
) -> None:
    monkeypatch.setenv("NITIDO_DATA", str(shared / "data"))
    before = sorted(own_cache.rglob("*"))
    tiny = ("data.train=t91", "widths=2,8", "kernel_sizes=3,1,3", "steps=2", "warmup=0", "batch=1", "patch=8")
    settings = [word for setting in tiny for word in ("--set", setting)]
    done = call("srcnn", *settings, "--out", tmp_path / "kept", "--json", "-")
    assert done.returncode == 1, "two steps cannot reach the figure"
    written = json.loads(done.stdout)
    (repeat,) = written["repeats"]
    directory = RunDirectory(tmp_path / "kept" / "seed=0")
    status = directory.read_status()
    assert status is not None
    assert (repeat["state"], repeat["steps"], repeat["best_step"]) == ("finished", 2, status.best_step)
    assert repeat["validation_psnr_y"] == status.validation["psnr_y"]
    assert 25 < repeat["psnr_y"] < 36.66
    assert (repeat["reached"], written["reached"]) == (False, False)
    assert repeat["seconds"] > status.seconds, "the start of the process and the images belong to the time"
    assert sorted(own_cache.rglob("*")) == before, "images are decoded within the time, into a cache of the repeat"
