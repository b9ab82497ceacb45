"""Which share of a run its validations take, for the variants of the built-in studies' profiles.

Every variant trains a few steps with one whole validation after them; from the two times, the run's length and how
often it validates, the share in the whole run follows. What starts from a trained network starts from random weights
here, which takes as long.

Example: python benchmarks/validation_share.py --profile demo --study edsr --json -
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import torch
import typer

from nitido.architectures import build, get_architecture
from nitido.base.errors import NitidoError, unknown_name
from nitido.cli.console import JSON_TO_STDOUT, print_table, write_json_output
from nitido.data import Store, prepare, resolve_all
from nitido.evaluation.scoring import BicubicUpscaler, measure
from nitido.study.plan import RunConfig, plan
from nitido.study.resolve import resolve
from nitido.study.spec import builtin_names, load_study_file
from nitido.training.freezing import freeze
from nitido.training.train import count_steps, train

LIMIT = 0.05
"""The share that the project allows itself."""


class Clock:
    """Listens to a training: seconds between steps, and from the last step to the end of the validation."""

    def __init__(self) -> None:
        self.steps: list[float] = []
        self.validation = 0.0
        self._last = time.perf_counter()

    def __call__(self, done: int, validation_psnr: float | None) -> None:
        """Hear that so many steps are done, or that they have been validated."""
        now = time.perf_counter()
        if validation_psnr is None:
            self.steps.append(now - self._last)
        else:
            self.validation = now - self._last
        self._last = now


@dataclass(frozen=True)
class ValidationShare:
    """One variant's run: its length, its validations, and the seconds of a step and of a validation."""

    study: str
    profile: str
    variant: str
    steps: int
    validations: int
    images: int
    step_seconds: float
    validation_seconds: float

    @property
    def share(self) -> float:
        """The validations' part of steps and validations together."""
        validating = self.validations * self.validation_seconds
        return validating / (validating + self.steps * self.step_seconds)

    def as_json(self) -> dict[str, Any]:
        """Return the result as plain data."""
        return asdict(self) | {"share": self.share}


def measure_share(run: RunConfig, profile: str, images: Store, validation: Store, steps: int) -> ValidationShare:
    """Train `run` for `steps` steps and validate once, in a directory that is thrown away."""
    total = count_steps(run.hyperparameters, images, run.scale)
    network = build(
        run.architecture, get_architecture(run.architecture).config_class.parse(run.config, f"variant {run.variant!r}")
    )
    if run.freeze is not None:
        freeze(network, run.freeze)
    short = {"steps": steps, "epochs": None, "validate_every": steps}
    clock = Clock()
    with TemporaryDirectory(prefix="nitido-validation-share-") as directory:
        train(
            network,
            run.hyperparameters.model_copy(update=short),
            train=images,
            validation=validation,
            scale_schedule=run.scale_schedule,
            directory=Path(directory),
            labels={},
            listener=clock,
            metrics=run.validated,
        )
    return ValidationShare(
        study=run.study or "",
        profile=profile,
        variant=run.variant,
        steps=total,
        validations=-(-total // run.hyperparameters.validate_every),
        images=len(validation),
        step_seconds=median(clock.steps[2:]),  # the first ones set things up
        validation_seconds=clock.validation,
    )


def first_runs(studies: Sequence[str], profiles: Sequence[str], variants: Sequence[str]) -> list[tuple[str, RunConfig]]:
    """Profile and run of every variant, or of `variants`, at the first of its learning rates.

    Raises `NitidoError` for a variant that none of the built-in `studies` has.
    """
    found: dict[tuple[str, str, str], RunConfig] = {}
    for profile, study in product(profiles, studies):
        for planned in plan(resolve(load_study_file(study), profile)):
            found.setdefault((profile, study, planned.config.variant), planned.config)
    known = {variant for _, _, variant in found}
    for variant in variants:
        if variant not in known:
            raise unknown_name("variant", variant, sorted(known))
    return [(profile, run) for (profile, _, variant), run in found.items() if not variants or variant in variants]


def shares(runs: Sequence[tuple[str, RunConfig]], steps: int) -> list[ValidationShare]:
    """Measure one run after the other."""
    found = []
    for profile, run in runs:
        images = prepare(resolve_all(run.data.train, "train"), [run.scale])
        validation = prepare(resolve_all(run.data.validation, "validation"), [run.scale])
        # The packages and backbones of the metrics are loaded once in a process, not at each run.
        measure(BicubicUpscaler(run.scale), validation, 0, run.scale, run.validated)
        found.append(measure_share(run, profile, images, validation, steps))
    return found


def main(
    study: Annotated[list[str] | None, typer.Option(help="Repeatable. Default: all built-in ones.")] = None,
    profile: Annotated[list[str] | None, typer.Option(help="Repeatable. Default: demo.")] = None,
    variant: Annotated[list[str] | None, typer.Option(help="Repeatable. Default: all of the studies.")] = None,
    steps: Annotated[int, typer.Option(min=4, help="Steps that are timed of each variant.")] = 12,
    json: Annotated[str | None, typer.Option("--json", metavar="FILE", help="Write the figures to FILE.")] = None,
) -> None:
    """Measure which share of a run its validations take."""
    found = shares(first_runs(study or builtin_names(), profile or ["demo"], variant or []), steps)
    if json:
        figures = {"threads": torch.get_num_threads(), "limit": LIMIT, "runs": [s.as_json() for s in found]}
        write_json_output(figures, json)
    if json != JSON_TO_STDOUT:
        header = ["study", "profile", "variant", "steps", "validations", "images", "ms a step", "s a validation"]
        lines = [
            [
                s.study,
                s.profile,
                s.variant,
                f"{s.steps}",
                f"{s.validations}",
                f"{s.images}",
                f"{1000 * s.step_seconds:.1f}",
                f"{s.validation_seconds:.2f}",
                f"{s.share:.1%}" + (" too much" if s.share > LIMIT else ""),
            ]
            for s in found
        ]
        print_table("Validation's share of a run", [*header, "share"], lines)


if __name__ == "__main__":
    try:
        typer.run(main)
    except NitidoError as error:
        sys.exit(f"nitido: {error}")
