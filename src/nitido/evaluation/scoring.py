"""Measure a network or bicubic on images under the protocol."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nitido.architectures import SuperResolutionNetwork
from nitido.base.activity import announced
from nitido.base.device import device_of, full_float32
from nitido.base.notes import note
from nitido.data import Store, center_crop
from nitido.evaluation.metrics import (
    FIDELITY_METRICS,
    MetricError,
    MetricInput,
    MetricNotAvailableError,
    luma,
    metric,
)
from nitido.evaluation.protocol import PROTOCOL, PSNR_CAP
from nitido.imaging import bicubic_upscale, is_flat, rgb_to_ycbcr, ycbcr_to_rgb
from nitido.models.channels_last import channels_last
from nitido.models.tiling import upscale

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class UpscaledImage:
    """One upscaled image: `rgb` `(H, W, 3)` uint8, and `scored`, which is compared with the ground truth.

    `scored` is a plane `(H, W)` in [0, 255], or an RGB image whose Y is scored.
    """

    rgb: Image
    scored: NDArray[np.float64] | Image

    @property
    def y(self) -> NDArray[np.float64]:
        """The whole scored plane `(H, W)` in [0, 255] as float64 (8 bytes per pixel)."""
        return luma(self.scored)


@dataclass(frozen=True)
class Score:
    """The scores of one image. `metrics` maps names (`psnr_y`, `ssim_y`, …) to values."""

    image: str
    metrics: dict[str, float]

    def rows(self, scale: int) -> list[dict[str, object]]:
        """Return one row per metric, with the columns that every table of results has."""
        return [
            {"scale": scale, "image": self.image, "metric": metric, "value": value, "protocol": PROTOCOL}
            for metric, value in self.metrics.items()
        ]


class NonFiniteOutputError(MetricError):
    """The output of a network contains NaN or infinite values and cannot be scored."""


class Upscaler(Protocol):
    """A callable that upscales an RGB image `(h, w, 3)` uint8; `grey` says that its three channels are equal."""

    def __call__(self, lr: Image, *, grey: bool) -> UpscaledImage:
        """Upscale `lr`."""
        ...


class BicubicUpscaler:
    """MATLAB's bicubic, from uint8 to uint8."""

    def __init__(self, scale: int) -> None:
        """Upscale by `scale`."""
        self.scale = scale

    def __call__(self, lr: Image, *, grey: bool) -> UpscaledImage:
        """Upscale `lr` by the scale."""
        rgb = bicubic_upscale(lr, self.scale)
        return UpscaledImage(rgb, rgb[..., 0] if grey else rgb)


class NetworkUpscaler:
    """Upscale with a network in float32 and eval mode; very large images are split into exact tiles.

    A network with one channel receives Y (BT.601 studio range; a gray image unchanged); its color channels are bicubic.
    """

    def __init__(self, network: SuperResolutionNetwork, device: torch.device | None = None) -> None:
        """Use `network`, moved to `device` if given."""
        self.network = network if device is None else network.to(device)
        self.scale = network.scale

    @torch.inference_mode()
    def __call__(self, lr: Image, *, grey: bool) -> UpscaledImage:
        """Upscale `lr` by the scale of the network."""
        device = device_of(self.network)
        rgb = channels_last(torch.from_numpy(lr.copy()).to(device).permute(2, 0, 1)[None].float().div_(255))
        with _eval_mode(self.network), full_float32(device):
            return self._color(rgb, grey) if self.network.channels == 3 else self._luma_only(rgb, lr, grey)

    def _color(self, rgb: Tensor, grey: bool) -> UpscaledImage:
        out = _image(upscale(self.network, rgb, finish=_to_uint8))
        if grey:
            plane = np.empty(out.shape[:2], np.uint8)
            for band in _bands(out.shape):
                plane[band] = np.rint(out[band].astype(np.float64) @ _FULL_RANGE_LUMA)
            return UpscaledImage(out, plane)
        return UpscaledImage(out, out)

    def _luma_only(self, rgb: Tensor, lr: Image, grey: bool) -> UpscaledImage:
        if grey:
            out = _image(upscale(self.network, rgb[:, :1], finish=_to_uint8))
            return UpscaledImage(np.repeat(out, 3, axis=2), out[..., 0])
        sr_y = upscale(self.network, rgb_to_ycbcr(rgb)[:, :1])
        scored = np.empty(sr_y.shape[-2:], np.uint8)
        bicubic = bicubic_upscale(lr, self.scale)
        for band in _bands(bicubic.shape):
            y = sr_y[..., band, :]
            scored[band] = _image(_to_uint8(y))[..., 0]
            color = torch.from_numpy(bicubic[band]).to(rgb.device).permute(2, 0, 1)[None].float() / 255
            mixed = torch.cat([y, rgb_to_ycbcr(color)[:, 1:]], dim=1)
            bicubic[band] = _image(_to_uint8(ycbcr_to_rgb(mixed)))
        return UpscaledImage(bicubic, scored)


