"""One run of a network over a whole picture, piece by piece, so that only pixels and never floats lie there whole."""

from collections.abc import Callable, Iterator
from math import ceil
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from nitido.architectures import SuperResolutionNetwork
from nitido.base.out_of_memory import unless_out_of_memory
from nitido.imaging.files import Pixels
from nitido.models.bfloat16 import calculator
from nitido.models.channels_last import channels_last
from nitido.models.tiling import Tile, tiles
from nitido.models.working_memory import bytes_per_pixel
from nitido.upscaling.images.target_size import UpscaleError
from nitido.upscaling.workspace import Workspace

Advance = Callable[[float], None]
"""Is told, piece by piece, which share of a picture has been enlarged; the shares of a picture add up to 1."""

Note = Callable[[str], None]
"""Is told in words what had to be done otherwise than asked; the same words may come more than once."""

MEMORY = 1 << 31
"""Bytes that a network may work in, unless told otherwise; the picture and its result come on top."""

_SMALLEST_SIDE = 16
_LARGE_SIDE, _MANY_MARGINS = 192, 14  # larger pieces leave the caches, and their margins are no longer what costs time

REDONE = "bfloat16 gave impossible pixels: these pieces were calculated in float32"
CUT_SMALLER = "memory was short, so the picture was enlarged in smaller pieces"


def tile_size(network: SuperResolutionNetwork, height: int, width: int, memory: int = MEMORY) -> tuple[int, int]:
    """The size of the largest piece, with its margin, in which `network` enlarges a picture `height` × `width`."""
    margin = network.receptive_field_radius
    if margin is None:
        return height, width
    side = _largest_side(margin, bytes_per_pixel(network), memory)
    high, wide = (max(tile.stop - tile.start for tile in _cut(length, side, margin)) for length in (height, width))
    return high, wide


class TilingContext(NamedTuple):
    """What a picture meets on its way: who is told, and where its arrays lie."""

    advance: Advance
    note: Note
    workspace: Workspace


class TiledInference:
    """A network and how it is run: in how many bytes of memory, and whether in bfloat16.

    Where the network works in bfloat16 and a piece is not finite, or black although its input is not, it is done again
    in float32. Where a piece does not fit the machine's memory, it and those after it are cut to half the side.
    """

    def __init__(self, network: SuperResolutionNetwork, memory: int, bfloat16: bool) -> None:
        self.network = network
        self.memory = memory
        self.bfloat16 = bfloat16
        self._calculate = calculator(network, bfloat16)
        self.device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))

    @torch.inference_mode()
    def run(self, pixels: Pixels, bits: int, context: TilingContext) -> Pixels:
        """Enlarge `(h, w, C)` `pixels` to `(k·h, k·w, C)` of `bits`.

        Raises `UpscaleError` where the numbers are not finite, or the memory is not enough for the smallest piece.
        """
        height, width, channels = pixels.shape
        scale = self.network.scale
        dtype = np.uint8 if bits == 8 else np.uint16
        result = context.workspace.empty((height * scale, width * scale, channels), dtype)
        side = self._side(height, width)
        for row in _cut(height, side, self._margin):
            for column in _cut(width, side, self._margin):
                side = self._fill(result, pixels, row, column, side, context)
            context.workspace.release()
        return result

    @property
    def _margin(self) -> int:
        return self.network.receptive_field_radius or 0

    def _side(self, height: int, width: int) -> int:
        """The side of the largest pieces that are worth it and fit the memory, with their margins."""
        need = bytes_per_pixel(self.network)
        if self.network.receptive_field_radius is None:
            if need * height * width > self.memory:
                raise UpscaleError(
                    f"this model must see the whole picture at once: {width}×{height} needs about "
                    f"{ceil(need * height * width / 2**20)} MB of memory, {self.memory // 2**20} MB are allowed"
                )
            return max(height, width)
        return _largest_side(self._margin, need, self.memory)

    def _fill(self, result: Pixels, pixels: Pixels, row: Tile, column: Tile, side: int, context: TilingContext) -> int:
        """Write one piece of `result`, in parts of at most `side`; returns the side that was found to fit."""
        high, wide = row.last - row.first, column.last - column.first
        if max(high, wide) <= side:
            samples = self._samples(pixels, row, column, result.dtype.itemsize * 8, context.note)
            if samples is not None:
                scale = self.network.scale
                rows = slice(scale * row.first, scale * row.last)
                result[rows, scale * column.first : scale * column.last] = samples
                context.advance(high * wide / (pixels.shape[0] * pixels.shape[1]))
                return side
            side = max(high, wide) // 2
            if side < _SMALLEST_SIDE or self.network.receptive_field_radius is None:
                raise UpscaleError("not enough memory for a piece of the picture: allow the network less")
            context.note(CUT_SMALLER)
        for upper in tiles(high, side, 0):
            for left in tiles(wide, side, 0):
                part = _within(row, upper, self._margin, pixels.shape[0])
                side = self._fill(
                    result, pixels, part, _within(column, left, self._margin, pixels.shape[1]), side, context
                )
        return side

    def _samples(self, pixels: Pixels, row: Tile, column: Tile, bits: int, note: Note) -> Pixels | None:
        """The own pixels of a piece; None when the memory was not enough."""
        lr = _to_tensor(pixels[row.start : row.stop, column.start : column.stop]).to(self.device)
        upscaled = unless_out_of_memory(lambda: self._calculate(lr))
        if upscaled is None:
            return None
        if self.bfloat16 and _impossible(upscaled, lr):
            note(REDONE)
            upscaled = unless_out_of_memory(lambda: self.network(lr))
            if upscaled is None:
                return None
        scale = self.network.scale
        top, left = scale * (row.first - row.start), scale * (column.first - column.start)
        tall, wide = scale * (row.last - row.first), scale * (column.last - column.first)
        return _to_samples(upscaled[..., top : top + tall, left : left + wide], bits)


