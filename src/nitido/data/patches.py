"""Training patches: the i-th patch of a run is a pure function of (seed, i), so there is no state to save."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import numpy.typing as npt

from nitido.data.catalog import DataError
from nitido.data.pack import Store

Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]

_GOLDEN = 0x9E3779B97F4A7C15
_MASK = 0xFFFFFFFFFFFFFFFF
_POSITION, _SYMMETRY, _SCALE, _COLORS = 0, 1, 2, 3  # independent streams of random numbers

DRAWN = 512
"""Number of patches whose positions are drawn together."""

ORDERS = tuple(permutations(range(3)))
"""The permutations of the three color channels; the first one is the identity."""


@dataclass(frozen=True)
class PatchPlan:
    """Where patches are cropped: arrays `(N,)` of image, top left LR pixel, symmetry and channel order.

    Bit 0 of the symmetry flips up-down, then bit 1 flips left-right, then bit 2 swaps rows and columns. `colors` are
    indices into `ORDERS`.
    """

    image: Integers
    top: Integers
    left: Integers
    symmetry: Integers
    colors: Integers


def patch_plan(seed: int, indices: npt.ArrayLike, sizes: Sequence[tuple[int, int]], patch: int) -> PatchPlan:
    """Plan the patches `indices` of the run `seed`, drawn uniformly from all positions in all images.

    Every valid top left pixel of every image is equally likely, and so are the eight symmetries of the square and the
    six channel orders.

    Args:
        seed: Seed of the run.
        indices: Indices of the patches, any shape `(N,)`.
        sizes: (height, width) of the LR images in pixels.
        patch: Side of the square LR patch in pixels.

    Raises:
        DataError: The patch is larger than an image.

    >>> whole = patch_plan(7, range(6), [(9, 12), (8, 8)], 8)
    >>> later = patch_plan(7, range(4, 6), [(9, 12), (8, 8)], 8)
    >>> bool((whole.left[4:] == later.left).all())
    True
    """
    shape = np.asarray(sizes, dtype=np.int64).reshape(-1, 2)
    rows, columns = shape[:, 0] - patch + 1, shape[:, 1] - patch + 1
    if patch < 1 or len(shape) == 0 or min(rows.min(), columns.min()) < 1:
        largest = shape.min() if len(shape) else 0
        raise DataError(f"patch {patch} is larger than an image: it must be 1 to {largest}")
    index = np.asarray(indices, dtype=np.uint64)
    ends = np.cumsum(rows * columns)
    place = (_random(seed, _POSITION, index) % np.uint64(ends[-1])).astype(np.int64)
    image = np.searchsorted(ends, place, side="right").astype(np.int64)
    top, left = np.divmod(place - (ends - rows * columns)[image], columns[image])
    symmetry = (_random(seed, _SYMMETRY, index) >> np.uint64(61)).astype(np.int64)
    colors = (_random(seed, _COLORS, index) % np.uint64(len(ORDERS))).astype(np.int64)
    return PatchPlan(image, top, left, symmetry, colors)


def scale_index_of_step(seed: int, step: int, count: int) -> int:
    """Return which of `count` scales `step` of the run `seed` uses: each once per round, in random order.

    In a fixed order, every tenth or hundredth step, which are logged, would have the same scale.

    >>> [scale_index_of_step(7, step, 3) for step in range(9)]
    [2, 1, 0, 0, 2, 1, 0, 2, 1]
    """
    first = step - step % count
    keys = _random(seed, _SCALE, np.arange(first, first + count, dtype=np.uint64))
    return int(np.argsort(keys)[step % count])


def apply_symmetry(patch: Bytes, symmetry: int) -> Bytes:
    """Return one of the eight symmetries of the square as a view of `(H, W, C)`; see `PatchPlan` for the bits."""
    if symmetry & 1:
        patch = patch[::-1]
    if symmetry & 2:
        patch = patch[:, ::-1]
    return patch.swapaxes(0, 1) if symmetry & 4 else patch


class PatchSampler:
    """Crops aligned pairs of LR and HR patches from a `Store`.

    The LR patch is cropped from the LR of the whole image, so that its border pixels are the same as in inference.
    """

    def __init__(
        self, store: Store, scale: int, patch: int, seed: int, augment: bool = True, augment_colours: bool = False
    ) -> None:
        """Sample at `scale`, for which the store must be prepared.

        Args:
            store: The images.
            scale: The scale.
            patch: Side of the LR patch in pixels.
            seed: Seed of the run.
            augment: Whether to apply random symmetries.
            augment_colours: Whether to permute the color channels randomly.

        Raises:
            DataError: The patch is larger than the smallest image.
        """
        self.store = store
        self.scale = scale
        self.patch = patch
        self.seed = seed
        self.augment = augment
        self.augment_colours = augment_colours
        self._first = 0
        self._ahead: list[tuple[int, ...]] = []
        self.sizes = store.lr_sizes(scale)
        smallest = min(range(len(store)), key=lambda i: min(self.sizes[i]))
        height, width = self.sizes[smallest]
        if not 1 <= patch <= min(height, width):
            raise DataError(
                f"patch {patch} must be 1 to {min(height, width)}: the smallest image, {store.names[smallest]} of "
                f"{store.name}, is {width}×{height} pixels in LR at scale {scale}"
            )

    def __getstate__(self) -> dict[str, object]:
        """Return the state for another process, without the patches drawn ahead."""
        return self.__dict__ | {"_ahead": []}

    def batch(self, start: int, count: int) -> tuple[Bytes, Bytes]:
        """Return the patches `start` to `start + count - 1` of the run.

        Returns:
            uint8 LR `(N, 3, patch, patch)` and HR `(N, 3, scale * patch, scale * patch)`, both NHWC in memory, so that
            `torch.from_numpy` gives channels-last tensors without a copy.
        """
        side, k = self.patch, self.scale
        lr = np.empty((count, side, side, 3), np.uint8)
        hr = np.empty((count, k * side, k * side, 3), np.uint8)
        for n, (image, top, left, symmetry, order) in enumerate(self._drawn(start, count)):
            _copy(self.store.lr(image, k), top, left, symmetry, order, lr[n])
            _copy(self.store.hr(image), k * top, k * left, symmetry, order, hr[n])
        return lr.transpose(0, 3, 1, 2), hr.transpose(0, 3, 1, 2)

    def _drawn(self, start: int, count: int) -> list[tuple[int, ...]]:
        """Return image, top, left, symmetry and channel order of each patch of a batch.

        More patches are drawn than requested and kept for later batches, because drawing one takes as long as drawing
        hundreds.
        """
        if not (self._first <= start and start + count <= self._first + len(self._ahead)):
            plan = patch_plan(self.seed, np.arange(start, start + max(count, DRAWN)), self.sizes, self.patch)
            symmetries = plan.symmetry if self.augment else np.zeros_like(plan.symmetry)
            colors = plan.colors if self.augment_colours else np.zeros_like(plan.colors)
            parts = (plan.image, plan.top, plan.left, symmetries, colors)
            self._first, self._ahead = start, list(zip(*(part.tolist() for part in parts), strict=True))
        begin = start - self._first
        return self._ahead[begin : begin + count]


def _copy(source: Bytes, top: int, left: int, symmetry: int, order: int, target: Bytes) -> None:
    """Copy the patch at (`top`, `left`) of `source` to `target`, with its symmetry and channel order."""
    side = len(target)
    transformed = apply_symmetry(source[top : top + side, left : left + side], symmetry)
    if symmetry < 2 and order == 0:  # rows stay contiguous, so NumPy copies whole rows
        target[...] = transformed
    else:  # copying channel by channel is over four times faster than three bytes at a time
        for channel, taken in enumerate(ORDERS[order]):
            target[..., channel] = transformed[..., taken]


def _random(seed: int, stream: int, index: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return 64 random bits for each index: SplitMix64 (Steele et al., 2014) with random access."""
    key = _mix(np.array([(seed ^ (stream << 32)) & _MASK], dtype=np.uint64))
    return _mix(_mix(key + np.uint64(stream)) + (index + np.uint64(1)) * np.uint64(_GOLDEN))


def _mix(bits: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Apply the finalizer of SplitMix64 (Stafford's variant 13); array arithmetic wraps modulo 2**64."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
