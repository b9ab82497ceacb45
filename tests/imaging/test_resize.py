"""Compares resizing with a dense-matrix implementation of its definition, and tests its invariants."""

import math
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nitido.imaging import ImagingError, bicubic_downscale, bicubic_upscale, crop_to_multiple

scales = st.integers(2, 8)
resizers = st.sampled_from([bicubic_downscale, bicubic_upscale])
shapes = st.one_of(
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=20), hnp.array_shapes(min_dims=3, max_dims=3, max_side=12)
)
images = shapes.flatmap(lambda shape: hnp.arrays(st.sampled_from([np.uint8, np.uint16]), shape))
few = settings(max_examples=60, deadline=None)


def keys(x: Fraction) -> Fraction:
    x = abs(x)
    if x <= 1:
        return (3 * x**3 - 5 * x**2 + 2) / 2
    return (-(x**3) + 5 * x**2 - 8 * x + 4) / 2 if x < 2 else Fraction(0)


@cache
def dense(size: int, k: int, shrink: bool) -> np.ndarray:
    """The (output, input) matrix of one pass, entry by entry, as exact fractions."""
    scale = Fraction(1, k) if shrink else Fraction(k)
    stretch = min(scale, Fraction(1))
    half = Fraction(1, 2)
    matrix = np.full((math.ceil(size * scale), size), Fraction(0))
    for row, weights in enumerate(matrix):
        center = (row + half) / scale - half
        for tap in range(math.floor(center - 2 / stretch), math.ceil(center + 2 / stretch) + 1):
            column = tap
            while not 0 <= column < size:
                column = -1 - column if column < 0 else 2 * size - 1 - column
            weights[column] += keys((center - tap) * stretch)
        weights /= weights.sum()
    return matrix


def by_matrix(planes: np.ndarray, k: int, resize) -> np.ndarray:
    """`(..., H, W)` in float64, not rounded."""
    rows, columns = (dense(size, k, resize is bicubic_downscale).astype(float) for size in planes.shape[-2:])
    return rows @ planes @ columns.T


def by_matrix_rounding(image: np.ndarray, k: int, resize) -> np.ndarray:
    """`(H, W)` rounded half up after each pass, all in exact integers."""
    values = image.astype(np.int64)
    for _ in range(2):
        matrix = dense(values.shape[0], k, resize is bicubic_downscale)
        denominator = math.lcm(*(weight.denominator for weight in matrix.flat))
        doubled = 2 * (matrix * denominator).astype(np.int64) @ values
        values = np.clip((doubled + denominator) // (2 * denominator), 0, np.iinfo(image.dtype).max).T
    return values


@few
@given(
    hnp.array_shapes(min_dims=4, max_dims=4, max_side=13).flatmap(
        lambda shape: hnp.arrays(np.float64, shape, elements=st.floats(0, 1))
    ),
    scales,
    resizers,
)
def test_tensors_agree_with_the_dense_matrix(planes, k, resize):
    result = resize(torch.from_numpy(planes), k)
    assert result.dtype == torch.float64
    np.testing.assert_allclose(result.numpy(), by_matrix(planes, k, resize), rtol=0, atol=1e-12)


@few
@given(hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), st.integers(0, 2**32 - 1), scales, resizers)
def test_tiny_images_agree_with_the_dense_matrix(shape, seed, k, resize):
    image = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    np.testing.assert_array_equal(resize(image, k), by_matrix_rounding(image, k, resize))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("resize", [bicubic_downscale, bicubic_upscale])
@pytest.mark.parametrize("k", range(2, 9))
def test_every_bit_agrees_with_exact_arithmetic(k, resize, dtype):
    """Enough pixels, black and white among them, to meet near ties and both ends of the range."""
    rng = np.random.default_rng(k)
    largest = np.iinfo(dtype).max
    image = rng.integers(0, largest, (61, 54), dtype=dtype, endpoint=True)
    image[:, ::3] = rng.choice([0, largest], (61, 18))
    result = resize(image, k)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, by_matrix_rounding(image, k, resize))


def test_rounding_half_up_after_each_pass_and_height_first():
    """Two pixels shrunk by 2 are their mean; by hand, columns first: (0, 1) -> 1 and (2, 1) -> 2, then (1, 2) -> 2.

    Rounding once would give 1 (the mean), as would rows first: (0, 2) -> 1 and (1, 1) -> 1, then (1, 1) -> 1.
    """
    assert bicubic_downscale(np.array([[0, 2], [1, 1]], dtype=np.uint8), 2).tolist() == [[2]]


