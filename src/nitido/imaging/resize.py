"""MATLAB's bicubic `imresize` for integer scales: bit-exact for integer images, differentiable for tensors.

Keys' cubic kernel with a = -0.5, widened by the scale when downscaling (antialiasing). Borders are mirrored with the
edge pixel repeated. The height is resized first, then the width. Integer images are rounded (half up) and clipped after
each of the two passes.

The kernel is only sampled at multiples of 1/(2k), so its weights are fractions with one small denominator. Integer
images are computed with the integer numerators. This is exact: the order of summation, the compiler and the processor
cannot change a bit.
"""

from dataclasses import dataclass
from math import gcd
from typing import Any, TypeVar, overload

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nitido.base.errors import NitidoError

SCALES = range(2, 9)
"""The scales that `bicubic_downscale` and `bicubic_upscale` support."""

_Unsigned = TypeVar("_Unsigned", np.uint8, np.uint16)
_FLOAT32_EXACT = 2**24  # float32 represents all integers up to this one
_STRIP = 2**19  # numbers per step; they stay in the cache, which is 2.5 times faster than a whole image


class ImagingError(NitidoError):
    """An image or a scale that the imaging functions do not support."""


@dataclass(frozen=True, slots=True)
class _Filter:
    """A 1-D polyphase filter: output pixel `step_out * i + p` sums weighted input pixels `step_in * i + offset`."""

    phases: tuple[tuple[tuple[int, int], ...], ...]  # for each p: (offset, numerator of the weight)
    denominator: int
    step_in: int  # k for downscaling, else 1; `step_out` is the number of phases

    def count(self, size: int) -> int:
        """Return the number of output pixels of each phase for `size` input pixels."""
        return (size + self.step_in - 1) // self.step_in  # no negative dividend, because ONNX truncates

    def length(self, size: int) -> int:
        """Return the number of output pixels for `size` input pixels."""
        return self.count(size) * len(self.phases)

    @property
    def reach(self) -> int:
        """Maximum distance that the filter extends beyond either end of the image."""
        offsets = [offset for phase in self.phases for offset, _ in phase]
        return max(-min(offsets), max(offsets))


@overload
def bicubic_downscale(image: npt.NDArray[_Unsigned], k: int) -> npt.NDArray[_Unsigned]: ...
@overload
def bicubic_downscale(image: Tensor, k: int) -> Tensor: ...
def bicubic_downscale(image: npt.NDArray[Any] | Tensor, k: int) -> npt.NDArray[Any] | Tensor:
    """Downscale `image` by `k` in 2..8 as MATLAB's `imresize(image, 1 / k)` does.

    Args:
        image: NumPy uint8 or uint16 `(H, W)` or `(H, W, C)`, or a float tensor `(N, C, H, W)`.
        k: The scale.

    Returns:
        The same type, `ceil(H / k)` high and `ceil(W / k)` wide. Arrays are rounded; tensors are neither rounded nor
        clipped, and gradients flow.

    Raises:
        ImagingError: Another scale, type or shape.

    >>> bicubic_downscale(np.array([[0, 0, 255, 255], [0, 0, 255, 255]], dtype=np.uint8), 2)
    array([[ 14, 241]], dtype=uint8)
    """
    return _resize(image, _DOWNSCALING[_checked_scale(k)])


@overload
def bicubic_upscale(image: npt.NDArray[_Unsigned], k: int) -> npt.NDArray[_Unsigned]: ...
@overload
def bicubic_upscale(image: Tensor, k: int) -> Tensor: ...
def bicubic_upscale(image: npt.NDArray[Any] | Tensor, k: int) -> npt.NDArray[Any] | Tensor:
    """Upscale `image` by `k` in 2..8 as MATLAB's `imresize(image, k)` does.

    Types and errors are those of `bicubic_downscale`. The result is exactly `k` times as high and wide.

    >>> bicubic_upscale(np.array([[0, 255]], dtype=np.uint8), 2)
    array([[  0,  52, 203, 255],
           [  0,  52, 203, 255]], dtype=uint8)
    """
    return _resize(image, _UPSCALING[_checked_scale(k)])


def crop_to_multiple(image: npt.NDArray[Any], k: int) -> npt.NDArray[Any]:
    """Crop `(H, W)` or `(H, W, C)` at the bottom and right to multiples of `k` ("modcrop"); return a view.

    >>> crop_to_multiple(np.zeros((7, 9, 3)), 4).shape
    (4, 8, 3)
    """
    height, width = image.shape[:2]
    return image[: height - height % k, : width - width % k]


def _checked_scale(k: int) -> int:
    if k not in SCALES:
        raise ImagingError(f"cannot resize by {k!r}: the scale must be an integer from {SCALES[0]} to {SCALES[-1]}")
    return int(k)


def _cubic(m: int, k: int) -> int:
    """Return Keys' kernel (IEEE TASSP 29, 1981; a = -1/2) at distance m / (2k), times 16 k³, always an integer."""
    m, unit = abs(m), 2 * k
    if m <= unit:
        return 3 * m**3 - 5 * m**2 * unit + 2 * unit**3
    if m < 2 * unit:
        return -(m**3) + 5 * m**2 * unit - 8 * m * unit**2 + 4 * unit**3
    return 0


