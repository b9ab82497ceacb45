"""Learning-rate schedules as factors of the peak learning rate."""

import math

from nitido.training.hyperparameters import Hyperparameters


def learning_rate_factor(step: int, total: int, hyperparameters: Hyperparameters) -> float:
    """The factor in [0, 1] for the step with index `step` of `total`.

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
