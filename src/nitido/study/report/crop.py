"""Find the part of an image in which the compared versions differ most."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nitido.imaging import rgb_to_y

_SIDES = (72, 54, 36, 24, 18, 12)  # divisors of half a column of the comparison


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels; `left` and `top` are its first column and row."""

    left: int
    top: int
    width: int
    height: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the box in an array `(H, W, ...)`."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


def crop_side(height: int, width: int) -> int:
    """Return the side in pixels of a square crop: at most a quarter of the shorter side of the image if possible.

    >>> crop_side(512, 512), crop_side(2000, 160), crop_side(24, 24), crop_side(5, 90)
    (72, 36, 12, 5)
    """
    shorter = min(height, width)
    return next((side for side in _SIDES if side <= shorter // 4), min(_SIDES[-1], shorter))


def choose_box(images: Sequence[NDArray[np.uint8]], size: int, *, reference: NDArray[np.uint8] | None = None) -> Box:
    """Return the `size` x `size` window in which `images`, each `(H, W, 3)` uint8, differ most.

    With a reference: the window with the largest difference in squared luma error between the worst image (usually
    bicubic) and the best one; images equal to the reference are ignored. Without: the largest variance of luma between
    the images. If all images are equal: the largest gradient energy. The outermost pixels, which have border effects
    and which the metrics leave out, are excluded if the image is large enough. The result is deterministic.
    """
    height, width = images[0].shape[:2]
    size = min(size, height, width)
    lumas = [rgb_to_y(image) for image in images]
    if reference is not None:
        target = rgb_to_y(reference)
        errors = [_window_sums((luma - target) ** 2, size) for luma in lumas]
        errors = [error for error in errors if error.max() > 0]
        gaps = np.max(errors, axis=0) - np.min(errors, axis=0) if len(errors) > 1 else np.zeros(1)
        candidates = [gaps, *errors]
    else:
        candidates = [_window_sums(np.var(lumas, axis=0), size)]
    luma = np.pad(lumas[0], 1, mode="edge")
    down, right = np.diff(luma, axis=0)[:-1, 1:-1], np.diff(luma, axis=1)[1:-1, :-1]
    candidates.append(_window_sums(down**2 + right**2, size))
    scores = next((scores for scores in candidates if scores.max() > 0), candidates[-1])
    border = min(size // 8, (height - size) // 2, (width - size) // 2)
    inner = scores[border : scores.shape[0] - border, border : scores.shape[1] - border]
    top, left = np.unravel_index(int(inner.argmax()), inner.shape)
    return Box(int(left) + border, int(top) + border, size, size)


def _window_sums(plane: NDArray[Any], size: int) -> NDArray[np.float64]:
    """Return the sum of every `size` x `size` window of `plane`, indexed by its first pixel (integral image)."""
    integral = np.pad(plane, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    sums: NDArray[np.float64] = (
        integral[size:, size:] - integral[:-size, size:] - integral[size:, :-size] + integral[:-size, :-size]
    )
    return sums
