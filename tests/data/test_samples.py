"""The image set `samples`: enough images, small files, and no scene in two splits."""

from collections import defaultdict

import numpy as np
import pytest

from nitido.data import SAMPLES, Role, Store, dataset, prepare, resolve
from nitido.data.catalog import SAMPLES_FOLDER
from nitido.data.overlap import find_overlaps, similar_images
from nitido.data.thumbnails import thumbnails
from nitido.imaging import load_image

CROPS = [sample for sample in SAMPLES if sample.kodak is not None]
LEAST: dict[Role, int] = {"train": 12, "validation": 4, "test": 16}


@pytest.fixture
def stores() -> dict[Role, Store]:
    return {role: prepare(resolve("samples", role), [2]) for role in LEAST}


def test_every_split_has_enough_images(stores: dict[Role, Store]) -> None:
    assert dataset("samples").is_complete()
    for role, store in stores.items():
        assert len(store) == sum(sample.split == role for sample in SAMPLES) >= LEAST[role]
        assert min(min(store.hr(i).shape[:2]) for i in range(len(store))) >= 192


def test_a_scene_is_in_one_split() -> None:
    splits: dict[str, set[Role]] = defaultdict(set)
    for sample in SAMPLES:
        splits[sample.scene].add(sample.split)
    assert [scene for scene, found in splits.items() if len(found) > 1] == []
    assert len({sample.scene for sample in SAMPLES if sample.split == "test"}) >= 15


@pytest.mark.parametrize(
    "same", [(1, 2), (6, 11), (9, 10), (19, 21)], ids=["red door", "fishing boat", "regatta", "lighthouse"]
)
def test_kodak_images_of_one_scene_have_one_label(same: tuple[int, int]) -> None:
    assert len({sample.scene for sample in CROPS if sample.kodak in same}) == 1


def test_a_kodak_image_is_in_one_split() -> None:
    splits = defaultdict(set)
    for sample in CROPS:
        splits[sample.kodak].add(sample.split)
    assert sorted(splits) == list(range(1, 25))
    assert all(len(found) == 1 for found in splits.values())


def test_no_two_images_are_nearly_the_same(stores: dict[Role, Store]) -> None:
    assert find_overlaps(stores["train"], stores["validation"], {"samples": stores["test"]}) == ()
    for store in stores.values():
        assert [(i, j) for i, j in similar_images(thumbnails(store), thumbnails(store)) if i < j] == []


def test_the_crops_are_small_lossless_webp() -> None:
    assert {path.name for path in SAMPLES_FOLDER.iterdir()} == {sample.file for sample in CROPS} | {"README.md"}
    contents = [sample.path.read_bytes() for sample in CROPS]
    assert all(b"VP8L" in content[12:34] for content in contents)  # the first or second chunk: lossless pixels
    assert sum(map(len, contents)) < 6_000_000


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.file)
def test_every_image_is_opaque_and_has_8_bits_and_terms(sample) -> None:
    image = load_image(sample.path)
    assert (image.pixels.dtype, image.alpha, image.notes) == (np.uint8, None, ())
    assert sample.terms.startswith(
        ("CC0 (", "public domain (", "unrestricted use (", "no known copyright restrictions (")
    )
