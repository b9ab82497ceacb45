"""Apply a network to a whole image in tiles, so that only integer pixels are stored for the whole image."""

from collections.abc import Callable, Iterator
from math import ceil
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from nitido.architectures import SuperResolutionNetwork
from nitido.base.device import device_of, full_float32
from nitido.base.out_of_memory import unless_out_of_memory
from nitido.imaging.files import Pixels
from nitido.models.bfloat16 import calculator
from nitido.models.channels_last import channels_last
from nitido.models.tiling import SMALLEST_SIDE, Tile, process_tiles, tiles
from nitido.models.working_memory import bytes_per_pixel
from nitido.upscaling.images.target_size import UpscaleError
from nitido.upscaling.workspace import Workspace

Advance = Callable[[float], None]
"""Called after each tile with the share of the image that it covers; the shares of an image add up to 1."""

Note = Callable[[str], None]
"""Called with a message if processing differs from what was requested; messages may repeat."""

MEMORY = 1 << 31
"""Default memory limit for inference in bytes, without the image and its result."""

_LARGE_SIDE, _MANY_MARGINS = 192, 14  # larger tiles leave the caches, and their margins no longer dominate the time

REDONE = "bfloat16 gave implausible pixels: these tiles were computed again in float32"
CUT_SMALLER = "out of memory: the image was processed in smaller tiles"


def tile_size(network: SuperResolutionNetwork, height: int, width: int, memory: int = MEMORY) -> tuple[int, int]:
    """Return the size (height, width) of the largest tile with its margin for an image of `height` × `width`."""
    margin = network.receptive_field_radius
    if margin is None:
        return height, width
    side = _largest_side(margin, bytes_per_pixel(network), memory)
    high, wide = (max(tile.stop - tile.start for tile in _cut(length, side, margin)) for length in (height, width))
    return high, wide


class TilingContext(NamedTuple):
    """Callbacks and array allocation for tiled inference."""

    advance: Advance
    note: Note
    workspace: Workspace


class TiledInference:
    """Apply a network in tiles, within a number of bytes of memory, optionally in bfloat16.

    A bfloat16 tile that is not finite, or black although its input is not, is computed again in float32. If a tile does
    not fit into the memory of the machine, it and the following tiles are cut to half the side.
    """

    def __init__(self, network: SuperResolutionNetwork, memory: int, bfloat16: bool) -> None:
        self.network = network
        self.memory = memory
        self.bfloat16 = bfloat16
        self._calculate = calculator(network, bfloat16)
        self.device = device_of(network)

    @torch.inference_mode()
    def run(self, pixels: Pixels, bits: int, context: TilingContext) -> Pixels:
        """Return `(h, w, C)` `pixels` upscaled to `(k·h, k·w, C)` with `bits` per sample.

        Raises:
            UpscaleError: The output is not finite, or the smallest tile does not fit into memory.
        """
        height, width, channels = pixels.shape
        scale = self.network.scale
        dtype = np.uint8 if bits == 8 else np.uint16
        result = context.workspace.empty((height * scale, width * scale, channels), dtype)

        def process(row: Tile, column: Tile) -> bool:
            samples = self._samples(pixels, row, column, bits, context.note)
            if samples is None:
                return False
            result[row.place(scale), column.place(scale)] = samples
            context.advance((row.last - row.first) * (column.last - column.first) / (height * width))
            return True

        side, margin = self._side(height, width), self.network.receptive_field_radius
        complete = process_tiles(
            _cut(height, side, margin or 0),
            list(_cut(width, side, margin or 0)),
            (height, width),
            margin,
            process,
            on_split=lambda: context.note(CUT_SMALLER),
            after_row=context.workspace.release,
        )
        if not complete:
            raise UpscaleError("out of memory for a tile of the image: reduce --memory")
        return result

    def _side(self, height: int, width: int) -> int:
        """Return the side, with margins, of the largest useful tile that fits into memory."""
        need = bytes_per_pixel(self.network)
        if self.network.receptive_field_radius is None:
            if need * height * width > self.memory:
                raise UpscaleError(
                    f"this model must process the whole image at once: {width}×{height} needs about "
                    f"{ceil(need * height * width / 2**20)} MB of memory, but the limit is {self.memory // 2**20} MB"
                )
            return max(height, width)
        return _largest_side(self.network.receptive_field_radius, need, self.memory)

    def _samples(self, pixels: Pixels, row: Tile, column: Tile, bits: int, note: Note) -> Pixels | None:
        """Return the pixels of a tile without its margin; None if out of memory."""
        lr = _to_tensor(pixels[row.with_margin, column.with_margin]).to(self.device)
        with full_float32(self.device):
            upscaled = unless_out_of_memory(lambda: self._calculate(lr))
        if upscaled is None:
            return None
        if self.bfloat16 and _impossible(upscaled, lr):
            note(REDONE)
            with full_float32(self.device):
                upscaled = unless_out_of_memory(lambda: self.network(lr))
            if upscaled is None:
                return None
        scale = self.network.scale
        return _to_samples(upscaled[..., row.inner(scale), column.inner(scale)], bits)


def _largest_side(margin: int, need: float, memory: int) -> int:
    """Return the side of a tile with margins in LR pixels, if inference needs `need` bytes per LR pixel."""
    fitting_side = int((memory / need) ** 0.5)
    return max(SMALLEST_SIDE + 2 * margin, min(fitting_side, max(_LARGE_SIDE, _MANY_MARGINS * margin)))


def _cut(length: int, side: int, margin: int) -> Iterator[Tile]:
    """Split an axis of `length` pixels into tiles of at most `side` with margins; a single tile has no margin."""
    return tiles(length, length if length <= side else side - 2 * margin, margin)


def _impossible(upscaled: Tensor, lr: Tensor) -> bool:
    """Return whether `upscaled` is not finite, or all black although `lr` is not."""
    return not bool(torch.isfinite(upscaled).all()) or (bool((upscaled <= 0).all()) and bool((lr > 0).any()))


def _to_tensor(pixels: Pixels) -> Tensor:
    """Convert `(h, w, C)` of 8 or 16 bits to `(1, C, h, w)` float32 in [0, 1], channels last in memory."""
    values = pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
    return channels_last(torch.from_numpy(values).permute(2, 0, 1)[None])


def _to_samples(upscaled: Tensor, bits: int) -> Pixels:
    """Convert `(1, C, h, w)` float to `(h, w, C)` of `bits`, rounded and clipped; raise if it is not finite."""
    if not bool(torch.isfinite(upscaled).all()):
        raise UpscaleError("the model's output for this image is NaN or infinite")
    largest = (1 << bits) - 1
    rounded = (upscaled[0].float() * largest).round().clamp(0, largest).permute(1, 2, 0).cpu().numpy()
    return rounded.astype(np.uint8 if bits == 8 else np.uint16)
