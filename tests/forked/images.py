"""Folders of tiny photographs for whole runs: different ones to train on, to validate with and to test on."""

from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

SPLITS = ("train", "validation", "test")


def make_images(folder: Path, each: int = 2) -> Path:
    """Write `each` crops of 64×48 pixels to the subfolders train, validation and test of `folder`; returns it."""
    for split, pixels in zip(SPLITS, (data.chelsea(), data.coffee(), data.astronaut()), strict=True):
        (folder / split).mkdir(parents=True)
        for number in range(each):
            crop = pixels[50 + 60 * number : 98 + 60 * number, 120:184]
            Image.fromarray(np.ascontiguousarray(crop)).save(folder / split / f"{split}{number}.png")
    return folder
