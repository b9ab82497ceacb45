"""Decode pictures for training and evaluation, within a limit that is checked before any work."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from nitido.imaging import Picture

LARGEST_PICTURE = 2**27
"""Pixels of the largest picture for training and evaluation: a small file can claim any size."""


def decode(path: Path) -> "Picture":
    """Decode the picture at `path` as `nitido.imaging.read_picture` does, unless its header claims too many pixels.

    Raises `PictureError` that names the file.
    """
    from nitido.imaging import PictureError, read_picture, read_size

    width, height = read_size(path)
    if width < 1 or height < 1:
        raise PictureError(f"{path}: damaged: its header claims {width}×{height} pixels")
    if width * height > LARGEST_PICTURE:
        raise PictureError(
            f"{path}: {width}×{height} pixels are more than {LARGEST_PICTURE / 1e6:.0f} million, the most a picture "
            "for training or evaluation may have: crop it or make it smaller"
        )
    try:
        return read_picture(path, np.empty)
    except MemoryError:
        raise PictureError(f"{path}: not enough memory for {width}×{height} pixels") from None
