"""A model on real pictures: any size, 8 or 16 bits, grey or colour, with transparency, in bounded memory."""

from collections.abc import Callable
from math import ceil
from pathlib import Path
from typing import TypeVar, cast

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from nitido.architectures import SuperResolutionNetwork
from nitido.imaging import SCALES, bicubic_upscale
from nitido.imaging.files import Pixels
from nitido.inference.models import find_model
from nitido.inference.pictures.channels import fitting
from nitido.inference.pictures.resize_to import resize_to
from nitido.inference.pictures.target_size import TargetSize, UpscaleError
from nitido.inference.pictures.transparency import bled
from nitido.inference.pictures.write import to_bits
from nitido.inference.self_ensemble import SelfEnsemble
from nitido.inference.tiling import tiles
from nitido.inference.working_memory import bytes_per_pixel

BICUBIC = "bicubic"
"""The model that is no network."""

MEMORY = 1 << 31
"""Bytes that a network may work in, unless told otherwise; the picture and its result come on top."""

_SMALLEST_SIDE = 16
_LARGE_SIDE, _MANY_MARGINS = 192, 16  # larger pieces leave the caches, and their margins are no longer what costs time
_PREVIEW_MARGIN = 64  # LR pixels around a preview where the network sees the whole picture

Advance = Callable[[float], None]
"""Is told, piece by piece, which share of a picture has been enlarged; the shares of a picture add up to 1."""

Rectangle = tuple[int, int, int, int]
"""X, Y, width and height of a part of a picture, in its own pixels."""

ImageKind = TypeVar("ImageKind", npt.NDArray[np.uint8 | np.uint16], Image.Image)
"""A NumPy array or a PIL image."""


def _ignore(share: float) -> None:
    """Nobody watches."""


class Upscaler:
    """Enlarges pixels by a network, or by bicubic where `network` is None.

    A network that enlarges by k is run as often as the size needs, and MATLAB's bicubic shrinks what is too large.
    Between runs the pixels have 16 bits. Pieces of a picture, with the network's receptive field around them, give the
    pixels of the whole; `memory` is how many bytes the network may work in.
    """

    def __init__(self, network: SuperResolutionNetwork | None, *, self_ensemble: bool = False, memory: int = MEMORY):
        """Use `network`, which is put in eval mode; `self_ensemble` averages its look at eight symmetries."""
        if network is None and self_ensemble:
            raise UpscaleError("bicubic sees all eight symmetries alike: the self-ensemble is for networks")
        self.network = network.eval() if network is not None else None
        if self.network is not None and self_ensemble:
            self.network = SelfEnsemble(self.network).eval()
        self.memory = memory

    @property
    def own_scale(self) -> int | None:
        """The network's factor; None for bicubic, which has none."""
        return None if self.network is None else self.network.scale

    def enlarge(
        self, pixels: Pixels, alpha: Pixels | None, height: int, width: int, advance: Advance = _ignore
    ) -> tuple[Pixels, Pixels | None]:
        """Enlarge `(h, w, C)` uint8 or uint16 `pixels` and `(h, w)` `alpha` to `height` × `width`, types kept.

        C is 1 (grey) or 3 (RGB). Alpha is enlarged by bicubic; colours of wholly transparent pixels are those of their
        nearest neighbours, so that no fringe appears. Raises `UpscaleError` when the network's numbers are not finite,
        or a network that must see the whole picture has not the memory.
        """
        grown = None
        if alpha is not None:
            pixels = bled(pixels, alpha)
            grown = _bicubic(alpha[:, :, None], height, width)[:, :, 0]
        if self.network is None:
            enlarged = _bicubic(pixels, height, width)
            advance(1.0)
            return enlarged, grown
        network = fitting(self.network, pixels.shape[2]).eval()
        return _repeatedly(network, pixels, height, width, self.memory, advance), grown

    def enlarge_part(
        self, pixels: Pixels, alpha: Pixels | None, height: int, width: int, part: Rectangle, advance: Advance = _ignore
    ) -> tuple[Pixels, Pixels | None]:
        """What `enlarge` makes of a rectangle of the picture, without enlarging the rest.

        The same pixels, where the size is a power of the network's factor; elsewhere the grid of the last bicubic may
        lie up to half a pixel beside. Raises `UpscaleError` also when the rectangle does not lie in the picture.
        """
        x, y, wide, high = part
        all_high, all_wide = pixels.shape[:2]
        if min(x, y) < 0 or min(wide, high) < 1 or x + wide > all_wide or y + high > all_high:
            raise UpscaleError(f"the part {x},{y},{wide},{high} does not lie in the picture of {all_wide}×{all_high}")
        margin = self._margin(height / all_high)
        left, top = max(0, x - margin), max(0, y - margin)
        right, bottom = min(all_wide, x + wide + margin), min(all_high, y + high + margin)
        window = (slice(top, bottom), slice(left, right))
        down, across = height / all_high, width / all_wide
        sizes = (ceil((bottom - top) * down - 1e-9), ceil((right - left) * across - 1e-9))
        enlarged, grown = self.enlarge(pixels[window], None if alpha is None else alpha[window], *sizes, advance)
        rows = slice(round((y - top) * down), round((y - top + high) * down))
        columns = slice(round((x - left) * across), round((x - left + wide) * across))
        return enlarged[rows, columns], None if grown is None else grown[rows, columns]

    def _margin(self, factor: float) -> int:
        """LR pixels around a part that its enlarged pixels depend on."""
        if self.network is None:
            return 4
        radius = self.network.receptive_field_radius
        if radius is None:
            return _PREVIEW_MARGIN
        runs = _runs(self.network.scale, factor)
        return 4 + sum(ceil(max(radius, 2) / float(self.network.scale) ** run) for run in range(runs))


