"""Learning-rate schedules as factors of the peak learning rate."""

import math

from nitido.base.errors import NitidoError
from nitido.base.number_text import number_text
from nitido.training.hyperparameters import Hyperparameters


class ScheduleError(NitidoError):
    """The run is too short for its schedule."""


def refuse_long_warmup(hyperparameters: Hyperparameters, total: int) -> None:
    """Raise `ScheduleError` if a run of `total` steps ends before its warm-up."""
    if hyperparameters.warmup >= total:
        raise ScheduleError(
            f"warmup {hyperparameters.warmup:,}: a run of {total:,} steps would never reach its learning rate of "
            f"{number_text(hyperparameters.learning_rate)}: use fewer warm-up steps"
        )


def learning_rate_factor(step: int, total: int, hyperparameters: Hyperparameters) -> float:
    """Return the factor in [0, 1] for the step with index `step` of `total`.

    >>> halfway = Hyperparameters(steps=100, schedule="cosine")
    >>> round(learning_rate_factor(50, 100, halfway), 3)
    0.5
    """
    warmup = hyperparameters.warmup
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = min((step - warmup) / max(total - warmup, 1), 1.0)
    match hyperparameters.schedule:
        case "constant":
            return 1.0
        case "cosine":
            return 0.5 * (1 + math.cos(math.pi * progress))
        case "step":
            return float(0.1 ** min(int(progress * 4), 3))
