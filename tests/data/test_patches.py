"""Tests that patches are a pure function of (seed, i), uniform, and at their planned positions."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import chisquare

from nitido.data import DataError, PatchSampler, Store, patch_plan, prepare, resolve
from nitido.data.patches import DRAWN, ORDERS, apply_symmetry

SIZES = [(9, 12), (8, 8), (30, 11)]
SEEDS = st.integers(0, 2**63)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Three images of noise, so that every patch occurs in one place only; sizes are no multiples of the scales."""
    folder = tmp_path_factory.mktemp("noise")
    for n, size in enumerate([(70, 51), (49, 64), (90, 100)]):
        pixels = np.random.default_rng(n).integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{n}.png")
    return prepare(resolve(str(folder)), [2, 3], cache=folder / "cache")


def _bytes(batch: tuple[np.ndarray, np.ndarray]) -> tuple[bytes, bytes]:
    return batch[0].tobytes(), batch[1].tobytes()


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, start=st.integers(0, 2**40), cut=st.integers(1, 7))
def test_a_batch_is_the_sum_of_its_parts(store: Store, seed: int, start: int, cut: int) -> None:
    sampler = PatchSampler(store, 2, 12, seed)
    later = sampler.batch(start + cut, 8 - cut)  # asked for first: no state may leak from call to call
    whole = sampler.batch(start, 8)
    first = PatchSampler(store, 2, 12, seed).batch(start, cut)
    for k in range(2):
        np.testing.assert_array_equal(whole[k], np.concatenate([first[k], later[k]]))


@given(seed=SEEDS, indices=st.lists(st.integers(0, 2**50), min_size=1, max_size=20))
def test_the_plan_of_a_patch_depends_on_nothing_but_its_index(seed: int, indices: list[int]) -> None:
    together = patch_plan(seed, indices, SIZES, 8)
    for n, index in enumerate(indices):
        alone = patch_plan(seed, [index], SIZES, 8)
        parts = ("image", "top", "left", "symmetry", "colors")
        assert [getattr(together, part)[n] for part in parts] == [getattr(alone, part)[0] for part in parts]


@given(
    seed=SEEDS,
    sizes=st.lists(st.tuples(st.integers(5, 40), st.integers(5, 40)), min_size=1, max_size=5),
    patch=st.integers(1, 5),
)
def test_every_patch_lies_inside_its_image(seed: int, sizes: list[tuple[int, int]], patch: int) -> None:
    plan = patch_plan(seed, range(64), sizes, patch)
    height, width = np.array(sizes)[plan.image].T
    assert (plan.top >= 0).all()
    assert (plan.left >= 0).all()
    assert (plan.top + patch <= height).all()
    assert (plan.left + patch <= width).all()
    assert ((plan.symmetry >= 0) & (plan.symmetry < 8)).all()


def test_places_and_symmetries_are_uniform_and_independent() -> None:
    patch, drawn = 8, 200_000
    plan = patch_plan(3, range(drawn), SIZES, patch)
    places = {
        (image, top, left): n
        for n, (image, top, left) in enumerate(
            (image, top, left)
            for image, (height, width) in enumerate(SIZES)
            for top in range(height - patch + 1)
            for left in range(width - patch + 1)
        )
    }
    counts = np.zeros((len(places), 8))
    for image, top, left, symmetry in zip(plan.image, plan.top, plan.left, plan.symmetry, strict=True):
        counts[places[image, top, left], symmetry] += 1
    assert len(places) == 10 + 1 + 92
    assert chisquare(counts.ravel()).pvalue > 1e-3
    # Neighbors in the sequence must not be alike either.
    order = plan.symmetry[:-1] * 8 + plan.symmetry[1:]
    assert chisquare(np.bincount(order, minlength=64)).pvalue > 1e-3


def test_orders_of_colors_are_uniform_and_independent_of_symmetries() -> None:
    plan = patch_plan(3, range(100_000), SIZES, 8)
    both = plan.symmetry * 6 + plan.colors
    assert chisquare(np.bincount(both, minlength=48)).pvalue > 1e-3


def test_seeds_give_different_patches() -> None:
    plans = [patch_plan(seed, range(200), [(500, 500)], 8) for seed in (0, 1, 2, 2**32, 2**63)]
    tops = np.stack([plan.top for plan in plans])
    for i in range(len(plans)):
        for j in range(i):
            for shift in range(-3, 4):  # nor may one seed be another one some steps later
                assert (np.roll(tops[i], shift) == tops[j]).mean() < 0.05


def test_batches_may_be_asked_for_in_any_order(store: Store) -> None:
    """Whatever a sampler has drawn ahead for others."""
    sampler = PatchSampler(store, 2, 5, seed=3)
    for start, count in ((0, 4), (DRAWN - 2, 4), (DRAWN + 2, 4), (7, 4), (3, 4), (10, DRAWN + 5), (10**9, 4)):
        fresh = PatchSampler(store, 2, 5, seed=3)
        assert _bytes(sampler.batch(start, count)) == _bytes(fresh.batch(start, count))


