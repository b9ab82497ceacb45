"""Converts between 8 and 16 bits per sample."""

import numpy as np

from nitido.imaging.files import Pixels
from nitido.upscaling.workspace import Workspace, bands

_STRIP = 2**20  # numbers per step


def convert_depth(samples: Pixels, bits: int, workspace: Workspace | None = None) -> Pixels:
    """Return samples of 8 or 16 bits with `bits` bits, rounded; full ranges correspond.

    `workspace` allocates the result.

    >>> convert_depth(np.array([0, 128, 129, 65535], dtype=np.uint16), 8).tolist()
    [0, 0, 1, 255]
    """
    if samples.dtype.itemsize * 8 == bits:
        return samples
    workspace = workspace or Workspace()
    result = workspace.empty(samples.shape, np.uint16 if bits == 16 else np.uint8)
    for band in bands(samples.shape, _STRIP, workspace):
        if bits == 16:
            result[band] = samples[band].astype(np.uint16) * np.uint16(257)
        else:
            result[band] = (samples[band].astype(np.uint32) + 128) // 257
    return result
