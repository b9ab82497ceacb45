"""The middle of a picture, in both resolutions: what a quick look at a network is taken on."""

import numpy as np
import numpy.typing as npt

from nitido.data.pack import Store

Bytes = npt.NDArray[np.uint8]


def centre(store: Store, index: int, scale: int, side: int | None) -> tuple[Bytes, Bytes]:
    """LR and HR of the middle square of picture `index`, at most `side` HR pixels wide and high; None: all of it.

    They are `(h, w, 3)` and `(scale·h, scale·w, 3)`, cut from what the store holds, so that their pixels are those of
    the whole picture.
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
