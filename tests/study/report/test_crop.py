import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nitido.study.report.crop import Box, choose_box, crop_side


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(5).integers(60, 180, (height, width, 3), dtype=np.uint8)


def spoil(image: np.ndarray, box: Box, amount: int) -> np.ndarray:
    spoiled = image.copy()
    spoiled[box.slices] += np.uint8(amount)
    return spoiled


def test_box_covers_the_planted_difference_to_the_reference() -> None:
    reference = noise(150, 200)
    planted = Box(120, 60, 20, 20)
    box = choose_box([reference, spoil(reference, planted, 40), reference], 24, reference=reference)
    assert box.left <= planted.left
    assert box.top <= planted.top
    assert box.left + 24 >= planted.left + 20
    assert box.top + 24 >= planted.top + 20


def test_errors_that_all_images_share_lose_against_a_smaller_one_that_distinguishes_them() -> None:
    reference = noise(120, 120)
    shared, telling = Box(10, 10, 16, 16), Box(80, 70, 16, 16)
    bad = spoil(reference, shared, 60)
    box = choose_box([bad, spoil(bad, telling, 20)], 16, reference=reference)
    assert box == telling


def test_without_reference_the_box_is_where_the_images_differ() -> None:
    image = noise(90, 140)
    planted = Box(30, 50, 18, 18)
    assert choose_box([image, spoil(image, planted, 30)], 18) == planted


def test_equal_images_give_the_box_with_most_detail() -> None:
    flat = np.full((100, 100, 3), 90, np.uint8)
    flat[60:76, 20:36] = noise(16, 16)
    box = choose_box([flat, flat], 20, reference=flat)
    assert box.left <= 20 <= 36 <= box.left + 20
    assert box.top <= 60 <= 76 <= box.top + 20


@given(st.integers(1, 130), st.integers(1, 130), st.integers(1, 72), st.booleans())
def test_box_is_a_square_inside_the_image_and_repeatable(height: int, width: int, size: int, given_: bool) -> None:
    image = noise(height, width)
    images = [image, image // 2]
    reference = image if given_ else None
    box = choose_box(images, size, reference=reference)
    assert box.width == box.height == min(size, height, width)
    assert 0 <= box.left <= width - box.width
    assert 0 <= box.top <= height - box.height
    assert choose_box(images, size, reference=reference) == box


@given(st.integers(1, 3000), st.integers(1, 3000))
def test_crop_side_fits_and_leaves_context(height: int, width: int) -> None:
    side = crop_side(height, width)
    assert 1 <= side <= min(height, width)
    assert side <= max(12, min(height, width) // 4)
