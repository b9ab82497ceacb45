"""The center crop of an image in both resolutions, for quick checks of a network."""

import numpy as np
import numpy.typing as npt

from nitido.data.pack import Store

Bytes = npt.NDArray[np.uint8]


def center_crop(store: Store, index: int, scale: int, side: int | None) -> tuple[Bytes, Bytes]:
    """Return LR and HR of the center square of image `index`, cropped from the stored LR and HR of the whole image.

    Args:
        store: The images.
        index: Index of the image.
        scale: The scale.
        side: Maximum side of the square in HR pixels; None for the whole image.

    Returns:
        `(h, w, 3)` and `(scale·h, scale·w, 3)`.
    """
    lr, hr = store.lr(index, scale), store.hr_cropped(index, scale)
    if side is None:
        return lr, hr
    width = side // scale
    top, left = (max(length - width, 0) // 2 for length in lr.shape[:2])
    return (
        lr[top : top + width, left : left + width],
        hr[scale * top : scale * (top + width), scale * left : scale * (left + width)],
    )
