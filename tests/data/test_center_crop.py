"""Tests center crops in both resolutions."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nitido.data import Store, center_crop, prepare, resolve
from nitido.imaging import bicubic_upscale


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder: Path = tmp_path_factory.mktemp("images")
    rows, columns = np.mgrid[:71, :84]
    gradient = np.stack([rows * 3, columns * 3, rows * 3], axis=2).astype(np.uint8)
    Image.fromarray(gradient).save(folder / "gradient.png")
    return prepare(resolve(str(folder)), [2, 3])


@pytest.mark.parametrize("scale", [2, 3])
@pytest.mark.parametrize("side", [64, 65, 100])
def test_both_resolutions_show_the_same_place(store: Store, scale: int, side: int) -> None:
    lr, hr = center_crop(store, 0, scale, side)
    height, width = min(side // scale, 71 // scale), min(side // scale, 84 // scale)
    assert lr.shape == (height, width, 3)
    assert hr.shape == (scale * height, scale * width, 3)
    # A gradient is enlarged exactly but for rounding and the border; a shift of one pixel would make a difference of 3.
    error = bicubic_upscale(lr, scale).astype(int) - hr
    assert np.abs(error[8:-8, 8:-8]).max() <= 2


def test_it_is_the_middle(store: Store) -> None:
    lr, hr = center_crop(store, 0, 2, 64)
    whole = store.hr_cropped(0, 2)
    assert np.array_equal(hr, whole[2:66, 10:74])
    assert np.array_equal(lr, store.lr(0, 2)[1:33, 5:37])


def test_without_a_side_it_is_all_of_the_image(store: Store) -> None:
    lr, hr = center_crop(store, 0, 2, None)
    assert np.array_equal(lr, store.lr(0, 2))
    assert np.array_equal(hr, store.hr_cropped(0, 2))
