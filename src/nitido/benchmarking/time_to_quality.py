"""How soon a machine has a network as good as a published one: the targets, their recipes, the rules, the outcome."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from nitido.base.errors import NitidoError, unknown_name
from nitido.benchmarking.machine_info import MachineInfo
from nitido.models import read_descriptor
from nitido.study.plan import RunConfig, single_run
from nitido.study.run_directory import RunDirectory, State, Status

SCALE = 2
TRAINING = ("t91", "bsds200", "bsds200_test[20:]")
"""The picture sets that a recipe may train on, all of them or some."""
VALIDATION = "bsds200_test[:20]"
TEST = "set5"
FIXED = (f"scale={SCALE}", f"data.validation={VALIDATION}", f"data.test={TEST}")
"""Settings that belong to every recipe."""
ALL_TRAINING = f"data.train={','.join(TRAINING)}"


class RulesError(NitidoError):
    """A recipe is against the rules of the measurement."""


@dataclass(frozen=True)
class Recipe:
    """What is trained and how: an architecture's variant, and `KEY=VALUE` words of `nitido train --set`."""

    architecture: str
    variant: str
    settings: tuple[str, ...]

    def changed(self, changes: Sequence[str]) -> "Recipe":
        """This recipe with `changes` on top: a key that it has gets the new value, in `steps` or `epochs` alike.

        >>> Recipe("srcnn", "vanilla", ("batch=16", "steps=900")).changed(["epochs=2", "batch=8"]).settings
        ('epochs=2', 'batch=8')
        """
        replaced = {_key(change) for change in changes}
        if replaced & _LENGTHS:
            replaced |= _LENGTHS
        kept = (setting for setting in self.settings if _key(setting) not in replaced)
        return replace(self, settings=(*kept, *changes))

    def run(self, seed: int) -> RunConfig:
        """The run of one seed; raises `ConfigError` or `StudyError` for unknown words and impossible values."""
        return single_run(self.architecture, self.variant, self._words(seed))

    def arguments(self, seed: int, out: Path) -> list[str]:
        """The words behind `nitido` that train this recipe into the run directory `out`."""
        words = [word for setting in self._words(seed) for word in ("--set", setting)]
        return ["train", self.architecture, "--variant", self.variant, *words, "--out", str(out)]

    def _words(self, seed: int) -> list[str]:
        stated = set(map(_key, self.settings))
        return [*(fixed for fixed in FIXED if _key(fixed) not in stated), *self.settings, f"seed={seed}"]


@dataclass(frozen=True)
class Target:
    """A published figure: mean PSNR-Y in dB on Set5 ×2, to be reached in less than `limit` seconds.

    `families` are the architectures that may take part, `source` is whose figure it is.
    """

    name: str
    source: str
    psnr: float
    limit: float
    families: tuple[str, ...]
    recipe: Recipe

    def check(self, recipe: Recipe) -> None:
        """Raise `RulesError`, in one line, when `recipe` is against the rules; `ConfigError` when it is impossible."""
        if "seed" in map(_key, recipe.settings):
            raise RulesError("seed is not a part of a recipe: the repeats have the seeds 0, 1, …")
        run = recipe.run(seed=0)
        if run.architecture not in self.families:
            raise unknown_name(f"network for the target {self.name!r}", run.architecture, self.families, RulesError)
        for specification in run.data.train:
            if specification not in TRAINING:
                raise unknown_name("training pictures under the rules", specification, TRAINING, RulesError)
        if run.hyperparameters.objective != "fidelity":
            terms = ",".join(run.hyperparameters.loss)
            raise RulesError(f"loss is {terms}, but the rules allow fidelity alone: l1, l2 and their like")
        fixed = {
            "scales": (run.every_scale, (SCALE,)),
            "data.validation": (run.data.validation, (VALIDATION,)),
            "data.test": (run.data.test, (TEST,)),
            "pretrained": (run.pretrained, None),
        }
        for key, (found, allowed) in fixed.items():
            if found != allowed:
                raise RulesError(f"{key} is {_told(found)}, but the rules allow {_told(allowed)} alone")

    def reached(self, psnr: float | None, seconds: float) -> bool:
        """Whether `psnr` dB after `seconds` are as good as the figure, and soon enough."""
        return psnr is not None and psnr >= self.psnr and seconds < self.limit


@dataclass(frozen=True)
class Repeat:
    """One training from the start of its process to its end.

    `psnr` is the mean PSNR-Y in dB on the test set of the weights that validated best, after `best_step` steps, with
    `validation_psnr`; both are None of a run that did not finish, and `reason` says why.
    """

    seed: int
    seconds: float
    state: State
    psnr: float | None = None
    validation_psnr: float | None = None
    steps: int = 0
    best_step: int = 0
    reason: str = ""


@dataclass(frozen=True)
class Spread:
    """The smallest, the middle and the largest of some values."""

    min: float
    median: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread | None":
        """The spread of `values`, None where there are none.

        >>> Spread.of([3.0, 1.0, 2.0])
        Spread(min=1.0, median=2.0, max=3.0)
        """
        return cls(min(values), median(values), max(values)) if values else None


