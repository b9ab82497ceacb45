"""The two objectives, fidelity and perception, each with the metric that selects and ranks models."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Objective = Literal["fidelity", "perception"]
"""`fidelity`: small error per pixel. `perception`: looks like a photograph, at the cost of fidelity (Blau and
Michaeli, "The Perception-Distortion Tradeoff", CVPR 2018)."""


@dataclass(frozen=True)
class SelectionMetric:
    """The metric of an objective.

    Attributes:
        metric: Its name in rows.
        title: Displayed name with unit.
        higher_is_better: Its direction.
        decimals: Displayed decimals.
    """

    metric: str
    title: str
    higher_is_better: bool
    decimals: int

    def sort_key(self, value: float) -> float:
        """Return a sort key that is smaller for better values."""
        return -value if self.higher_is_better else value

    def words(self, value: float) -> str:
        """Return `value` for people.

        >>> SELECTION_METRICS["fidelity"].words(31.154), SELECTION_METRICS["perception"].words(0.12345)
        ('31.15 dB', 'perceptual distance 0.1235')
        """
        number = f"{value:.{self.decimals}f}"
        return f"{number} dB" if self.title.endswith(" in dB") else f"{self.title} {number}"


SELECTION_METRICS: Mapping[Objective, SelectionMetric] = {
    "fidelity": SelectionMetric("psnr_y", "PSNR on Y in dB", higher_is_better=True, decimals=2),
    "perception": SelectionMetric("perceptual_distance", "perceptual distance", higher_is_better=False, decimals=4),
}
