"""Computes exact receptive fields by interval arithmetic along one axis.

A network describes which input pixels an interval of output pixels depends on, layer by layer from the output back to
the LR input. `radius` takes the maximum over all positions of an output pixel inside its LR pixel.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from nitido.architectures.upsamplers import (
    STAGE_KERNEL_SIZE,
    UpsamplerName,
    transposed_geometry,
    upsampling_stages,
)


class Span(NamedTuple):
    """An interval of pixel indices along one axis, both ends included."""

    first: int
    last: int


def through_convolution(span: Span, kernel_size: int) -> Span:
    """Return the inputs of a stride-1 convolution with an odd kernel that `span` of its output depends on."""
    reach = kernel_size // 2
    return Span(span.first - reach, span.last + reach)


def through_pixel_shuffle(span: Span, scale: int) -> Span:
    """Return the inputs of a pixel shuffle or a nearest-neighbor upsampling that `span` of its output depends on."""
    return Span(span.first // scale, span.last // scale)


def through_transposed_convolution(span: Span, kernel_size: int, scale: int, padding: int) -> Span:
    """Return the inputs of a transposed convolution that `span` of its output depends on.

    Input i affects the outputs i*scale - padding + [0, kernel_size).
    """
    first = -(-(span.first + padding - kernel_size + 1) // scale)
    return Span(first, (span.last + padding) // scale)


def through_bicubic(span: Span, scale: int) -> Span:
    """Return the inputs of a bicubic upscaling that `span` of its output depends on.

    Output z is at u = (z + 1/2) / scale - 1/2. The cubic kernel is nonzero for distances below 2, except at distance 1,
    so that a sample at the position of an input pixel depends only on that pixel.
    """
    taps = [_bicubic_taps(position, scale) for position in range(span.first, span.last + 1)]
    return Span(min(tap.first for tap in taps), max(tap.last for tap in taps))


def _bicubic_taps(position: int, scale: int) -> Span:
    numerator = 2 * position + 1 - scale
    below, remainder = divmod(numerator, 2 * scale)
    return Span(below, below) if remainder == 0 else Span(below - 1, below + 2)


def union(one: Span, other: Span) -> Span:
    """Return the smallest span that contains both, for the sum of two branches."""
    return Span(min(one.first, other.first), max(one.last, other.last))


def through_upsampler(span: Span, upsampler: UpsamplerName, scale: int) -> Span:
    """Return the inputs of an upsampler that `span` of its output depends on; `bicubic` does not change features."""
    if upsampler == "pixel_shuffle":
        return through_pixel_shuffle(span, scale)
    if upsampler == "transposed":
        kernel_size, padding = transposed_geometry(scale)
        return through_transposed_convolution(span, kernel_size, scale, padding)
    if upsampler == "nearest":
        return through_pixel_shuffle(through_convolution(span, STAGE_KERNEL_SIZE), scale)
    return span


def through_chain(
    output: Span, before: Iterable[int], upsampler: UpsamplerName, after: Iterable[int], scale: int, residual: bool
) -> Span:
    """Return the LR pixels that `output` of a chain of convolutions around an upsampler depends on.

    Args:
        output: A span of output pixels.
        before: Kernel sizes of the convolutions before the upsampler.
        upsampler: The upsampler; `bicubic` upscales the input before all convolutions.
        after: Kernel sizes of the convolutions after it.
        scale: The scale.
        residual: Whether the bicubically upscaled input is added to the output.
    """
    span = output
    for kernel_size in after:
        span = through_convolution(span, kernel_size)
    span = through_upsampler(span, upsampler, scale)
    for kernel_size in before:
        span = through_convolution(span, kernel_size)
    if upsampler == "bicubic":
        return through_bicubic(span, scale)
    return union(span, through_bicubic(output, scale)) if residual else span


def through_staged_upsampler(span: Span, upsampler: UpsamplerName, scale: int) -> Span:
    """Return the inputs of `upsamplers.make_staged_upsampler` that `span` of its output depends on."""
    for factor in reversed(upsampling_stages(scale)):
        span = through_upsampler(span, upsampler, factor)
        if upsampler == "pixel_shuffle":
            span = through_convolution(span, STAGE_KERNEL_SIZE)
    return span


def through_body_network(
    output: Span, reach: int, upsampler: UpsamplerName, last: int, scale: int, residual: bool
) -> Span:
    """Return the LR pixels that `output` of a network with a body and a staged upsampler depends on.

    Args:
        output: A span of output pixels.
        reach: How many pixels to each side the layers before the upsampler depend on together.
        upsampler: The upsampler.
        last: Kernel size of the convolution after it.
        scale: The scale.
        residual: Whether the bicubically upscaled input is added to the output.
    """
    span = through_staged_upsampler(through_convolution(output, last), upsampler, scale)
    span = Span(span.first - reach, span.last + reach)
    if upsampler == "bicubic":
        return through_bicubic(span, scale)
    return union(span, through_bicubic(output, scale)) if residual else span


def radius(scale: int, support: Callable[[Span], Span]) -> int:
    """Return how far the support of an output pixel extends beyond its own LR pixel, in LR pixels.

    `support` maps a span of output pixels to the span of LR pixels that it depends on.

    >>> radius(2, lambda span: through_bicubic(span, 2))
    2
    >>> radius(2, lambda span: through_pixel_shuffle(through_convolution(span, 3), 2))
    1
    """
    spans = [support(Span(phase, phase)) for phase in range(scale)]
    return max(max(-span.first, span.last) for span in spans)
