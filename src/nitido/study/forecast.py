"""Forecast how long the remaining runs of a study take, from the runs that were measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np

from nitido.study.plan import PlannedRun, network_size

_HD_PIXELS = 1280 * 720


@dataclass(frozen=True)
class Workload:
    """The training work of one run.

    Attributes:
        variant: The name of its variant: runs of one variant with equal steps take equally long.
        steps: Training steps.
        macs: Multiply-accumulate operations of the forward pass of one step.
    """

    variant: str
    steps: int
    macs: float


def workloads(runs: Sequence[PlannedRun], steps: Mapping[Path, int]) -> dict[Path, Workload]:
    """Return the work of each run by its directory; `steps` are its training steps by directory."""
    per_pixel: dict[str, float] = {}
    found: dict[Path, Workload] = {}
    for run in runs:
        config, options = run.config, run.config.hyperparameters
        if config.variant not in per_pixel:
            per_pixel[config.variant] = network_size(config).macs / _HD_PIXELS
        pixels = options.batch * (options.patch * config.scale) ** 2
        found[run.directory] = Workload(config.variant, steps[run.directory], per_pixel[config.variant] * pixels)
    return found


def forecast(work: Workload, measured: Sequence[tuple[Workload, float]]) -> float | None:
    """Return the seconds that `work` is expected to take; None if nothing was measured.

    Runs of the same variant give the seconds of a step directly. For another variant, a step is taken to cost a
    constant plus a time proportional to its multiply-accumulates, both at least zero and fitted to the measured runs
    by least squares; with runs of one variant alone, the constant is zero.

    Args:
        work: The run in question.
        measured: Finished runs with their seconds.

    >>> vanilla = Workload("vanilla", 1000, 4e9)
    >>> forecast(vanilla, [(Workload("vanilla", 500, 4e9), 20.0)])
    40.0
    >>> forecast(Workload("small", 1000, 1e9), [(vanilla, 40.0)])
    10.0
    """
    measured = [(other, seconds) for other, seconds in measured if other.steps]
    if not measured:
        return None
    if own := [seconds / other.steps for other, seconds in measured if other.variant == work.variant]:
        return fmean(own) * work.steps
    seconds_per_step = np.array([seconds / other.steps for other, seconds in measured])
    macs = np.array([other.macs for other, _ in measured])
    if len(set(macs)) == 1:
        return float(seconds_per_step.mean() * work.macs / macs[0]) * work.steps
    slope, constant = np.polyfit(macs, seconds_per_step, deg=1)
    if slope <= 0:
        slope, constant = 0.0, seconds_per_step.mean()
    elif constant < 0:
        slope, constant = seconds_per_step @ macs / (macs @ macs), 0.0
    return float(constant + slope * work.macs) * work.steps
