"""Large pictures in pieces, to the same pixels: every piece sees as much around it as the network can see."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Self

from torch import Tensor

from nitido.architectures import SuperResolutionNetwork
from nitido.base.out_of_memory import unless_out_of_memory

LARGEST_AREA = 512 * 512
"""LR pixels that are enlarged at once, their margin not counted."""

SMALLEST_AREA = 32 * 32
"""Smaller pieces, for want of memory, would be little but margin."""


@dataclass(frozen=True)
class Tile:
    """A part of one axis: the LR pixels [`first`, `last`) are its own, [`start`, `stop`) with its margin."""

    first: int
    last: int
    start: int
    stop: int

    @classmethod
    def around(cls, first: int, last: int, margin: int, length: int) -> Self:
        """The pixels [`first`, `last`) of an axis of `length`, with at least `margin` around them.

        It starts at an even pixel, so that an algorithm that works on 2×2 of them finds the same ones in every tile.
        """
        return cls(first, last, max(0, first - margin) // 2 * 2, min(length, last + margin))


def tiles(length: int, side: int, margin: int) -> Iterator[Tile]:
    """Cut an axis of `length` pixels into pieces of nearly equal length, at most `side`, each with its margin.

    The margin ends at the picture's own border, where the network pads as it does for the whole picture. With margins
    all pieces have one length, for which some see farther than they must: memory fits again that way.

    >>> [(tile.first, tile.last, tile.start, tile.stop) for tile in tiles(12, 4, 2)]
    [(0, 4, 0, 8), (4, 8, 2, 10), (8, 12, 4, 12)]
    """
    count = -(-length // side)
    cuts = [index * length // count for index in range(count + 1)]
    pieces = [Tile.around(first, last, margin, length) for first, last in pairwise(cuts)]
    longest = max(tile.stop - tile.start for tile in pieces)
    longest += (length - longest) % 2  # so that the last piece may start at an even pixel, too
    for tile in pieces:
        start = min(tile.start, length - longest)
        yield Tile(tile.first, tile.last, start, start + longest)


def _as_it_is(output: Tensor) -> Tensor:
    assert output is not None
    return output


def upscale(
    network: SuperResolutionNetwork,
    lr: Tensor,
    largest_area: int = LARGEST_AREA,
    finish: Callable[[Tensor], Tensor] = _as_it_is,
) -> Tensor:
    """What `network` makes of `lr`, `(N, C, h, w)`, piece by piece where it is larger than `largest_area` pixels.

    `finish` is applied to the output of every piece, pixel by pixel: as uint8 a large result needs a quarter.

    The margin of a piece is the network's receptive-field radius, so the pixels are those of the whole picture (but for
    the order of sums). Where memory is too short for that, pieces are smaller. A network that sees the whole picture at
    once (radius None) is not cut.
    """
    radius = network.receptive_field_radius
    area = min(largest_area, lr.shape[-2] * lr.shape[-1])
    output = None
    while radius is not None and output is None and (area >= SMALLEST_AREA or area == largest_area):
        output = unless_out_of_memory(partial(_in_tiles, network, lr, radius, area, finish))
        area //= 4
    return finish(network(lr)) if output is None else output


def _in_tiles(
    network: SuperResolutionNetwork, lr: Tensor, radius: int, largest_area: int, finish: Callable[[Tensor], Tensor]
) -> Tensor:
    height, width = lr.shape[-2:]
    scale = network.scale
    if height * width <= largest_area:
        return finish(network(lr))
    side = max(1, int(largest_area**0.5))
    output: Tensor | None = None
    for row in tiles(height, side, radius):
        for column in tiles(width, side, radius):
            piece = finish(network(lr[..., row.start : row.stop, column.start : column.stop]))
            top, left = scale * (row.first - row.start), scale * (column.first - column.start)
            tall, wide = scale * (row.last - row.first), scale * (column.last - column.first)
            if output is None:
                output = piece.new_empty((*piece.shape[:-2], height * scale, width * scale))
            target = output[..., scale * row.first : scale * row.last, scale * column.first : scale * column.last]
            target.copy_(piece[..., top : top + tall, left : left + wide])
    assert output is not None
    return output
