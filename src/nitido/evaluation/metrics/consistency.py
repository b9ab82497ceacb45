"""Measure the consistency of an upscaled image with its input."""

import numpy as np
from numpy.typing import NDArray

from nitido.evaluation.metrics.fidelity import psnr
from nitido.evaluation.metrics.metric_inputs import MetricError, check_images
from nitido.imaging import bicubic_downscale


def lr_consistency(sr: NDArray[np.uint8], lr: NDArray[np.uint8], scale: int) -> float:
    """Return the PSNR in dB between the input `lr` `(h, w, C)` and the downscaled result `sr` `(h·scale, w·scale, C)`.

    Both are uint8; `sr` is downscaled by MATLAB's bicubic. Over all channels and the whole image. At least 0; infinite
    if the input is reproduced exactly, as by the ground truth. A high value means that detail was added without
    changing the image; the source requires 45 dB: LR-PSNR of Lugmayr et al., "NTIRE 2021 Learning the Super-Resolution
    Space Challenge", CVPRW 2021.

    Raises `MetricError` for other types and sizes.

    >>> lr_consistency(np.full((4, 4, 3), 7, np.uint8), np.full((2, 2, 3), 7, np.uint8), 2)
    inf
    """
    if (lr.shape[0] * scale, lr.shape[1] * scale, *lr.shape[2:]) != sr.shape:
        raise MetricError(f"sr {sr.shape} is not {scale} times as high and wide as lr {lr.shape}")
    shrunk = bicubic_downscale(sr, scale)
    check_images(shrunk, lr)
    return psnr(shrunk, lr, 0)