@pytest.mark.parametrize("scale", [2, 3])
def test_every_patch_is_where_the_plan_says(store: Store, scale: int) -> None:
    patch, count = 10, 64
    lr, hr = PatchSampler(store, scale, patch, seed=5).batch(100, count)
    plan = patch_plan(5, range(100, 100 + count), store.lr_sizes(scale), patch)
    assert len(set(plan.symmetry.tolist())) == 8
    for n in range(count):
        image, top, left = int(plan.image[n]), int(plan.top[n]), int(plan.left[n])
        flip_rows, flip_columns, swap = (bool(plan.symmetry[n] >> bit & 1) for bit in range(3))
        for found, source, k in (
            (lr[n], store.lr(image, scale), 1),
            (hr[n], store.hr_cropped(image, scale), scale),
        ):
            expected = source[k * top : k * (top + patch), k * left : k * (left + patch)]
            expected = np.flipud(expected) if flip_rows else expected
            expected = np.fliplr(expected) if flip_columns else expected
            expected = expected.transpose(1, 0, 2) if swap else expected
            np.testing.assert_array_equal(found.transpose(1, 2, 0), expected)


def test_lr_and_hr_show_the_same_place(folder: Path) -> None:
    """The colors of a smooth image are its coordinates, so each LR pixel must be the mean of its HR pixels."""
    rows, columns = np.mgrid[0:120, 0:100]
    pixels = np.stack([rows * 2, columns * 2, rows + columns], axis=-1).astype(np.uint8)
    Image.fromarray(pixels).save(folder / "ramp.png")
    for scale in (2, 3, 4):
        lr, hr = PatchSampler(prepare(resolve(str(folder)), [scale]), scale, 9, seed=0).batch(0, 40)
        means = hr.reshape(40, 3, 9, scale, 9, scale).mean(axis=(3, 5))
        difference = np.abs(means - lr)
        assert np.median(difference) <= 0.5
        assert difference.max() < 2.5  # only at the border of the image, where bicubic sees a mirror


def test_lr_is_cut_from_the_lr_of_the_whole_image(store: Store) -> None:
    """Shrinking the HR patch by itself gives other pixels along its border, where its surroundings are missing."""
    from nitido.imaging import bicubic_downscale

    lr, hr = PatchSampler(store, 2, 12, seed=1, augment=False).batch(0, 16)
    alone = np.stack([bicubic_downscale(np.ascontiguousarray(x.transpose(1, 2, 0)), 2).transpose(2, 0, 1) for x in hr])
    np.testing.assert_array_equal(alone[:, :, 2:-2, 2:-2], lr[:, :, 2:-2, 2:-2])
    assert (alone != lr).any()


def test_the_eight_symmetries_are_those_of_the_square() -> None:
    square = np.arange(9, dtype=np.uint8).reshape(3, 3, 1)
    seen = {apply_symmetry(square, symmetry).tobytes() for symmetry in range(8)}
    rotations = [np.rot90(square, scale_schedule) for scale_schedule in range(4)]
    assert seen == {x.tobytes() for turned in rotations for x in (turned, np.fliplr(turned))}


def test_without_augmentation_nothing_is_turned(store: Store) -> None:
    lr, _ = PatchSampler(store, 2, 12, seed=9, augment=False).batch(0, 16)
    plan = patch_plan(9, range(16), store.lr_sizes(2), 12)
    for n in range(16):
        top, left = int(plan.top[n]), int(plan.left[n])
        expected = store.lr(int(plan.image[n]), 2)[top : top + 12, left : left + 12]
        np.testing.assert_array_equal(lr[n].transpose(1, 2, 0), expected)


@pytest.mark.parametrize("augment", [True, False])
def test_colors_are_reordered_alike_in_lr_and_hr(store: Store, augment: bool) -> None:
    count = 64
    plain = PatchSampler(store, 2, 12, seed=9, augment=augment).batch(0, count)
    shuffled = PatchSampler(store, 2, 12, seed=9, augment=augment, augment_colours=True).batch(0, count)
    orders = [ORDERS[order] for order in patch_plan(9, range(count), store.lr_sizes(2), 12).colors]
    assert len(set(orders)) == 6
    for before, after in zip(plain, shuffled, strict=True):
        for n, order in enumerate(orders):
            np.testing.assert_array_equal(after[n], before[n][list(order)])


def test_batches_are_ready_for_channels_last(store: Store) -> None:
    import torch

    for patches, side in zip(PatchSampler(store, 3, 8, seed=0).batch(0, 5), (8, 24), strict=True):
        assert patches.shape == (5, 3, side, side)
        assert patches.dtype == np.uint8
        assert torch.from_numpy(patches).is_contiguous(memory_format=torch.channels_last)


def test_a_sampler_travels_to_another_process(store: Store) -> None:
    sampler = PatchSampler(store, 2, 12, seed=4)
    before = _bytes(sampler.batch(0, 4))
    message = pickle.dumps(sampler)
    assert len(message) < 5000
    assert _bytes(pickle.loads(message).batch(0, 4)) == before


@pytest.mark.parametrize("patch", [25, 0])
def test_a_patch_larger_than_the_smallest_image_is_refused(store: Store, patch: int) -> None:
    with pytest.raises(DataError, match=f"patch {patch} must be 1 to 24: the smallest image, 1 of .*, is 32×24"):
        PatchSampler(store, 2, patch, seed=0)
    PatchSampler(store, 2, 24, seed=0).batch(0, 1)
