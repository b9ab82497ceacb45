"""All metrics by name, with their display and measurement."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nitido.base.errors import unknown_name
from nitido.evaluation.metrics import learned, multiscale, ssimulacra
from nitido.evaluation.metrics.color_shift import BOX, color_shift
from nitido.evaluation.metrics.consistency import lr_consistency
from nitido.evaluation.metrics.fidelity import SSIM_SMALLEST, psnr, psnr_rgb, ssim
from nitido.evaluation.metrics.ldr_flip import FLIP, flip
from nitido.evaluation.metrics.metric_inputs import MetricError, luma
from nitido.evaluation.metrics.multiscale import ms_ssim
from nitido.evaluation.metrics.ssimulacra import SSIMULACRA2, ssimulacra2
from nitido.evaluation.protocol import decibels


@dataclass(frozen=True)
class MetricInput:
    """One upscaled image with its references.

    Attributes:
        rgb: the result, `(H, W, 3)` uint8.
        scored: the scored plane `(H, W)` in [0, 255], or an RGB image `(H, W, 3)` uint8 whose Y is scored.
        hr: the ground truth, `(H, W, 3)` uint8.
        lr: the input, `(H / scale, W / scale, 3)` uint8.
        scale: the scale factor, and the width of the shaved border in pixels.
        grey: whether the three channels of `hr` and `lr` are equal.
    """

    rgb: NDArray[np.uint8]
    scored: NDArray[np.float64] | NDArray[np.uint8]
    hr: NDArray[np.uint8]
    lr: NDArray[np.uint8]
    scale: int
    grey: bool

    @property
    def truth(self) -> NDArray[np.uint8]:
        """The reference of `scored`: the RGB image, whose Y is used, or the plane of a gray image."""
        return self.hr[..., 0] if self.grey else self.hr


def _nothing_missing() -> None:
    return None


@dataclass(frozen=True)
class Metric:
    """A metric of one upscaled image.

    Attributes:
        name: Name in rows and on the command line.
        title: Displayed name, without the unit.
        unit: Its unit; "" for a number without one.
        higher_is_better: Its direction.
        decimals: Displayed decimals.
        measure: Computes the value; raises `MetricError`, or `MetricNotAvailableError` if there is no value.
        missing: Returns why it is not available at all (a package, its weights), or None.
        smallest: Minimum side in pixels after shaving.
        largest: Maximum number of pixels, which limits memory; None for any size.
    """

    name: str
    title: str
    unit: str
    higher_is_better: bool
    decimals: int
    measure: Callable[[MetricInput], float]
    missing: Callable[[], str | None] = _nothing_missing
    smallest: int = 1
    largest: int | None = None

    @property
    def label(self) -> str:
        """Title and unit.

        >>> METRICS["psnr_y"].label
        'PSNR on Y in dB'
        """
        return f"{self.title} in {self.unit}" if self.unit else self.title

    def text(self, value: float) -> str:
        """Return a value without its unit."""
        return decibels(value, self.decimals) if self.unit == "dB" else f"{value:.{self.decimals}f}"

    def too_large(self, height: int, width: int) -> str | None:
        """Return why an image of this size is not measured; None if it is not too large."""
        if self.largest is None or height * width <= self.largest:
            return None
        return (
            f"an image of {width}×{height} is too large for {self.title}, which is measured on at most "
            f"{self.largest / 1e6:.1f} million pixels"
        )


_WHOLE_IMAGE = 2**24
"""Number of pixels for which MS-SSIM and FLIP, at about 150 bytes per pixel, need 2.5 GB."""

_MANY_PLANES = 2**23
"""Number of pixels for which SSIMULACRA 2 and network features, at 300 to 450 bytes each, need 2.5 to 3.6 GB."""

# Name, title, unit, whether higher is better, decimals.
_ALL = (
    Metric("psnr_y", "PSNR on Y", "dB", True, 2, lambda i: psnr(i.scored, i.truth, i.scale, luma)),
    Metric(
        "ssim_y", "SSIM on Y", "", True, 4, lambda i: ssim(i.scored, i.truth, i.scale, luma), smallest=SSIM_SMALLEST
    ),
    Metric("psnr_rgb", "PSNR on RGB", "dB", True, 2, lambda i: psnr_rgb(i.rgb, i.hr, i.scale)),
    Metric(
        "ms_ssim_y",
        "MS-SSIM on Y",
        "",
        True,
        4,
        lambda i: ms_ssim(luma(i.scored), luma(i.truth), i.scale),
        smallest=multiscale.SMALLEST,
        largest=_WHOLE_IMAGE,
    ),
    Metric(
        "lr_consistency", "PSNR of the shrunk result", "dB", True, 2, lambda i: lr_consistency(i.rgb, i.lr, i.scale)
    ),
    Metric("colour_shift", "color shift", "ΔE00", False, 2, lambda i: color_shift(i.rgb, i.hr, i.scale), smallest=BOX),
    Metric("flip", "FLIP", "", False, 4, lambda i: flip(i.rgb, i.hr, i.scale), FLIP.missing, largest=_WHOLE_IMAGE),
    Metric(
        "ssimulacra2",
        "SSIMULACRA 2",
        "",
        True,
        2,
        lambda i: ssimulacra2(i.rgb, i.hr, i.scale),
        SSIMULACRA2.missing,
        ssimulacra.SMALLEST,
        _MANY_PLANES,
    ),
    Metric(
        "perceptual_distance",
        "perceptual distance",
        "",
        False,
        4,
        lambda i: learned.perceptual_distance(i.rgb, i.hr, i.scale),
        smallest=learned.PERCEPTUAL_SMALLEST,
        largest=_MANY_PLANES,
    ),
    Metric(
        "lpips",
        "LPIPS",
        "",
        False,
        4,
        lambda i: learned.lpips(i.rgb, i.hr, i.scale),
        learned.LPIPS.missing,
        learned.LPIPS_SMALLEST,
        _MANY_PLANES,
    ),
    Metric(
        "dists",
        "DISTS",
        "",
        False,
        4,
        lambda i: learned.dists(i.rgb, i.hr, i.scale),
        learned.DISTS.missing,
        learned.DISTS_SMALLEST,
        _MANY_PLANES,
    ),
)

METRICS: Mapping[str, Metric] = {metric.name: metric for metric in _ALL}
"""All metrics by name, in the order of tables."""

FIDELITY_METRICS = ("psnr_y", "ssim_y", "psnr_rgb")
"""Metrics that are always measured."""


def metric(name: str) -> Metric:
    """Return the metric `name`; raise `MetricError` that suggests the nearest name if it is unknown.

    >>> metric("colour_shift").higher_is_better
    False
    """
    if name not in METRICS:
        raise unknown_name("metric", name, METRICS, MetricError)
    return METRICS[name]
