"""Colours under transparent pixels, which nobody sees until enlarging mixes them into their neighbours."""

import numpy as np
from scipy import ndimage

from nitido.imaging.files import Pixels
from nitido.upscaling.workspace import Workspace, bands

_STRIP = 2**20  # numbers that are moved at once


def bleed_colors(pixels: Pixels, alpha: Pixels, workspace: Workspace | None = None) -> Pixels:
    """`pixels` `(H, W, C)` with every wholly transparent one given the colour of the nearest that is not.

    The result is made by `workspace`, or is `pixels` where nothing is to be done.

    >>> colors, alpha = np.array([[[9], [0], [0]]], dtype=np.uint8), np.array([[255, 0, 0]], dtype=np.uint8)
    >>> bleed_colors(colors, alpha).ravel().tolist()
    [9, 9, 9]
    """
    workspace = workspace or Workspace()
    hidden = alpha == 0
    if not hidden.any() or hidden.all():
        return pixels
    nearest = workspace.empty((2, *hidden.shape), np.int32)
    ndimage.distance_transform_edt(hidden, return_distances=False, return_indices=True, indices=nearest)
    result = workspace.like(pixels)
    for band in bands(pixels.shape, _STRIP, workspace):
        rows, columns = nearest[:, band]
        result[band] = pixels[rows, columns]
    return result
