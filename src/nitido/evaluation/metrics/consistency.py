"""Whether an enlarged picture still is the picture that was enlarged."""

import numpy as np
from numpy.typing import NDArray

from nitido.evaluation.metrics.fidelity import psnr
from nitido.evaluation.metrics.pictures import MetricError, check_pictures
from nitido.imaging import bicubic_downscale


def lr_consistency(sr: NDArray[np.uint8], lr: NDArray[np.uint8], scale: int) -> float:
    """PSNR in dB between the input `lr` `(h, w, C)` and the result `sr` `(h·scale, w·scale, C)` shrunk again, uint8.

    Shrunk by MATLAB's bicubic, over all channels and the whole picture. Zero or positive; infinite when the input comes
    back exactly, as it does for the truth. High values say that detail was added and nothing was changed; the source
    asks for 45 dB: LR-PSNR of Lugmayr et al., "NTIRE 2021 Learning the Super-Resolution Space Challenge", CVPRW 2021.

    Raises `MetricError` for other types and sizes.

    >>> lr_consistency(np.full((4, 4, 3), 7, np.uint8), np.full((2, 2, 3), 7, np.uint8), 2)
    inf
    """
    if (lr.shape[0] * scale, lr.shape[1] * scale, *lr.shape[2:]) != sr.shape:
        raise MetricError(f"sr {sr.shape} is not {scale} times as high and wide as lr {lr.shape}")
    shrunk = bicubic_downscale(sr, scale)
    check_pictures(shrunk, lr)
    return psnr(shrunk, lr, 0)
