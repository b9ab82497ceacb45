"""The opponents of the packed store cut the very same patches, from PNG files."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nitido.benchmarking.decoded import DecodedPatches
from nitido.data import ImageSet, PatchSampler, prepare, resolve
from nitido.imaging import save_image


@pytest.mark.parametrize("way", ["by_pillow", "by_libvips"])
@pytest.mark.parametrize("images", ["samples/train", "samples/validation"])
def test_same_patches_as_the_store(tmp_path: Path, images: str, way: str) -> None:
    store = prepare(resolve(images), [2])
    decoded = DecodedPatches(store, 2, 12, tmp_path)
    expected = PatchSampler(store, 2, 12, seed=0).batch(5, 20)
    found = getattr(decoded, way)(5, 20)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_only_files_other_than_8_bit_png_are_rewritten(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    deep = rng.integers(0, 1 << 16, (40, 40, 3)).astype(np.uint16)
    paths = (tmp_path / "deep.png", tmp_path / "photo.jpg", tmp_path / "plain.png")
    save_image(paths[0], deep)
    Image.fromarray((deep >> 8).astype(np.uint8)).save(paths[1])
    Image.fromarray((deep >> 8).astype(np.uint8)).save(paths[2])
    folder = tmp_path / "drafts"
    folder.mkdir()
    decoded = DecodedPatches(prepare(ImageSet("mixed", paths), [2]), 2, 8, folder)
    assert [path.parent == folder for path in decoded.hr] == [True, True, False]
    for one, other in zip(decoded.by_pillow(0, 12), decoded.by_libvips(0, 12), strict=True):
        np.testing.assert_array_equal(one, other)