def _largest_side(margin: int, need: float, memory: int) -> int:
    """LR pixels of a piece's side, with its margins, where `need` bytes are worked in for each LR pixel."""
    fitting_side = int((memory / need) ** 0.5)
    return max(_SMALLEST_SIDE + 2 * margin, min(fitting_side, max(_LARGE_SIDE, _MANY_MARGINS * margin)))


def _cut(length: int, side: int, margin: int) -> Iterator[Tile]:
    """An axis of `length` pixels in pieces of at most `side` with their margins, of which a single one has none."""
    return tiles(length, length if length <= side else side - 2 * margin, margin)


def _within(tile: Tile, part: Tile, margin: int, length: int) -> Tile:
    """`part`, which counts from the first pixel of `tile`, as a piece of the axis of `length` pixels."""
    return Tile.around(tile.first + part.first, tile.first + part.last, margin, length)


def _impossible(upscaled: Tensor, lr: Tensor) -> bool:
    """Whether pixels are not finite, or all of them black although those of `lr` are not."""
    return not bool(torch.isfinite(upscaled).all()) or (bool((upscaled <= 0).all()) and bool((lr > 0).any()))


def _to_tensor(pixels: Pixels) -> Tensor:
    """`(h, w, C)` of 8 or 16 bits to `(1, C, h, w)` float32 in [0, 1], channels last in memory: faster to convolve."""
    values = pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
    return channels_last(torch.from_numpy(values).permute(2, 0, 1)[None])


def _to_samples(upscaled: Tensor, bits: int) -> Pixels:
    """`(1, C, h, w)` float to `(h, w, C)` of `bits`, rounded and clipped; raises where it is not finite."""
    if not bool(torch.isfinite(upscaled).all()):
        raise UpscaleError("the model gives NaN or infinite pixels for this picture")
    largest = (1 << bits) - 1
    rounded = (upscaled[0].float() * largest).round().clamp(0, largest).permute(1, 2, 0).cpu().numpy()
    return rounded.astype(np.uint8 if bits == 8 else np.uint16)
