"""ꟻLIP: the visible difference between two images that alternate on a screen."""

import numpy as np
from numpy.typing import NDArray

from nitido.evaluation.metrics.metric_inputs import comparable_rgb
from nitido.evaluation.metrics.requirement import Requirement

FLIP = Requirement(("flip_evaluator",))


def flip(sr: NDArray[np.uint8], hr: NDArray[np.uint8], shave: int) -> float:
    """Return the mean LDR-ꟻLIP of RGB images `(H, W, 3)` uint8 after shaving: in [0, 1], 0 for equal images.

    Perceived colors and edges at 67 pixels per degree (a 0.7 m wide screen of 3840 pixels at a distance of 0.7 m),
    computed by NVIDIA's code. Source: Andersson et al., "FLIP: A Difference Evaluator for Alternating Images",
    HPG 2020.

    Raises `MetricError` for other arrays, `MetricNotAvailableError` if the package is not installed.

    >>> flip(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8, 3), np.uint8), 0)
    0.0
    """
    FLIP.require("flip")
    from flip_evaluator import evaluate  # type: ignore[import-untyped]

    images = comparable_rgb("flip", sr, hr, shave, smallest=1)
    test, reference = (image.astype(np.float32) / 255 for image in images)
    _, mean, _ = evaluate(reference, test, "LDR", applyMagma=False)
    return float(mean)
