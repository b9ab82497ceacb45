"""The exponential moving average of a network's weights, which validates and is kept in place of the last ones."""

from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor


class AveragedWeights(WeightAveraging):
    """After each step: average + (1 - decay) * (weights - average); running statistics too (Polyak and Juditsky 1992).

    At the n-th step the decay is at most (1 + n) / (10 + n), so that the average forgets the random weights of the
    beginning soon, however long the run. Lightning's own formula, decay * average + (1 - decay) * weights, moves
    weights that stand still by rounding; in this one frozen parts keep their bits.
    """

    def __init__(self, decay: float) -> None:
        """Average with `decay` in [0, 1)."""
        self.decay = decay
        super().__init__(avg_fn=self._average)

    def _average(self, average: Tensor, weights: Tensor, averaged: int | Tensor) -> Tensor:
        step = float(averaged)
        decay = min(self.decay, (1 + step) / (10 + step))
        return average + (1 - decay) * (weights - average)
