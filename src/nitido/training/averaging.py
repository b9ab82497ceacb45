"""The exponential moving average of a network's weights, which validates and is kept in place of the last ones."""

from collections.abc import Sequence

from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor


class AveragedWeights(WeightAveraging):
    """After each step: average + (1 - decay) * (weights - average); running statistics too (Polyak and Juditsky 1992).

    At the n-th step the decay is at most (1 + n) / (10 + n), so that the average forgets the random weights of the
    beginning soon, however long the run. Lightning's own formula, decay * average + (1 - decay) * weights, moves
    fixed weights by rounding; this one keeps the bits of frozen parts.
    """

    def __init__(self, decay: float) -> None:
        """Average with `decay` in [0, 1)."""
        self.decay = decay
        super().__init__(multi_avg_fn=self._average)

    def _average(self, averages: Sequence[Tensor], weights: Sequence[Tensor], averaged: int | Tensor) -> None:
        """Move all `averages` towards the `weights`, one by one: each stays in the cache for its operations."""
        step = float(averaged)
        decay = min(self.decay, (1 + step) / (10 + step))
        for average, now in zip(averages, weights, strict=True):
            average.copy_(average + (1 - decay) * (now - average))
