"""Rank the variants of an unfinished study by validation, which is known as soon as a run ends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from nitido.evaluation.objectives import SELECTION_METRICS, Objective
from nitido.study.plan import PlannedRun
from nitido.study.run_directory import Status


@dataclass(frozen=True)
class InterimResult:
    """The results of a variant so far.

    Attributes:
        variant: Its name.
        objective: What its training optimizes; variants of different objectives are not compared.
        finished: The number of its runs that finished.
        planned: The number of its runs.
        learning_rate: The best of the learning rates with a finished run; None without one.
        validation: The mean over the finished runs of this rate, by the objective's metric; None without one.
    """

    variant: str
    objective: Objective
    finished: int
    planned: int
    learning_rate: float | None
    validation: float | None


def interim_results(runs: Sequence[PlannedRun], statuses: Mapping[Path, Status]) -> list[InterimResult]:
    """Return the variants' results so far, best first in each objective, those without results last.

    The order is by validation, since the test sets decide nothing before all runs have finished.

    Args:
        runs: Every run of the study.
        statuses: The state of the runs that ended, by directory.
    """
    by_variant: dict[str, list[PlannedRun]] = {}
    for run in runs:
        by_variant.setdefault(run.config.variant, []).append(run)
    results = [_result(own, statuses) for own in by_variant.values()]

    def place(result: InterimResult) -> tuple[bool, str, float]:
        if result.validation is None:
            return True, result.objective, 0.0
        return False, result.objective, SELECTION_METRICS[result.objective].sort_key(result.validation)

    return sorted(results, key=place)


def _result(runs: Sequence[PlannedRun], statuses: Mapping[Path, Status]) -> InterimResult:
    objective = runs[0].config.hyperparameters.objective
    selection = SELECTION_METRICS[objective]
    finished = [run for run in runs if run.directory in statuses and statuses[run.directory].state == "finished"]
    by_rate: dict[float, list[float]] = {}
    for run in finished:
        value = statuses[run.directory].validation[selection.metric]
        by_rate.setdefault(run.config.hyperparameters.learning_rate, []).append(value)
    means = {rate: fmean(values) for rate, values in by_rate.items()}
    best = min(means, key=lambda rate: selection.sort_key(means[rate]), default=None)
    validation = None if best is None else means[best]
    return InterimResult(runs[0].config.variant, objective, len(finished), len(runs), best, validation)
