"""The interval arithmetic against the gradients of the layers themselves."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from nitido.architectures import receptive_field
from nitido.architectures.layers import BicubicUpscale
from nitido.architectures.receptive_field import Span
from nitido.architectures.upsamplers import UpsamplerName, make_staged_upsampler

SIZE = 21
scales = st.integers(2, 4)
offsets = st.integers(-6, 6)
lengths = st.integers(1, 6)


def measured(layer: nn.Module, scale: int, first: int, last: int, channels: int = 1) -> Span:
    """The input columns that outputs first..last (counted from the middle pixel) have a gradient to."""
    for parameter in layer.parameters():
        nn.init.ones_(parameter)
    middle = SIZE // 2
    image = torch.rand(1, channels, SIZE, SIZE, dtype=torch.float64, requires_grad=True)
    output = layer.double()(image)[0, :, scale * middle + scale // 2, :]
    touched = torch.zeros(SIZE, dtype=torch.bool)
    for position in range(first, last + 1):
        pixel = output[:, scale * middle + position].sum()
        (gradient,) = torch.autograd.grad(pixel, image, retain_graph=True)
        touched |= gradient.abs().amax((0, 1, 2)) > 0
    columns = touched.nonzero().flatten() - middle
    return Span(int(columns.min()), int(columns.max()))


@settings(max_examples=25, deadline=None)
@given(scales, offsets, lengths)
def test_bicubic(scale: int, first: int, length: int) -> None:
    last = first + length - 1
    assert receptive_field.through_bicubic(Span(first, last), scale) == measured(
        BicubicUpscale(scale), scale, first, last
    )


@settings(max_examples=25, deadline=None)
@given(scales, st.integers(0, 4), st.integers(0, 2), offsets, lengths)
def test_transposed_convolution(scale: int, longer: int, padding: int, first: int, length: int) -> None:
    last, kernel_size = first + length - 1, scale + longer
    layer = nn.ConvTranspose2d(1, 1, kernel_size, stride=scale, padding=padding)
    assert receptive_field.through_transposed_convolution(Span(first, last), kernel_size, scale, padding) == measured(
        layer, scale, first, last
    )


@settings(max_examples=15, deadline=None)
@given(scales, offsets, lengths)
def test_pixel_shuffle(scale: int, first: int, length: int) -> None:
    last = first + length - 1
    assert receptive_field.through_pixel_shuffle(Span(first, last), scale) == measured(
        nn.PixelShuffle(scale), scale, first, last, channels=scale**2
    )


@settings(max_examples=15, deadline=None)
@given(st.sampled_from([1, 3, 5, 9]), st.integers(-4, 4), st.integers(1, 3))
def test_convolution(kernel_size: int, first: int, length: int) -> None:
    last = first + length - 1
    layer = nn.Conv2d(1, 1, kernel_size, padding=kernel_size // 2)
    assert receptive_field.through_convolution(Span(first, last), kernel_size) == measured(layer, 1, first, last)


@settings(max_examples=15, deadline=None)
@given(scales, st.sampled_from(["nearest", "pixel_shuffle", "transposed"]), offsets, lengths)
def test_staged_upsampler(scale: int, upsampler: UpsamplerName, first: int, length: int) -> None:
    last = first + length - 1
    assert receptive_field.through_staged_upsampler(Span(first, last), upsampler, scale) == measured(
        make_staged_upsampler(upsampler, 1, scale), scale, first, last
    )


def test_union_holds_both() -> None:
    assert receptive_field.union(Span(-4, 1), Span(-2, 3)) == Span(-4, 3)
