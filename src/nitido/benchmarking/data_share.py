"""Measure the data share of a training step in the demo of every built-in study."""

import itertools
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch

from nitido.architectures import build, get_architecture
from nitido.base.clock import Action, interleaved, medians
from nitido.benchmarking.loops import BareStep
from nitido.data import prepare, resolve_all
from nitido.study.plan import RunConfig, plan
from nitido.study.resolve import resolve
from nitido.study.spec import load_study_file
from nitido.training.batches import samplers

PROFILE = "demo"


@dataclass(frozen=True)
class DataShare:
    """The baseline of a study in its demo profile: seconds to load a batch, and of a step with data in memory."""

    study: str
    variant: str
    architecture: str
    batch: int
    patch: int
    batch_seconds: float
    step_seconds: float

    @property
    def share(self) -> float:
        """The time of the data relative to that of the step."""
        return self.batch_seconds / self.step_seconds

    def as_json(self) -> dict[str, Any]:
        """Return the result as plain data."""
        return asdict(self) | {"share": self.share}


def onwards(batch: Callable[[int, int], object], count: int) -> Action:
    """Return an action that calls `batch(start, count)` for consecutive batches, as in training.

    >>> action = onwards(lambda start, count: range(start, start + count), 4)
    >>> action(), action()
    (range(0, 4), range(4, 8))
    """
    starts = itertools.count(step=count)
    return lambda: batch(next(starts), count)


def measure_share(study: str, rounds: int, device: torch.device) -> DataShare:
    """Measure the baseline of the built-in `study`: batches and steps in interleaved rounds."""
    run = _baseline(study)
    options = run.hyperparameters
    store = prepare(resolve_all(run.data.train, "train"), [run.scale])
    sampler = samplers(store, options, (run.scale,))[0]
    lr, hr = sampler.batch(0, options.batch)
    config = get_architecture(run.architecture).config_class.parse(run.config, f"variant {run.variant!r}")
    with torch.random.fork_rng():
        torch.manual_seed(options.seed)
        network = build(run.architecture, config)
    step = BareStep(network, options, (torch.from_numpy(lr), torch.from_numpy(hr)), store, device)
    contestants: dict[str, Action] = {"batch": onwards(sampler.batch, options.batch), "step": step}
    seconds = medians(interleaved(contestants, rounds, device))
    return DataShare(
        study=study,
        variant=run.variant,
        architecture=run.architecture,
        batch=options.batch,
        patch=options.patch,
        batch_seconds=seconds["batch"],
        step_seconds=seconds["step"],
    )


def _baseline(name: str) -> RunConfig:
    """Return the first run of the baseline of a study."""
    study = resolve(load_study_file(name), PROFILE)
    return next(run.config for run in plan(study) if run.config.variant == study.baseline)
