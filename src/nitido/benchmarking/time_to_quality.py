"""Time to quality: targets, recipes, rules and results."""

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
"""The image sets that a recipe may train on, all or some of them."""
VALIDATION = "bsds200_test[:20]"
TEST = "set5"
FIXED = (f"scale={SCALE}", f"data.validation={VALIDATION}", f"data.test={TEST}")
"""Settings of every recipe."""
ALL_TRAINING = f"data.train={','.join(TRAINING)}"


class RulesError(NitidoError):
    """A recipe violates the rules of the measurement."""


@dataclass(frozen=True)
class Recipe:
    """A variant of an architecture, and `KEY=VALUE` settings of `nitido train --set`."""

    architecture: str
    variant: str
    settings: tuple[str, ...]

    def changed(self, changes: Sequence[str]) -> "Recipe":
        """Return this recipe with `changes`, which replace existing settings; `steps` and `epochs` replace each other.

        >>> Recipe("srcnn", "vanilla", ("batch=16", "steps=900")).changed(["epochs=2", "batch=8"]).settings
        ('epochs=2', 'batch=8')
        """
        replaced = {_key(change) for change in changes}
        if replaced & _LENGTHS:
            replaced |= _LENGTHS
        kept = (setting for setting in self.settings if _key(setting) not in replaced)
        return replace(self, settings=(*kept, *changes))

    def run(self, seed: int) -> RunConfig:
        """Return the run of one seed; raise `ConfigError` or `StudyError` for unknown keys and impossible values."""
        return single_run(self.architecture, self.variant, self._words(seed))

    def arguments(self, seed: int, out: Path) -> list[str]:
        """Return the arguments of `nitido` that train this recipe in the run directory `out`."""
        words = [word for setting in self._words(seed) for word in ("--set", setting)]
        return ["train", self.architecture, "--variant", self.variant, *words, "--out", str(out)]

    def _words(self, seed: int) -> list[str]:
        stated = set(map(_key, self.settings))
        return [*(fixed for fixed in FIXED if _key(fixed) not in stated), *self.settings, f"seed={seed}"]


@dataclass(frozen=True)
class Target:
    """A published figure: mean PSNR-Y in dB on Set5 ×2, to be reached in less than `limit` seconds.

    `families` are the allowed architectures, `source` is the origin of the figure.
    """

    name: str
    source: str
    psnr: float
    limit: float
    families: tuple[str, ...]
    recipe: Recipe

    def check(self, recipe: Recipe) -> None:
        """Raise `RulesError` if `recipe` violates the rules, `ConfigError` if it is invalid."""
        if "seed" in map(_key, recipe.settings):
            raise RulesError("seed is not a part of a recipe: the repeats have the seeds 0, 1, …")
        run = recipe.run(seed=0)
        if run.architecture not in self.families:
            raise unknown_name(f"network for the target {self.name!r}", run.architecture, self.families, RulesError)
        for specification in run.data.train:
            if specification not in TRAINING:
                raise unknown_name("training images under the rules", specification, TRAINING, RulesError)
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
                raise RulesError(f"{key} is {_as_setting(found)}, but the rules allow {_as_setting(allowed)} alone")

    def reached(self, psnr: float | None, seconds: float) -> bool:
        """Return whether `psnr` dB after `seconds` reach the figure within the limit."""
        return psnr is not None and psnr >= self.psnr and seconds < self.limit


@dataclass(frozen=True)
class Repeat:
    """One training from the start of its process to its end.

    `psnr` is the mean PSNR-Y in dB on the test set of the weights that validated best, after `best_step` steps, with
    `validation_psnr`; both are None for a run that did not finish, and `reason` says why.
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
    """Minimum, median and maximum."""

    min: float
    median: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread | None":
        """Return the spread of `values`; None if there are none.

        >>> Spread.of([3.0, 1.0, 2.0])
        Spread(min=1.0, median=2.0, max=3.0)
        """
        return cls(min(values), median(values), max(values)) if values else None


@dataclass(frozen=True)
class TimeToQuality:
    """The results of all repeats of a recipe, and the machine."""

    target: Target
    recipe: Recipe
    repeats: tuple[Repeat, ...]
    where: MachineInfo

    @property
    def seconds(self) -> Spread | None:
        """The seconds of all repeats."""
        return Spread.of([repeat.seconds for repeat in self.repeats])

    @property
    def psnr(self) -> Spread | None:
        """The PSNR in dB of the finished repeats."""
        return Spread.of([repeat.psnr for repeat in self.repeats if repeat.psnr is not None])

    def reached(self, repeat: Repeat) -> bool:
        """Return whether a repeat reached the target."""
        return self.target.reached(repeat.psnr, repeat.seconds)

    @property
    def all_reached(self) -> bool:
        """Whether there are repeats and all of them reached the target."""
        return bool(self.repeats) and all(map(self.reached, self.repeats))

    def as_json(self) -> dict[str, Any]:
        """Return the result as plain data."""
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
    """Read the result from the run directory `path` of a process that ended `seconds` after its start.

    All figures are read from the model file, because the saved network counts. Raises `ModelFileError` if a finished
    run has none.
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
    """Return the target `name`; raise `NitidoError` that suggests the nearest name."""
    if name not in TARGETS:
        raise unknown_name("target", name, TARGETS)
    return TARGETS[name]


_LENGTHS = {"steps", "epochs"}


def _key(setting: str) -> str:
    return setting.partition("=")[0]


def _as_setting(value: object) -> str:
    """Return a configuration value as in `--set`; None is "not set"."""
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
                "data.train=bsds200,bsds200_test[20:]",  # t91's smallest image has no more than 39 LR pixels
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
