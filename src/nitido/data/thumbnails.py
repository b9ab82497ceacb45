"""Small gray thumbnails of a store, with which similar images are found."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from nitido.data.pack import Store
from nitido.data.pack_file import Write, map_or_make, write_verified

SIDE = 64
"""Side of a thumbnail in pixels; thumbnails are square whatever the aspect ratio."""

_FILE = "thumbnails.bin"
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_STRIP = 512  # rows per strip


def thumbnails(store: Store) -> npt.NDArray[np.uint8]:
    """Return the thumbnail of every image, `(N, SIDE, SIDE)` uint8 luma, cached in the pack."""
    path = store.folder / _FILE

    def shrink_all(write: Write) -> None:
        for i in range(len(store)):
            write(thumbnail(store.hr(i)).tobytes())

    try:
        content = map_or_make(path, len(store) * SIDE * SIDE, lambda: write_verified(path, shrink_all))
    except OSError:  # the cache is full or read-only; thumbnails are cheap enough to compute each time
        return np.stack([thumbnail(store.hr(i)) for i in range(len(store))])
    return content.reshape(len(store), SIDE, SIDE)


def thumbnail(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Average `(H, W, 3)` pixels over SIDE × SIDE equal areas and return their luma."""
    height, width, _ = pixels.shape
    return thumbnail_of_strips(height, width, (pixels[top : top + _STRIP] for top in range(0, height, _STRIP)))


def thumbnail_of_strips(height: int, width: int, strips: Iterable[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    """Return the thumbnail of an image given as `strips` of `(h, width, 3)` pixels."""
    rows = area_weights(height, SIDE)
    averaged = np.zeros((SIDE, width * 3), dtype=np.float32)
    top = 0
    for strip in strips:
        averaged += rows[:, top : top + len(strip)] @ strip.astype(np.float32).reshape(len(strip), -1)
        top += len(strip)
    luma = averaged.reshape(SIDE, width, 3) @ _LUMA
    shrunk: npt.NDArray[np.uint8] = np.rint(luma @ area_weights(width, SIDE).T).astype(np.uint8)
    return shrunk


def area_weights(size: int, cells: int, start: float = 0, length: float | None = None) -> npt.NDArray[np.float32]:
    """Return the matrix `(cells, size)` that averages a line of `size` pixels over equal parts of an interval.

    Args:
        size: Pixels of the line.
        cells: Number of parts.
        start: Start of the interval in pixels.
        length: Length of the interval in pixels; by default the whole line.
    """
    edges = start + np.arange(cells + 1) * ((size if length is None else length) / cells)
    pixels = np.arange(size)
    covered = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    weights: npt.NDArray[np.float32] = (covered.clip(0) / (edges[1] - edges[0])).astype(np.float32)
    return weights
