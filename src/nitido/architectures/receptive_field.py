"""Exact receptive fields by interval arithmetic along one axis.

A network describes which input pixels an interval of output pixels depends on, layer by layer from the output back to
the LR input. `radius` then takes the worst case over all positions of an output pixel inside its LR pixel.
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
    """The input of a centred, stride-1 convolution with an odd kernel that `span` of its output depends on."""
    reach = kernel_size // 2
    return Span(span.first - reach, span.last + reach)


def through_pixel_shuffle(span: Span, scale: int) -> Span:
    """The input of a pixel shuffle, or of a repetition of pixels, that `span` of its output depends on."""
    return Span(span.first // scale, span.last // scale)


def through_transposed_convolution(span: Span, kernel_size: int, scale: int, padding: int) -> Span:
    """The input of a transposed convolution: input i feeds the outputs i*scale - padding + [0, kernel_size)."""
    first = -(-(span.first + padding - kernel_size + 1) // scale)
    return Span(first, (span.last + padding) // scale)


def through_bicubic(span: Span, scale: int) -> Span:
    """The input of a bicubic enlargement that `span` of its output depends on.

    Output z lies at u = (z + 1/2) / scale - 1/2 and the cubic kernel is non-zero for distances below 2, except at the
    distance 1, so that a sample which falls on an input pixel depends on that pixel alone.
    """
    taps = [_bicubic_taps(position, scale) for position in range(span.first, span.last + 1)]
    return Span(min(tap.first for tap in taps), max(tap.last for tap in taps))


def _bicubic_taps(position: int, scale: int) -> Span:
    numerator = 2 * position + 1 - scale
    below, remainder = divmod(numerator, 2 * scale)
    return Span(below, below) if remainder == 0 else Span(below - 1, below + 2)


def union(one: Span, other: Span) -> Span:
    """The smallest span that holds both: where two branches are added."""
    return Span(min(one.first, other.first), max(one.last, other.last))


def through_upsampler(span: Span, upsampler: UpsamplerName, scale: int) -> Span:
    """The features before an upsampler that `span` of its output depends on; `bicubic` leaves features as they are."""
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
    """The LR pixels that `output` of a chain depends on: convolutions `before`, the upsampler, convolutions `after`.

    `before` and `after` are kernel sizes. With `bicubic` the input is enlarged ahead of all of them; `residual` adds
    the bicubically enlarged input to the output.
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
    """The features before `upsamplers.make_staged_upsampler` that `span` of its output depends on."""
    for factor in reversed(upsampling_stages(scale)):
        span = through_upsampler(span, upsampler, factor)
        if upsampler == "pixel_shuffle":
            span = through_convolution(span, STAGE_KERNEL_SIZE)
    return span


def through_body_network(
    output: Span, reach: int, upsampler: UpsamplerName, last: int, scale: int, residual: bool
) -> Span:
    """The LR pixels that `output` of a network with a body and a staged upsampler depends on.

    `reach` is how far, to each side, all layers ahead of the upsampler see together; `last` is the kernel size of the
    convolution behind it; `residual` adds the bicubically enlarged input to the output.
    """
    span = through_staged_upsampler(through_convolution(output, last), upsampler, scale)
    span = Span(span.first - reach, span.last + reach)
    if upsampler == "bicubic":
        return through_bicubic(span, scale)
    return union(span, through_bicubic(output, scale)) if residual else span


def radius(scale: int, support: Callable[[Span], Span]) -> int:
    """How far the support of an output pixel reaches beyond its own LR pixel, in LR pixels.

    `support` maps a span of output pixels to the span of LR pixels it depends on.

    >>> radius(2, lambda span: through_bicubic(span, 2))
    2
    >>> radius(2, lambda span: through_pixel_shuffle(through_convolution(span, 3), 2))
    1
    """
    spans = [support(Span(phase, phase)) for phase in range(scale)]
    return max(max(-span.first, span.last) for span in spans)
