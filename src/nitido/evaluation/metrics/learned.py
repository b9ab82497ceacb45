"""Distances between features of recognition networks.

`perceptual_distance` is always available. LPIPS and DISTS are published, calibrated distances: they need their packages
and a file of torchvision's weights, which is never downloaded automatically.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nitido.evaluation.metrics.metric_inputs import comparable_rgb
from nitido.evaluation.metrics.requirement import Requirement

if TYPE_CHECKING:
    from torch import Tensor

    from nitido.perception import PerceptualDistance


LPIPS = Requirement(("lpips", "torchvision"), "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth")
DISTS = Requirement(("DISTS_pytorch", "torchvision"), "https://download.pytorch.org/models/vgg16-397923af.pth")

# Minimum side in pixels for which the deepest compared layer is not empty.
PERCEPTUAL_SMALLEST = 16
LPIPS_SMALLEST = 32
DISTS_SMALLEST = 16


def perceptual_distance(sr: NDArray[np.uint8], hr: NDArray[np.uint8], shave: int) -> float:
    """Return the perceptual distance of RGB images `(H, W, 3)` uint8 after shaving: 0 for equal images, at most 4.

    LPIPS without its calibration (Zhang et al., CVPR 2018): distance of unit-normalized features of a trained
    classifier, here EfficientNet-Lite0, which ships with nitido. The values are not comparable with LPIPS.

    Raises `MetricError` for other arrays, `MetricNotAvailableError` for less than 16 pixels a side.
    """
    pair = comparable_rgb("perceptual_distance", sr, hr, shave, PERCEPTUAL_SMALLEST)
    return _distance(_perceptual(), pair)


def lpips(sr: NDArray[np.uint8], hr: NDArray[np.uint8], shave: int) -> float:
    """Return LPIPS 0.1 (AlexNet) of RGB images `(H, W, 3)` uint8 after shaving: 0 for equal images, else positive.

    Computed by the authors' package. Source: Zhang et al., "The Unreasonable Effectiveness of Deep Features as a
    Perceptual Metric", CVPR 2018.

    Raises `MetricError` for other arrays, `MetricNotAvailableError` when a package or the weights are missing, or for
    less than 32 pixels a side.
    """
    pair = comparable_rgb("lpips", sr, hr, shave, LPIPS_SMALLEST)
    return _distance(_lpips_network(), pair, normalize=True)


def dists(sr: NDArray[np.uint8], hr: NDArray[np.uint8], shave: int) -> float:
    """Return DISTS of RGB images `(H, W, 3)` uint8 after shaving: 0 for equal images, 1 for unrelated ones.

    At the original size; computed by the authors' package. Source: Ding et al., "Image Quality Assessment:
    Unifying Structure and Texture Similarity", IEEE TPAMI 2020.

    Raises `MetricError` for other arrays, `MetricNotAvailableError` when a package or the weights are missing, or for
    less than 16 pixels a side.
    """
    pair = comparable_rgb("dists", sr, hr, shave, DISTS_SMALLEST)
    return _distance(_dists_network(), pair)


def _distance(network: Any, pair: tuple[NDArray[np.uint8], NDArray[np.uint8]], **options: bool) -> float:
    import torch

    with torch.inference_mode():
        return float(network(*map(_as_tensor, pair), **options))


@cache
def _perceptual() -> "PerceptualDistance":
    from nitido.perception import PerceptualDistance, PerceptualOptions

    return PerceptualDistance(PerceptualOptions(backbone="efficientnet_lite0", normalised=True))


@cache
def _lpips_network() -> Any:
    LPIPS.require("lpips")
    with _without_torchvision_warnings():
        return import_module("lpips").LPIPS(net="alex", verbose=False)


@cache
def _dists_network() -> Any:
    DISTS.require("dists")
    with _without_torchvision_warnings():
        return import_module("DISTS_pytorch").DISTS().eval()


@contextmanager
def _without_torchvision_warnings() -> Iterator[None]:
    """Suppress deprecation warnings of torchvision that both packages cause."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="torchvision")
        yield


def _as_tensor(image: NDArray[np.uint8]) -> "Tensor":
    """Convert `(H, W, 3)` uint8 to `(1, 3, H, W)` float in [0, 1], channels-last for faster convolutions."""
    import torch

    from nitido.models.channels_last import channels_last

    return channels_last(torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float() / 255)
