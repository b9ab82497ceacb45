"""Decodes images for training and evaluation, with a size limit that is checked first."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from nitido.imaging import Picture

LARGEST_PICTURE = 2**27
"""Maximum number of pixels of an image for training and evaluation, because a small file can claim any size."""


def decode(path: Path) -> "Picture":
    """Decode the image at `path` with `nitido.imaging.read_picture`, unless its header states too many pixels.

    Raises:
        PictureError: The image cannot be decoded; the message names the file.
    """
    from nitido.imaging import PictureError, read_picture, read_size

    width, height = read_size(path)
    if width < 1 or height < 1:
        raise PictureError(f"{path}: damaged: its header states {width}×{height} pixels")
    if width * height > LARGEST_PICTURE:
        raise PictureError(
            f"{path}: {width}×{height} pixels exceed the limit of {LARGEST_PICTURE / 1e6:.0f} million for training and "
            "evaluation: crop or downscale the image"
        )
    try:
        return read_picture(path, np.empty)
    except MemoryError:
        raise PictureError(f"{path}: out of memory for {width}×{height} pixels") from None