@contextmanager
def _eval_mode(network: nn.Module) -> Iterator[None]:
    """Put every module in eval mode, and restore its mode afterwards; frozen modules may be in eval mode already."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


_FULL_RANGE_LUMA = np.array([0.299, 0.587, 0.114])
"""BT.601 luma without studio scaling, which merges the three channels of a gray image."""


_BAND = 1 << 22  # pixels per conversion


def _bands(shape: tuple[int, ...]) -> Iterator[slice]:
    """Yield slices of the rows of `(H, W, …)`."""
    high = max(1, _BAND // shape[1])
    return (slice(top, min(top + high, shape[0])) for top in range(0, shape[0], high))


def _to_uint8(out: Tensor) -> Tensor:
    """Round and clip finite floats in [0, 1] to uint8 of the same shape.

    Raises `NonFiniteOutputError` for NaN and infinite numbers, which would become arbitrary pixels.
    """
    if not bool(torch.isfinite(out).all()):
        raise NonFiniteOutputError("the network's output has values that are no finite numbers")
    return (out.float() * 255).round().clamp(0, 255).to(torch.uint8)


def _image(out: Tensor) -> Image:
    """Convert `(1, C, H, W)` uint8 to `(H, W, C)`."""
    return out[0].permute(1, 2, 0).cpu().numpy()


def score(given: MetricInput, metrics: Sequence[str] = FIDELITY_METRICS) -> dict[str, float]:
    """Return the `metrics` of one upscaled image under the protocol; all values are finite.

    Metrics that are not available for the image or its size are left out, and a PSNR is limited to `PSNR_CAP`. All
    values in rows, means and reports come from here.

    Raises:
        MetricError: The images cannot be compared, or a metric is not finite.
    """
    values: dict[str, float] = {}
    for name in metrics:
        kind = metric(name)
        if kind.too_large(*given.hr.shape[:2]):
            continue
        with suppress(MetricNotAvailableError):
            value = kind.measure(given)
            values[name] = min(value, PSNR_CAP) if kind.unit == "dB" else value
            if not math.isfinite(values[name]):
                raise MetricError(f"{kind.title} is {value}, not a finite number")
    return values


def require_measurable(
    store: Store, scale: int, metrics: Sequence[str] = FIDELITY_METRICS, side: int | None = None
) -> None:
    """Raise `MetricError` for the first image that is too small or too large for one of `metrics`.

    Otherwise means over different images would be compared. With a `side`, only the center of each image is measured,
    at most this many HR pixels wide and high.
    """
    for name, size in zip(store.names, store.lr_sizes(scale), strict=True):
        height, width = (min(length, side // scale if side else length) * scale for length in size)
        for kind in map(metric, metrics):
            if reason := kind.too_large(height, width):
                raise MetricError(f"{name} of {store.name}: {reason}: leave this metric out, or crop the image")
            needed = kind.smallest + 2 * scale
            if min(height, width) < needed:
                raise MetricError(
                    f"{name} of {store.name}: an image of {width}×{height} is too small to compare: {kind.title} at "
                    f"×{scale} needs {needed} pixels a side; leave this metric or this image out"
                )


def unmeasurable(store: Store, scale: int, name: str) -> str | None:
    """Return why the metric `name` has no mean over `store`: its package or the size of an image; None if it has."""
    if reason := metric(name).missing():
        return reason
    try:
        require_measurable(store, scale, [name])
    except MetricError as error:
        return str(error)
    return None


def measure(
    upscale: Upscaler,
    store: Store,
    index: int,
    scale: int,
    metrics: Sequence[str] = FIDELITY_METRICS,
    side: int | None = None,
) -> tuple[UpscaledImage, dict[str, float]]:
    """Upscale image `index` of `store`; return the result and its `metrics` against the ground truth.

    With a `side`, only the center of the image is used, at most this many HR pixels wide and high. The store must
    contain the low-resolution images of `scale`. Raises `MetricError` with the name of the image if it is too small,
    and `NonFiniteOutputError` if the output is not finite.
    """
    grey = store.grey[index]
    lr, hr = center_crop(store, index, scale, side)
    try:
        upscaled = upscale(lr, grey=grey)
        if is_flat(upscaled.rgb) and not is_flat(lr):
            note(f"{store.names[index]} of {store.name}: the enlarged image is one flat color, its source is not")
        return upscaled, score(MetricInput(upscaled.rgb, upscaled.scored, hr, lr, scale, grey), metrics)
    except MetricError as error:
        kind = NonFiniteOutputError if isinstance(error, NonFiniteOutputError) else MetricError
        raise kind(f"{store.names[index]} of {store.name}: {error}") from None


def evaluate(upscale: Upscaler, store: Store, scale: int, metrics: Sequence[str] = FIDELITY_METRICS) -> Iterator[Score]:
    """Yield the score of every image of `store`, one at a time, so that memory does not depend on their number."""
    for index, name in enumerate(announced(store.names, f"evaluating on {store.name} ×{scale}")):
        yield Score(name, measure(upscale, store, index, scale, metrics)[1])
