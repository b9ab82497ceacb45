"""The command on a card makes the run that it is about."""

import shlex
from pathlib import Path

import pytest

from nitido.models.zoo import ZooError
from nitido.study.plan import RunConfig, single_run
from tools.zoo.command import training_command


def made_by(command: str) -> RunConfig:
    """The run that `nitido train` makes of the command."""
    words = shlex.split(command.replace("\\\n", " "))
    assert words[:2] == ["nitido", "train"]
    assert words[3] == "--variant"
    assert words[-2] == "--out"
    settings = words[5:-2]
    assert settings[::2] == ["--set"] * (len(settings) // 2)
    return single_run(words[2], words[4], settings[1::2])


@pytest.mark.parametrize(
    ("architecture", "variant", "settings"),
    [
        ("edsr", None, []),
        ("edsr", "compact_batch", ["scale=4", "blocks=3", "learning_rate=3e-4", "ema=0.999"]),
        ("srcnn", "residual", ["kernel_sizes=5,1,3", "activation=gelu", "residual=false", "augment=false"]),
        ("vdsr", None, ["epochs=2.5", "loss.l1=1", "loss.l2=0.25", "data.train=t91,bsds200", "data.test=set5"]),
        ("vdsr", "compact", ["scales=2,2,3,4", "learning_rate=5e-4"]),
        ("vdsr", "debug", ["loss=perceptual", "perceptual.normalised=true"]),
        ("vdsr", "debug", ["loss=perceptual", "perceptual.normalised=true", "perceptual.layers=stage1,stage2,stage3"]),
        ("vdsr", "debug", ["steps=100", "optimizer=sgd", "gradient_clip=0.4", "schedule=step", "seed=7"]),
        ("rdn", "compact", ["batch=8", "patch=32", "precision=float32", "pretrained=rdn-x2", "freeze=first_half"]),
        (
            "srresnet",
            None,
            [
                *("loss.l1=0.01", "loss.perceptual=1", "loss.adversarial=0.005", "adversarial.kind=relativistic"),
                *("adversarial.discriminator.width=8", "pretrained=runs/first", "reinitialize=head,body.0"),
            ],
        ),
    ],
)
def test_it_says_all_that_matters(architecture: str, variant: str | None, settings: list[str]) -> None:
    run = single_run(architecture, variant, settings)
    assert made_by(training_command(run, "runs/x")) == run


def test_a_variant_of_a_study_is_described_by_its_difference() -> None:
    run = single_run("srcnn", None, ["activation=gelu", "steps=9"]).model_copy(update={"variant": "mine", "study": "s"})
    made = made_by(training_command(run, "runs/x"))
    assert (made.config, made.hyperparameters) == (run.config, run.hyperparameters)


def test_folders_are_left_out(tmp_path: Path) -> None:
    photos, first = tmp_path / "photos", tmp_path / "first"
    run = single_run("srcnn", "debug", [f"data.train={photos}[:9],samples", f"pretrained={first}"])
    command = training_command(run, "runs/x")
    assert str(tmp_path) not in command
    made = made_by(command)
    assert made.data.train == ("./photos[:9]", "samples")
    assert made.pretrained == "./first"


def test_what_no_single_command_makes_is_refused() -> None:
    run = single_run("srcnn", "debug", []).model_copy(update={"pretrained": "variant:plain"})
    with pytest.raises(ZooError, match=r"runs/x: .* give --command"):
        training_command(run, "runs/x")
