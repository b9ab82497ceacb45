"""Every metric by name: what the rows call it, how a table shows it, and how it is measured."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nitido.base.errors import unknown_name
from nitido.evaluation.metrics import learned, multiscale, ssimulacra
from nitido.evaluation.metrics.colour import BOX, colour_shift
from nitido.evaluation.metrics.consistency import lr_consistency
from nitido.evaluation.metrics.fidelity import SSIM_SMALLEST, psnr, psnr_rgb, ssim
from nitido.evaluation.metrics.ldr_flip import FLIP, flip
from nitido.evaluation.metrics.multiscale import ms_ssim
from nitido.evaluation.metrics.pictures import MetricError, luma
from nitido.evaluation.metrics.ssimulacra import SSIMULACRA2, ssimulacra2


@dataclass(frozen=True)
class MetricInput:
    """One enlarged picture with everything it can be measured against.

    Attributes:
        rgb: the result to look at, `(H, W, 3)` uint8.
        scored: the result's plane that is scored, `(H, W)` in [0, 255], or an RGB picture `(H, W, 3)` uint8 whose Y is.
        hr: the truth, `(H, W, 3)` uint8.
        lr: what was enlarged, `(H / scale, W / scale, 3)` uint8.
        scale: the factor, and how many pixels of border are shaved.
        grey: whether the three channels of `hr` and `lr` are one.
    """

    rgb: NDArray[np.uint8]
    scored: NDArray[np.float64] | NDArray[np.uint8]
    hr: NDArray[np.uint8]
    lr: NDArray[np.uint8]
    scale: int
    grey: bool

    @property
    def truth(self) -> NDArray[np.uint8]:
        """What of `hr` `scored` is compared with: the picture, whose Y counts, or the plane of a grey one."""
        return self.hr[..., 0] if self.grey else self.hr


def _nothing_missing() -> None:
    return None


@dataclass(frozen=True)
class Metric:
    """A measure of one enlarged picture.

    Attributes:
        name: in the rows and on the command line.
        title: for people, without the unit.
        unit: "" for a pure number.
        higher_is_better: the direction.
        decimals: how many are worth printing.
        measure: the value; raises `MetricError`, of which `MetricNotAvailableError` says that there is none here.
        missing: why it can be measured on no picture at all (a package, its weights), or None.
        smallest: pixels a side that it needs after the border is shaved.
        largest: pixels of the largest picture that it is measured on, for its memory grows with them; None: any size.
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

    def too_large(self, height: int, width: int) -> str | None:
        """Why a picture of this size is not measured; None where it is not too large."""
        if self.largest is None or height * width <= self.largest:
            return None
        return (
            f"a picture of {width}×{height} is too large for {self.title}, which is measured on at most "
            f"{self.largest / 1e6:.1f} million pixels"
        )


_WHOLE_PICTURE = 2**24
"""Pixels of which MS-SSIM and FLIP, with about 150 bytes for each, need 2.5 GB."""

_MANY_PLANES = 2**23
"""Pixels of which SSIMULACRA 2 and features of networks, with 300 to 450 bytes for each, need 2.5 to 3.6 GB."""

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
        largest=_WHOLE_PICTURE,
    ),
    Metric(
        "lr_consistency", "PSNR of the shrunk result", "dB", True, 2, lambda i: lr_consistency(i.rgb, i.lr, i.scale)
    ),
    Metric(
        "colour_shift", "colour shift", "ΔE00", False, 2, lambda i: colour_shift(i.rgb, i.hr, i.scale), smallest=BOX
    ),
    Metric("flip", "FLIP", "", False, 4, lambda i: flip(i.rgb, i.hr, i.scale), FLIP.missing, largest=_WHOLE_PICTURE),
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
"""Everything that can be measured of an enlarged picture, by the names in the rows, in the order of a table."""

FIDELITY_METRICS = ("psnr_y", "ssim_y", "psnr_rgb")
"""What is always measured."""


def metric(name: str) -> Metric:
    """The metric `name`; raises `MetricError` that names the nearest one.

    >>> metric("colour_shift").higher_is_better
    False
    """
    if name not in METRICS:
        raise unknown_name("metric", name, METRICS, MetricError)
    return METRICS[name]
