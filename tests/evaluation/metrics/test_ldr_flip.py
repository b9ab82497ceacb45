"""ꟻLIP: the paper's formula on flat colors, and the authors' own program on a photograph."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data
from skimage.color import rgb2lab

from nitido.evaluation.metrics import MetricError, flip


def flat(color: tuple[int, int, int]) -> np.ndarray:
    return np.full((24, 24, 3), color, np.uint8)


def hyab(a: np.ndarray, b: np.ndarray) -> float:
    """Section 4.1: the HyAB distance of two colors in CIELAB, chroma dimmed by the Hunt effect."""
    (la, *ca), (lb, *cb) = rgb2lab(a / 255)[0, 0], rgb2lab(b / 255)[0, 0]
    chroma = np.hypot(*(0.01 * la * np.array(ca) - 0.01 * lb * np.array(cb)))
    return (abs(la - lb) + chroma) ** 0.7


@pytest.mark.parametrize(
    ("sr", "hr"), [((0, 0, 0), (255, 255, 255)), ((90, 120, 60), (110, 110, 70)), ((0, 0, 255), (250, 240, 0))]
)
def test_flat_colors_differ_as_in_the_paper(sr: tuple[int, int, int], hr: tuple[int, int, int]) -> None:
    # Blurring leaves flat images as they are, and they have no edges or points.
    largest = hyab(flat((0, 255, 0)), flat((0, 0, 255)))
    error, knee = hyab(flat(sr), flat(hr)), 0.4 * largest
    expected = 0.95 * error / knee if error < knee else 0.95 + 0.05 * (error - knee) / (largest - knee)
    assert flip(flat(sr), flat(hr), 0) == pytest.approx(expected, abs=2e-3)


def test_a_photograph_differs_as_the_authors_program_says(tmp_path: Path) -> None:
    hr = data.astronaut()[100:200, 150:270]
    sr = np.clip(hr + np.random.default_rng(0).normal(0, 12, hr.shape), 0, 255).round().astype(np.uint8)
    for name, image in (("hr", hr), ("sr", sr)):
        Image.fromarray(image[3:-3, 3:-3]).save(tmp_path / f"{name}.png")
    program = Path(sys.executable).with_name("flip")
    said = subprocess.run(
        [program, "-r", "hr.png", "-t", "sr.png", "-nem"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    (mean,) = re.findall(r"Mean: ([0-9.]+)", said)
    assert flip(sr, hr, 3) == pytest.approx(float(mean), abs=1e-6)


def test_grey_arrays_are_refused() -> None:
    with pytest.raises(MetricError, match=r"flip compares RGB images \(H, W, 3\), not arrays of the shape \(9, 9\)"):
        flip(np.zeros((9, 9), np.uint8), np.zeros((9, 9), np.uint8), 0)