@dataclass(frozen=True)
class TimeToQuality:
    """What came of all repeats of a recipe, and on which machine."""

    target: Target
    recipe: Recipe
    repeats: tuple[Repeat, ...]
    where: MachineInfo

    @property
    def seconds(self) -> Spread | None:
        """Of all repeats."""
        return Spread.of([repeat.seconds for repeat in self.repeats])

    @property
    def psnr(self) -> Spread | None:
        """In dB, of the repeats that finished."""
        return Spread.of([repeat.psnr for repeat in self.repeats if repeat.psnr is not None])

    def reached(self, repeat: Repeat) -> bool:
        """Whether one of the repeats was good and fast enough."""
        return self.target.reached(repeat.psnr, repeat.seconds)

    @property
    def all_reached(self) -> bool:
        """Whether every repeat was, and there was one."""
        return bool(self.repeats) and all(map(self.reached, self.repeats))

    def as_json(self) -> dict[str, Any]:
        """What scripts read."""
        return {
            "target": self.target.name,
            "source": self.target.source,
            "target_psnr_y": self.target.psnr,
            "limit_seconds": self.target.limit,
            "recipe": asdict(self.recipe) | {"settings": [*FIXED, *self.recipe.settings]},
            "reached": self.all_reached,
            "seconds": asdict(self.seconds) if self.seconds else None,
            "psnr_y": asdict(self.psnr) if self.psnr else None,
            "repeats": [_repeat_json(repeat, self.reached(repeat)) for repeat in self.repeats],
            **self.where.as_json(),
        }


def read_repeat(path: Path, seed: int, seconds: float, exit_code: int) -> Repeat:
    """What the run directory `path` says after its process has ended, `seconds` after its start.

    Everything that is measured is read from the model file: what counts is the network on disk. Raises
    `ModelFileError` when a finished run has left none.
    """
    directory = RunDirectory(path)
    status = directory.read_status() or Status("failed")
    if exit_code != 0 or status.state != "finished":
        state = status.state if status.state in ("diverged", "interrupted") else "failed"
        return Repeat(seed, seconds, state, reason=status.reason or f"the process ended with exit code {exit_code}")
    descriptor = read_descriptor(directory.model)
    return Repeat(
        seed=seed,
        seconds=seconds,
        state=status.state,
        psnr=descriptor.metrics[TEST]["psnr_y"],
        validation_psnr=descriptor.training["validation"]["psnr_y"],
        steps=descriptor.training["steps"],
        best_step=descriptor.training["best_step"],
    )


def find_target(name: str) -> Target:
    """The target of this name; raises `NitidoError` with the nearest valid one."""
    if name not in TARGETS:
        raise unknown_name("target", name, TARGETS)
    return TARGETS[name]


_LENGTHS = {"steps", "epochs"}


def _key(setting: str) -> str:
    return setting.partition("=")[0]


def _told(value: object) -> str:
    """A value of a configuration as one would write it in `--set`; nothing is "not set"."""
    if value is None:
        return "not set"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _repeat_json(repeat: Repeat, reached: bool) -> dict[str, Any]:
    values = asdict(repeat)
    return {
        "seed": values.pop("seed"),
        "reached": reached,
        "seconds": values.pop("seconds"),
        "psnr_y": values.pop("psnr"),
        "validation_psnr_y": values.pop("validation_psnr"),
        **values,
    }


_ALL = (
    Target(
        name="srcnn",
        source="SRCNN (Dong et al., TPAMI 2016)",
        psnr=36.66,
        limit=3 * 60,
        families=("srcnn",),
        recipe=Recipe(
            "srcnn",
            "pixel_shuffle_residual_leaky_relu",
            (
                ALL_TRAINING,
                "widths=64,256",
                "optimizer=muon",
                "momentum=0.95",
                "learning_rate=4e-3",
                "warmup=50",
                "ema=0.998",
                "batch=16",
                "patch=24",
                "steps=7000",
                "validate_every=1000",
            ),
        ),
    ),
    Target(
        name="vdsr",
        source="VDSR (Kim et al., CVPR 2016)",
        psnr=37.53,
        limit=35 * 60,
        families=("srcnn", "vdsr", "edsr", "rdn", "srresnet"),
        recipe=Recipe(
            "edsr",
            "baseline",
            (
                "data.train=bsds200,bsds200_test[20:]",  # t91's smallest picture has no more than 39 LR pixels
                "blocks=16",
                "residual=true",
                "optimizer=muon",
                "momentum=0.95",
                "learning_rate=1e-3",
                "warmup=100",
                "ema=0.999",
                "batch=16",
                "patch=48",
                "steps=4500",
                "validate_every=500",
            ),
        ),
    ),
)

TARGETS: dict[str, Target] = {target.name: target for target in _ALL}
"""Every target by its name."""