def load_upscaler(
    model: str | Path | SuperResolutionNetwork, *, self_ensemble: bool = False, memory: int = MEMORY
) -> Upscaler:
    """An upscaler for `bicubic`, a run directory, a `.safetensors` file, or a network.

    Raises `ModelFileError` when it is none of them.
    """
    if isinstance(model, SuperResolutionNetwork):
        network: SuperResolutionNetwork | None = model
    else:
        network = None if str(model) == BICUBIC else find_model(model).network
    return Upscaler(network, self_ensemble=self_ensemble, memory=memory)


def upscale(
    image: ImageKind,
    model: str | Path | SuperResolutionNetwork,
    scale: float | None = None,
    *,
    self_ensemble: bool = False,
    memory: int = MEMORY,
) -> ImageKind:
    """Enlarge `image` by `scale`; without one by the model's own factor. The result is of the same kind.

    `image` is a NumPy uint8 or uint16 array over the full range, `(H, W)` grey, `(H, W, 3)` RGB or `(H, W, 4)` RGB and
    alpha, or a PIL image of mode L, LA, RGB, RGBA or I;16. `model` is `bicubic`, a run directory, a `.safetensors` file
    or a network; `memory` is how many bytes the network may work in. Raises `UpscaleError` for other images and scales.

    >>> upscale(np.array([[0, 255]], dtype=np.uint8), "bicubic", 2)
    array([[  0,  52, 203, 255],
           [  0,  52, 203, 255]], dtype=uint8)
    """
    target = TargetSize(scale=scale)
    if isinstance(image, Image.Image):
        if image.mode not in ("L", "LA", "RGB", "RGBA", "I;16"):
            raise UpscaleError(f"a PIL image of mode {image.mode}: it must be L, LA, RGB, RGBA or I;16; convert it")
        samples: Pixels = np.asarray(image)
    else:
        samples = image
    upscaler = load_upscaler(model, self_ensemble=self_ensemble, memory=memory)
    pixels, alpha = _split(samples, isinstance(image, Image.Image))
    size = target.of(pixels.shape[0], pixels.shape[1], upscaler.own_scale)
    enlarged, grown = upscaler.enlarge(pixels, alpha, *size)
    joined = enlarged if grown is None else np.dstack([enlarged, grown])
    joined = joined[:, :, 0] if samples.ndim == 2 else joined
    if not isinstance(image, Image.Image):
        return cast(ImageKind, joined)
    result = Image.fromarray(joined)
    result.info = {key: image.info[key] for key in ("icc_profile", "exif", "xmp", "dpi") if key in image.info}
    return result


def _split(samples: Pixels, two_channels: bool) -> tuple[Pixels, Pixels | None]:
    """Colours `(H, W, C)` and alpha; `two_channels`: grey with alpha is known, too."""
    shape = samples.shape
    channels = shape[2] if samples.ndim == 3 else 1
    known = (1, 2, 3, 4) if two_channels else (3, 4)
    fits = samples.ndim == 2 or (samples.ndim == 3 and channels in known)
    if not fits or samples.size == 0 or samples.dtype not in (np.uint8, np.uint16):
        raise UpscaleError(
            f"a {samples.dtype} array {shape}: it must be uint8 or uint16, (H, W), (H, W, 3) or (H, W, 4)"
        )
    planes = samples.reshape(shape[0], shape[1], channels)
    colours = 1 if channels < 3 else 3
    return planes[:, :, :colours], planes[:, :, colours] if channels > colours else None


