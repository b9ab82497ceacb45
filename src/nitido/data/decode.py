"""Decodes images for training and evaluation, with a size limit that is checked first."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from nitido.imaging import DecodedImage

LARGEST_IMAGE = 2**27
"""Maximum number of pixels of an image for training and evaluation, because a small file can claim any size."""


def decode(path: Path) -> "DecodedImage":
    """Decode the image at `path` with `nitido.imaging.load_image`, unless its header states too many pixels.

    Raises:
        ImageFileError: The image cannot be decoded; the message names the file.
    """
    from nitido.imaging import ImageFileError, load_image, read_size

    width, height = read_size(path)
    if width < 1 or height < 1:
        raise ImageFileError(f"{path}: damaged: its header states {width}×{height} pixels")
    if width * height > LARGEST_IMAGE:
        raise ImageFileError(
            f"{path}: {width}×{height} pixels exceed the limit of {LARGEST_IMAGE / 1e6:.0f} million for training and "
            "evaluation: crop or downscale the image"
        )
    try:
        return load_image(path, np.empty)
    except MemoryError:
        raise ImageFileError(f"{path}: out of memory for {width}×{height} pixels") from None
