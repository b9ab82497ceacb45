"""PSNR and SSIM against MATLAB's own figures."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nitido.evaluation import psnr_y, ssim_y


def load(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


@pytest.fixture(scope="module")
def expected(shared: Path) -> list[dict[str, str]]:
    with (shared / "golden/psnr_ssim_y/expected.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5
    return rows


def test_psnr_and_ssim_are_matlabs(shared: Path, expected: list[dict[str, str]]) -> None:
    folder = shared / "golden/psnr_ssim_y"
    for row in expected:
        (sr_path,) = folder.glob(f"sr/{row['image']}*")
        (hr_path,) = folder.glob(f"hr/{row['image']}*")
        sr, hr, shave = load(sr_path), load(hr_path), int(row["shave"])
        assert psnr_y(sr, hr, shave) == pytest.approx(float(row["psnr_y"]), abs=1e-5), row["image"]
        assert ssim_y(sr, hr, shave) == pytest.approx(float(row["ssim_y"]), abs=1e-5), row["image"]