def _bicubic(pixels: Pixels, height: int, width: int) -> Pixels:
    """MATLAB's bicubic to any size: by exact integers where the factor is one."""
    factor = height // pixels.shape[0]
    if factor in SCALES and (height, width) == (factor * pixels.shape[0], factor * pixels.shape[1]):
        enlarged: Pixels = bicubic_upscale(pixels, factor)  # type: ignore[type-var]
        return enlarged
    return resize_to(pixels, height, width)


def _runs(scale: int, factor: float) -> int:
    """How often a network that enlarges by `scale` must run for `factor`."""
    runs = 1
    while scale**runs < factor - 1e-9:
        runs += 1
    return runs


def _repeatedly(
    network: SuperResolutionNetwork, pixels: Pixels, height: int, width: int, memory: int, advance: Advance
) -> Pixels:
    bits, scale = pixels.dtype.itemsize * 8, network.scale
    runs = _runs(scale, max(height / pixels.shape[0], width / pixels.shape[1]))
    exact = (height, width) == (pixels.shape[0] * scale**runs, pixels.shape[1] * scale**runs)
    work = [scale ** (2 * run) for run in range(runs)]
    for run in range(runs):

        def advanced(part: float, share: float = work[run] / sum(work)) -> None:
            advance(part * share)

        last = exact and run == runs - 1
        pixels = _run(network, pixels, bits if last else 16, memory, advanced)
    return pixels if exact else to_bits(resize_to(pixels, height, width), bits)


@torch.inference_mode()
def _run(network: SuperResolutionNetwork, pixels: Pixels, bits: int, memory: int, advance: Advance) -> Pixels:
    """Enlarge once, piece by piece; only the pixels of the result, and never its floats, exist as a whole."""
    height, width, channels = pixels.shape
    scale, margin = network.scale, network.receptive_field_radius
    need = bytes_per_pixel(network)
    if margin is None:
        if need * height * width > memory:
            raise UpscaleError(
                f"this model must see the whole picture at once: {width}×{height} needs about "
                f"{ceil(need * height * width / 2**20)} MB of memory, {memory // 2**20} MB are allowed"
            )
        margin, side = 0, max(height, width)
    else:
        fitting_side = int((memory / need) ** 0.5) - 2 * margin
        side = max(_SMALLEST_SIDE, min(fitting_side, max(_LARGE_SIDE, _MANY_MARGINS * margin)))
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    result = np.empty((height * scale, width * scale, channels), dtype=np.uint8 if bits == 8 else np.uint16)
    for row in tiles(height, side, margin):
        for column in tiles(width, side, margin):
            lr = _to_tensor(pixels[row.start : row.stop, column.start : column.stop]).to(device)
            top, left = scale * (row.first - row.start), scale * (column.first - column.start)
            tall, wide = scale * (row.last - row.first), scale * (column.last - column.first)
            own = _enlarged(network, lr)[..., top : top + tall, left : left + wide]
            target = result[scale * row.first : scale * row.last, scale * column.first : scale * column.last]
            target[...] = _to_samples(own, bits)
            advance((row.last - row.first) * (column.last - column.first) / (height * width))
    return result


def _enlarged(network: SuperResolutionNetwork, lr: Tensor) -> Tensor:
    try:
        return network(lr)
    except (MemoryError, torch.OutOfMemoryError):
        raise UpscaleError("not enough memory for a piece of the picture: allow the network less") from None
    except RuntimeError as error:
        if "DefaultCPUAllocator" not in str(error):  # what PyTorch raises on the CPU
            raise
        raise UpscaleError("not enough memory for a piece of the picture: allow the network less") from None


def _to_tensor(pixels: Pixels) -> Tensor:
    """`(h, w, C)` of 8 or 16 bits to `(1, C, h, w)` float32 in [0, 1]."""
    values = np.ascontiguousarray(pixels.transpose(2, 0, 1)).astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
    return torch.from_numpy(values)[None]


def _to_samples(enlarged: Tensor, bits: int) -> Pixels:
    """`(1, C, h, w)` float to `(h, w, C)` of `bits`, rounded and clipped; raises where it is not finite."""
    if not bool(torch.isfinite(enlarged).all()):
        raise UpscaleError("the model gives NaN or infinite pixels for this picture")
    largest = (1 << bits) - 1
    rounded = (enlarged[0].float() * largest).round().clamp(0, largest).permute(1, 2, 0).cpu().numpy()
    return rounded.astype(np.uint8 if bits == 8 else np.uint16)