@few
@given(images, scales)
def test_sizes(image, k):
    height, width = image.shape[:2]
    assert bicubic_upscale(image, k).shape == (height * k, width * k, *image.shape[2:])
    assert bicubic_downscale(image, k).shape == (-(-height // k), -(-width // k), *image.shape[2:])


@few
@given(shapes, st.integers(0, 65535), scales, resizers)
def test_constants_stay_constant(shape, value, k, resize):
    assert (resize(np.full(shape, value, dtype=np.uint16), k) == value).all()


@few
@given(images, scales, resizers, st.sampled_from([0, 1]))
def test_flipping_commutes(image, k, resize, axis):
    image = crop_to_multiple(np.pad(image, [(0, k), (0, k)] + [(0, 0)] * (image.ndim - 2), mode="wrap"), k)
    np.testing.assert_array_equal(resize(np.flip(image, axis), k), np.flip(resize(image, k), axis))


@few
@given(st.integers(0, 2**32 - 1), scales, resizers, st.floats(-2, 2))
def test_tensors_are_resized_linearly(seed, k, resize, factor):
    one, other = torch.rand((2, 1, 2, 9, 11), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    torch.testing.assert_close(
        resize(one + factor * other, k), resize(one, k) + factor * resize(other, k), rtol=0, atol=1e-12
    )


@few
@given(hnp.arrays(np.uint8, (6, 7, 4)), scales, resizers)
def test_channels_do_not_mix(image, k, resize):
    for channel in range(4):
        np.testing.assert_array_equal(resize(image, k)[..., channel], resize(image[..., channel], k))


def test_an_image_worked_on_in_many_strips_equals_its_parts():
    """Wide images are cut into strips inside; far from its edges a part resizes as the whole does."""
    image = np.random.default_rng(0).integers(0, 256, (20, 12_000), dtype=np.uint8)
    whole = bicubic_upscale(image, 3)
    part = bicubic_upscale(image[:, 6_000:6_100], 3)
    np.testing.assert_array_equal(whole[:, 18_030:18_270], part[:, 30:-30])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("resize", [bicubic_downscale, bicubic_upscale])
def test_tensor_types_are_kept_and_summed_precisely(dtype, resize):
    planes = torch.rand((2, 3, 12, 8), generator=torch.Generator().manual_seed(0)).to(dtype)
    result = resize(planes, 4)
    expected = torch.from_numpy(by_matrix(planes.double().numpy(), 4, resize))
    assert result.dtype == dtype
    torch.testing.assert_close(result.double(), expected, rtol=torch.finfo(dtype).eps, atol=1e-6)


@pytest.mark.parametrize("resize", [bicubic_downscale, bicubic_upscale])
def test_gradients(resize):
    planes = torch.rand((1, 2, 5, 4), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: resize(x, 3), planes)


@pytest.mark.parametrize("resize", [bicubic_downscale, bicubic_upscale])
def test_autocast_and_memory_format_do_not_change_the_result(resize):
    planes = torch.rand(2, 3, 24, 24)
    expected = resize(planes, 2)
    with torch.autocast("cpu", torch.bfloat16):
        result = resize(planes.contiguous(memory_format=torch.channels_last), 2)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("resize", [bicubic_downscale, bicubic_upscale])
def test_export_with_free_sizes(resize):
    """One exported graph serves every batch and size, so nothing in it may depend on the example's."""

    class Resizer(torch.nn.Module):
        def forward(self, planes):
            return resize(planes, 3)

    free = torch.export.Dim.DYNAMIC
    program = torch.export.export(
        Resizer(), (torch.rand(2, 3, 12, 15),), dynamic_shapes=({0: free, 2: free, 3: free},)
    ).module()
    for shape in [(2, 3, 12, 15), (3, 3, 7, 31), (2, 3, 4, 5)]:
        planes = torch.rand(shape)
        torch.testing.assert_close(program(planes), resize(planes, 3), rtol=0, atol=1e-6)


def test_views_and_read_only_images_are_accepted(recwarn):
    image = np.random.default_rng(0).integers(0, 256, (12, 10, 3), dtype=np.uint8)
    view = image[::-1, ::-1]
    np.testing.assert_array_equal(bicubic_upscale(view, 2), bicubic_upscale(view.copy(), 2))
    grey = image[..., 0].copy()
    grey.flags.writeable = False
    bicubic_upscale(grey, 2)
    assert not recwarn.list


@pytest.mark.parametrize("k", [0, 1, 9, -2, 2.5, "2", None, True])
@pytest.mark.parametrize("resize", [bicubic_downscale, bicubic_upscale])
def test_other_scales_are_refused(resize, k):
    with pytest.raises(ImagingError, match="integer from 2 to 8"):
        resize(np.zeros((8, 8), dtype=np.uint8), k)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8), dtype=np.float64),
        np.zeros((8, 8), dtype=np.int16),
        np.zeros(8, dtype=np.uint8),
        np.zeros((1, 8, 8, 3), dtype=np.uint8),
        np.zeros((0, 8, 3), dtype=np.uint8),
        torch.zeros(3, 8, 8),
        torch.zeros(1, 3, 8, 8, dtype=torch.uint8),
    ],
)
def test_other_types_and_shapes_are_refused(image):
    with pytest.raises(ImagingError, match="cannot resize a"):
        bicubic_downscale(image, 2)


@few
@given(st.integers(1, 50), st.integers(1, 50), scales)
def test_crop_to_multiple(height, width, k):
    image = np.arange(height * width).reshape(height, width)
    cropped = crop_to_multiple(image, k)
    assert cropped.shape == (height // k * k, width // k * k)
    np.testing.assert_array_equal(cropped, image[: cropped.shape[0], : cropped.shape[1]])