def _downscaling_filter(k: int) -> _Filter:
    """Return the downscaling filter: output i is centered at input k·i + (k - 1) / 2, with a kernel k times as wide."""
    weights = [(offset, _cubic(2 * offset - k + 1, k)) for offset in range(-2 * k, 3 * k)]
    return _reduced([weights], step_in=k)


def _upscaling_filter(k: int) -> _Filter:
    """Return the upscaling filter: output k·i + p is centered at input i + (2p + 1 - k) / 2k."""
    weights = [[(offset, _cubic(2 * p + 1 - k - 2 * k * offset, k)) for offset in range(-2, 3)] for p in range(k)]
    return _reduced(weights, step_in=1)


def _reduced(phases: list[list[tuple[int, int]]], step_in: int) -> _Filter:
    """Drop zero weights and cancel the fractions. The weights of a phase then sum to the denominator."""
    divisor = gcd(*(weight for phase in phases for _, weight in phase))
    kept = tuple(tuple((offset, weight // divisor) for offset, weight in phase if weight) for phase in phases)
    return _Filter(kept, denominator=sum(weight for _, weight in kept[0]), step_in=step_in)


_DOWNSCALING = {k: _downscaling_filter(k) for k in SCALES}
_UPSCALING = {k: _upscaling_filter(k) for k in SCALES}


def _resize(image: npt.NDArray[Any] | Tensor, taps: _Filter) -> npt.NDArray[Any] | Tensor:
    if isinstance(image, Tensor):
        return _resize_tensor(image, taps)
    return _resize_array(image, taps)


def _resize_tensor(image: Tensor, taps: _Filter) -> Tensor:
    if image.ndim != 4 or not image.is_floating_point():
        raise ImagingError(f"cannot resize a {image.dtype} tensor {tuple(image.shape)}: it must be float (N, C, H, W)")
    if type(image) is Tensor and image.is_meta:  # only the shape; subclasses record the operations
        return image.new_empty(*image.shape[:2], *map(taps.length, image.shape[2:]))
    values = image.to(torch.promote_types(image.dtype, torch.float32))  # sums in half precision are inaccurate
    for dim in (2, 3):
        values = _filtered(values, taps, dim, 1 / taps.denominator)
    return values.to(image.dtype)


def _resize_array(image: npt.NDArray[Any], taps: _Filter) -> npt.NDArray[Any]:
    if image.dtype not in (np.uint8, np.uint16) or image.ndim not in (2, 3) or 0 in image.shape:
        raise ImagingError(
            f"cannot resize a {image.dtype} image {image.shape}: it must be uint8 or uint16, (H, W) or (H, W, C)"
        )
    planes = torch.from_numpy(np.array(np.atleast_3d(image).transpose(2, 0, 1), order="C"))
    for _ in ("height", "width"):
        planes = _filtered_exactly(planes, taps).transpose(1, 2).contiguous()
    resized: npt.NDArray[Any] = planes.permute(1, 2, 0).contiguous().numpy()
    return resized.reshape(resized.shape[:2] + image.shape[2:])


def _filtered_exactly(planes: Tensor, taps: _Filter) -> Tensor:
    """Filter integer planes `(C, n, m)` along n and round to their type. The sums use the smallest exact float type."""
    channels, size, columns = planes.shape
    largest = torch.iinfo(planes.dtype).max
    half = taps.denominator // 2
    bound = largest * max(sum(abs(weight) for _, weight in phase) for phase in taps.phases) + half
    exact = torch.float32 if bound <= _FLOAT32_EXACT else torch.float64
    length = taps.length(size)
    rounded = torch.empty((channels, length, columns), dtype=planes.dtype)
    width = max(16, _STRIP // (channels * length))
    for start in range(0, columns, width):
        sums = _filtered(planes[:, :, start : start + width].to(exact), taps, 1, 1)
        sums = sums.add_(half).div_(taps.denominator).floor_().clamp_(0, largest)
        rounded[:, :, start : start + width] = sums
    return rounded


def _filtered(values: Tensor, taps: _Filter, dim: int, unit: float) -> Tensor:
    """Filter `values` along `dim`. Every weight is its numerator times `unit`."""
    count = taps.count(values.shape[dim])
    reach = taps.reach
    mirrored = _mirrored(values, dim, reach, count * taps.step_in + reach)
    span = (count - 1) * taps.step_in + 1
    outputs = []
    for phase in taps.phases:
        total: Tensor | None = None
        for offset, weight in phase:
            pixels = mirrored.narrow(dim, reach + offset, span)
            if taps.step_in > 1:
                pixels = pixels[(slice(None),) * dim + (slice(None, None, taps.step_in),)]
            total = pixels * (weight * unit) if total is None else total.add(pixels, alpha=weight * unit)
        assert total is not None
        outputs.append(total)
    return outputs[0] if len(outputs) == 1 else torch.stack(outputs, dim + 1).flatten(dim, dim + 1)


def _mirrored(values: Tensor, dim: int, before: int, end: int) -> Tensor:
    """Return `values` at the positions -before..end-1 along `dim`, mirrored at both edges as often as needed."""
    # The period is a tensor because the ONNX exporter does not support the remainder by a symbolic size.
    period = torch.full((1,), 2 * values.shape[dim], device=values.device)
    position = torch.arange(-before, end, device=values.device) % period
    return values.index_select(dim, torch.minimum(position, period - 1 - position))
