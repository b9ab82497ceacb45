"""Where to look: the part of a picture in which the compared versions differ most."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nitido.imaging import rgb_to_y

_SIDES = (72, 54, 36, 24, 18, 12)  # they divide a column of the comparison evenly


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels: `left` and `top` are the first column and row in it."""

    left: int
    top: int
    width: int
    height: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the box in an array `(H, W, ...)`."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


def crop_side(height: int, width: int) -> int:
    """A square crop's side in pixels that suits a picture: at most a quarter of its shorter side where possible.

    >>> crop_side(512, 512), crop_side(2000, 160), crop_side(24, 24), crop_side(5, 90)
    (72, 36, 12, 5)
    """
    shorter = min(height, width)
    return next((side for side in _SIDES if side <= shorter // 4), min(_SIDES[-1], shorter))


def choose_box(images: Sequence[NDArray[np.uint8]], size: int, *, reference: NDArray[np.uint8] | None = None) -> Box:
    """The `size` x `size` window that tells `images`, each `(H, W, 3)` uint8, apart best.

    With a reference: the window with the widest gap in squared luma error between the worst image (mostly bicubic)
    and the best one; images equal to the reference do not count. Without: the largest variance of luma between the
    images. Where nothing differs, the largest gradient energy. The outermost pixels, which borders spoil and the
    metrics shave, are left out where there is room. The same pictures give the same box.
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
    """Sum of every `size` x `size` window of `plane`, by its integral image; index = the window's first pixel."""
    integral = np.pad(plane, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    sums: NDArray[np.float64] = (
        integral[size:, size:] - integral[:-size, size:] - integral[size:, :-size] + integral[:-size, :-size]
    )
    return sums
