"""Upscales large images in tiles with the pixels of the whole image; margins cover the receptive field."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

from torch import Tensor

from nitido.architectures import SuperResolutionNetwork
from nitido.base.out_of_memory import unless_out_of_memory

LARGEST_AREA = 512 * 512
"""Maximum LR pixels of a tile, without its margin."""

SMALLEST_SIDE = 16
"""Minimum side of a tile after splitting; smaller tiles would consist mostly of margin."""

Process = Callable[["Tile", "Tile"], bool]
"""Computes and stores the tile of a row and a column; returns False if it ran out of memory."""


@dataclass(frozen=True)
class Tile:
    """A part of one axis: the LR pixels [`first`, `last`) without and [`start`, `stop`) with margin."""

    first: int
    last: int
    start: int
    stop: int

    @classmethod
    def around(cls, first: int, last: int, margin: int, length: int) -> Self:
        """Return the pixels [`first`, `last`) of an axis of `length`, with a margin of at least `margin`.

        It starts at an even pixel, so that algorithms that process blocks of 2×2 pixels use the same blocks in every
        tile.
        """
        return cls(first, last, max(0, first - margin) // 2 * 2, min(length, last + margin))

    @property
    def with_margin(self) -> slice:
        """The LR pixels of the tile and its margin."""
        return slice(self.start, self.stop)

    def place(self, scale: int) -> slice:
        """Return the position of the upscaled tile, without its margin, in the whole upscaled image."""
        return slice(scale * self.first, scale * self.last)

    def inner(self, scale: int) -> slice:
        """Return the pixels of the upscaled tile that do not belong to its margin."""
        return slice(scale * (self.first - self.start), scale * (self.last - self.start))


def tiles(length: int, side: int, margin: int) -> Iterator[Tile]:
    """Split an axis of `length` pixels into tiles of nearly equal length, at most `side`, each with its margin.

    The margin ends at the image border, where the network pads as for the whole image. All tiles have the same length
    with margin, so that their memory can be reused; some margins are therefore larger than necessary.

    >>> [(tile.first, tile.last, tile.start, tile.stop) for tile in tiles(12, 4, 2)]
    [(0, 4, 0, 8), (4, 8, 2, 10), (8, 12, 4, 12)]
    """
    count = -(-length // side)
    cuts = [index * length // count for index in range(count + 1)]
    parts = [Tile.around(first, last, margin, length) for first, last in pairwise(cuts)]
    longest = max(tile.stop - tile.start for tile in parts)
    longest += (length - longest) % 2  # so that the last tile may start at an even pixel too
    for tile in parts:
        start = min(tile.start, length - longest)
        yield Tile(tile.first, tile.last, start, start + longest)


def process_tiles(
    rows: Iterable[Tile],
    columns: Sequence[Tile],
    size: tuple[int, int],
    margin: int | None,
    process: Process,
    *,
    on_split: Callable[[], None] = lambda: None,
    after_row: Callable[[], None] = lambda: None,
) -> bool:
    """Process all tiles of an image. If a tile runs out of memory, it and all later ones are split to half the side.

    Args:
        rows: The tiles of the vertical axis.
        columns: The tiles of the horizontal axis.
        size: Height and width of the image in LR pixels.
        margin: The network's receptive field radius; None if it depends on the whole image, which is never split.
        process: Called for each tile.
        on_split: Called each time the side is halved.
        after_row: Called after each of the `rows`.

    Returns:
        Whether all tiles were processed; False if a tile that cannot be split further ran out of memory.
    """
    limit = max(size)

    def fill(row: Tile, column: Tile) -> bool:
        nonlocal limit
        high, wide = row.last - row.first, column.last - column.first
        if max(high, wide) <= limit:
            if process(row, column):
                return True
            limit = max(high, wide) // 2
            if margin is None or limit < SMALLEST_SIDE:
                return False
            on_split()
        return all(
            fill(_part(row, upper, margin or 0, size[0]), _part(column, left, margin or 0, size[1]))
            for upper in tiles(high, limit, 0)
            for left in tiles(wide, limit, 0)
        )

    for row in rows:
        if not all(fill(row, column) for column in columns):
            return False
        after_row()
    return True


def _part(tile: Tile, part: Tile, margin: int, length: int) -> Tile:
    """Return `part`, relative to the first pixel of `tile`, as a tile of the axis of `length` pixels."""
    return Tile.around(tile.first + part.first, tile.first + part.last, margin, length)


def upscale(
    network: SuperResolutionNetwork,
    lr: Tensor,
    largest_area: int = LARGEST_AREA,
    finish: Callable[[Tensor], Tensor] = lambda output: output,
) -> Tensor:
    """Upscale `lr`, `(N, C, h, w)`, with `network`, in tiles if it has more than `largest_area` pixels.

    The margin of a tile is the network's receptive field radius, so the pixels are those of the whole image (except for
    the order of sums). Tiles that run out of memory are split. A network that depends on the whole image (radius None)
    is not tiled.

    Args:
        network: The network.
        lr: `(N, C, h, w)`.
        largest_area: Maximum LR pixels of a tile.
        finish: Applied to the output of every tile, pixel by pixel, for example to convert it to uint8.
    """
    radius = network.receptive_field_radius
    height, width = lr.shape[-2:]
    if radius is None:
        return finish(network(lr))
    whole = height * width <= largest_area
    side = max(height, width) if whole else max(1, int(largest_area**0.5))
    output: Tensor | None = None

    def process(row: Tile, column: Tile) -> bool:
        nonlocal output
        tile = unless_out_of_memory(lambda: finish(network(lr[..., row.with_margin, column.with_margin])))
        if tile is None:
            return False
        scale = network.scale
        inner = tile[..., row.inner(scale), column.inner(scale)]
        if inner.shape[-2:] == (height * scale, width * scale):
            output = inner
            return True
        if output is None:
            output = inner.new_empty((*inner.shape[:-2], height * scale, width * scale))
        output[..., row.place(scale), column.place(scale)] = inner
        return True

    rows, columns = (list(tiles(length, side, radius)) for length in (height, width))
    if not process_tiles(rows, columns, (height, width), radius, process) or output is None:
        return finish(network(lr))  # raises the out-of-memory error
    return output
