"""The two objectives, fidelity and perception, each with the metric that selects and ranks models."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from nitido.evaluation.protocol import decibels

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
        return f"{self.text(value)} dB" if self._is_psnr else f"{self.title} {self.text(value)}"

    def text(self, value: float) -> str:
        """Return `value` without its unit."""
        return decibels(value, self.decimals) if self._is_psnr else f"{value:.{self.decimals}f}"

    @property
    def _is_psnr(self) -> bool:
        return self.title.endswith(" in dB")


SELECTION_METRICS: Mapping[Objective, SelectionMetric] = {
    "fidelity": SelectionMetric("psnr_y", "PSNR on Y in dB", higher_is_better=True, decimals=2),
    "perception": SelectionMetric("perceptual_distance", "perceptual distance", higher_is_better=False, decimals=4),
}
