"""Describe the content of an image in numbers, to explain on which images a network helps."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.color import rgb2hsv
from skimage.feature import structure_tensor, structure_tensor_eigenvalues

from nitido.imaging import rgb_to_y

Image = NDArray[np.uint8]
Plane = NDArray[np.float64]

EDGE = 0.1
"""Minimum luma gradient of an edge pixel, per pixel and relative to the range of luma."""

JPEG_BLOCK = 8
"""Side of the JPEG blocks in pixels."""


@dataclass(frozen=True)
class Descriptor:
    """A property of images.

    Attributes:
        name: Its name in tables.
        low: Words for images with a small value.
        high: Words for images with a large value.
        measure: Computes the value of RGB `(H, W, 3)` uint8 with at least 16 pixels per side.
    """

    name: str
    low: str
    high: str
    measure: Callable[[Image], float]


def luma(image: Image) -> Plane:
    """Return the BT.601 luma `(H, W)` in [0, 1]."""
    return (rgb_to_y(image) - 16) / 219


def edge_density(image: Image) -> float:
    """Return the proportion of pixels, in [0, 1], whose luma changes by more than `EDGE` per pixel (Sobel operator)."""
    plane = luma(image)
    gradient = np.hypot(*(ndimage.sobel(plane, axis=axis, mode="nearest") / 8 for axis in (0, 1)))
    return float((gradient > EDGE).mean())


def dominant_frequency(image: Image) -> float:
    """Return the mean spatial frequency in cycles per pixel, [0, 0.71], weighted by the energy of the luma gradient.

    The gradient compensates the 1/f² spectrum that natural images share (Field, JOSA A 1987), so that differences from
    it remain. A Hann window suppresses the borders.
    """
    plane = luma(image)
    if np.ptp(plane) == 0:
        return 0.0
    height, width = plane.shape
    window = np.outer(np.hanning(height), np.hanning(width))
    spectrum = np.abs(np.fft.rfft2((plane - plane.mean()) * window)) ** 2
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    weight = spectrum * radius**2
    return float((radius * weight).sum() / weight.sum())


def noise(image: Image) -> float:
    """Return the standard deviation of luma noise relative to the range of luma (Immerkær, CVIU 1996).

    Fine texture partly counts as noise, because the two cannot be distinguished in a single image.
    """
    plane = luma(image)
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float64)
    response = ndimage.convolve(plane, kernel)[1:-1, 1:-1]
    return float(np.abs(response).mean() * math.sqrt(math.pi / 2) / 6)


def saturation(image: Image) -> float:
    """Return the mean HSV saturation in [0, 1]."""
    return float(rgb2hsv(image)[..., 1].mean())


def line_structure(image: Image) -> float:
    """Return how parallel the local edges are, in [0, 1]: 1 for straight stripes.

    The coherence ((λ1 - λ2) / (λ1 + λ2))² of the structure tensor (Bigün and Granlund, ICCV 1987; Weickert 1998),
    averaged over positions with their gradient energy as weight.
    """
    plane = luma(image)
    if np.ptp(plane) == 0:
        return 0.0
    tensor = structure_tensor(plane, sigma=1.5, order="rc")  # type: ignore[no-untyped-call]
    large, small = structure_tensor_eigenvalues(tensor)  # type: ignore[no-untyped-call]
    energy = large + small
    coherence = np.divide(large - small, energy, out=np.zeros_like(energy), where=energy > 0) ** 2
    return float((coherence * energy).sum() / energy.sum())


def jpeg_blockiness(image: Image) -> float:
    """Return how much larger steps between 8×8 JPEG blocks are than inside them: 0 for equal, 1 for twice as large.

    After Wang, Sheikh and Bovik, "No-reference perceptual quality assessment of JPEG compressed images", ICIP 2002;
    the grid is assumed to start at the top left corner.
    """
    plane = luma(image)
    between, inside = [], []
    for axis in (0, 1):
        steps = np.abs(np.diff(plane, axis=axis)).mean(axis=1 - axis)
        border = np.arange(len(steps)) % JPEG_BLOCK == JPEG_BLOCK - 1
        between.append(float(steps[border].mean()))
        inside.append(float(steps[~border].mean()))
    return sum(between) / sum(inside) - 1 if sum(inside) > 0 else 0.0


_ALL = (
    Descriptor("edge density", "few edges", "many edges", edge_density),
    Descriptor("dominant frequency", "coarse structure", "fine texture", dominant_frequency),
    Descriptor("noise", "little noise", "much noise", noise),
    Descriptor("saturation", "pale colors", "strong colors", saturation),
    Descriptor("line structure", "irregular texture", "lines in one direction", line_structure),
    Descriptor("JPEG blockiness", "no JPEG blocks", "visible JPEG blocks", jpeg_blockiness),
)

DESCRIPTORS: Mapping[str, Descriptor] = {descriptor.name: descriptor for descriptor in _ALL}
"""Every descriptor by its name."""


def describe(image: Image) -> dict[str, float]:
    """Return all descriptors of RGB `(H, W, 3)` uint8."""
    return {name: descriptor.measure(image) for name, descriptor in DESCRIPTORS.items()}
