"""Colours under transparent pixels, which nobody sees until enlarging mixes them into their neighbours."""

import numpy as np
from scipy import ndimage

from nitido.imaging.files import Pixels


def bled(pixels: Pixels, alpha: Pixels) -> Pixels:
    """`pixels` `(H, W, C)` with every wholly transparent one given the colour of the nearest that is not.

    >>> bled(np.array([[[9], [0], [0]]], dtype=np.uint8), np.array([[255, 0, 0]], dtype=np.uint8)).ravel().tolist()
    [9, 9, 9]
    """
    hidden = alpha == 0
    if not hidden.any() or hidden.all():
        return pixels
    rows, columns = ndimage.distance_transform_edt(hidden, return_distances=False, return_indices=True)
    return np.ascontiguousarray(pixels[rows, columns])
