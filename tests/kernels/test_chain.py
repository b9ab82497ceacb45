"""Compares chains with PyTorch's convolutions in double precision on the same bfloat16 numbers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from nitido.kernels import Chain, Chains, Kernels
from nitido.kernels.chain import LINEAR, is_chainable

ROUNDING = 2**-8
"""Relative rounding error of bfloat16."""

RELU, LEAKY = 0.0, 0.2

NOISE = {"tiles": ROUNDING, "winograd": 2 * ROUNDING}
"""Relative error of a convolution; Winograd's algorithm rounds sums of features and of weights."""


@dataclass(frozen=True)
class Case:
    """A chain and the size of its input."""

    images: int
    height: int
    width: int
    kernel: int
    channels: tuple[int, ...]
    slopes: tuple[float, ...]
    skip: bool
    seed: int = 0

    def convolutions(self, bias: bool = True) -> list[nn.Conv2d]:
        torch.manual_seed(self.seed)
        pairs = zip(self.channels, self.channels[1:], strict=False)
        return [nn.Conv2d(i, o, self.kernel, padding=self.kernel // 2, bias=bias) for i, o in pairs]

    def features(self, channels: int) -> Tensor:
        return torch.randn(self.images, channels, self.height, self.width).to(torch.bfloat16)


@st.composite
def cases(draw: st.DrawFn, kernel_sizes: frozenset[int]) -> Case:
    length = draw(st.integers(1, 3))
    skip = draw(st.booleans())
    channels = [draw(st.sampled_from([32, 64, 96])) for _ in range(length + 1)]
    slopes = [draw(st.sampled_from([LINEAR, RELU, LEAKY])) for _ in range(length)]
    if skip:
        channels[-1], slopes[-1] = channels[0], LINEAR
    sides = st.one_of(st.integers(1, 9), st.integers(1, 70))
    return Case(
        draw(st.integers(1, 3)),
        draw(sides),
        draw(sides),
        draw(st.sampled_from(sorted(kernel_sizes))),
        tuple(channels),
        tuple(slopes),
        skip,
        draw(st.integers(0, 99)),
    )


def chains(kernels: Kernels, convolutions: Sequence[nn.Conv2d], slopes: Sequence[float], skip: bool = False) -> Chains:
    return Chains(kernels, [Chain(tuple(convolutions), tuple(slopes), skip)])


def expected(
    features: Tensor, convolutions: Sequence[nn.Conv2d], slopes: Sequence[float], stages: Sequence[Tensor], skip: bool
) -> Tensor:
    """Return the exact output of a chain in double precision.

    The input of each convolution and the sign of each activation are taken from the chain's own intermediate results,
    `stages`. Errors therefore do not accumulate, and numbers near zero have the same sign.
    """
    flow = features.double()
    for layer, slope, stage in zip(convolutions, slopes, stages, strict=True):
        bias = None if layer.bias is None else layer.bias.double()
        made = functional.conv2d(flow, layer.weight.double(), bias, padding=layer.kernel_size[0] // 2)
        made = made * torch.where(stage > 0, 1.0, slope)
        last = stage is stages[-1]
        flow = made if last else made + (stage.double() - made).detach()
    return flow + features.double() if skip else flow


def outcome(call, features: Tensor, gradient: Tensor, convolutions: Sequence[nn.Conv2d]) -> list[Tensor]:
    """Return the output and the gradients of the features and of all weights and biases, in double precision."""
    features = features.clone().requires_grad_()
    for layer in convolutions:
        layer.zero_grad()
    out = call(features)
    out.backward(gradient.to(out.dtype))
    tensors = [out, features.grad, *(p.grad for layer in convolutions for p in layer.parameters())]
    return [tensor.detach().double() for tensor in tensors]


def both(kernels: Kernels, case: Case, bias: bool = True) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield each result of a chain with the expected one."""
    convolutions = case.convolutions(bias)
    features, gradient = case.features(case.channels[0]), case.features(case.channels[-1])
    parts = [(convolutions[:n], case.slopes[:n]) for n in range(1, len(convolutions) + 1)]
    with torch.no_grad():
        stages = [chains(kernels, *part)(features) for part in parts]
    chain = chains(kernels, convolutions, case.slopes, case.skip)
    found = outcome(chain, features, gradient, convolutions)
    wanted = outcome(
        lambda x: expected(x, convolutions, case.slopes, stages, case.skip), features, gradient, convolutions
    )
    yield from zip(found, wanted, strict=True)


def apart(found: Tensor, wanted: Tensor) -> float:
    return ((found - wanted).norm() / wanted.norm().clamp_min(1e-9)).item()


def assert_near(kernels: Kernels, case: Case, bias: bool = True) -> None:
    for found, wanted in both(kernels, case, bias):
        assert found.shape == wanted.shape
        assert apart(found, wanted) < len(case.slopes) * NOISE[kernels.source.name]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), threads=st.integers(1, 3))
def test_a_chain_computes_its_convolutions(kernels: Kernels, data: st.DataObject, threads: int) -> None:
    torch.set_num_threads(threads)
    assert_near(kernels, data.draw(cases(kernels.source.kernel_sizes or frozenset({1, 3, 5}))))


def test_sums_over_pixels_are_taken_in_float32(kernels: Kernels) -> None:
    """Bias gradients are exact sums; weight gradients are sums of numbers that Winograd's algorithm has rounded."""
    case = Case(3, 33, 47, 3, (64, 96), (LINEAR,), skip=False)
    _, _, weight_gradient, bias_gradient = (apart(*pair) for pair in both(kernels, case))
    assert weight_gradient < {"tiles": 1e-5, "winograd": ROUNDING}[kernels.source.name]
    assert bias_gradient < 1e-5


def test_all_pixels_of_a_large_image_are_summed(kernels: Kernels) -> None:
    """The image has many bands and is wider than a band."""
    assert_near(kernels, Case(1, 5, 1500, 3, (32, 32), (RELU,), skip=False))


def test_borders_stay_zero_when_shapes_change(kernels: Kernels) -> None:
    """The next call uses the same memory with another layout."""
    torch.set_num_threads(1)
    for channels in ((96, 32), (32, 96), (32, 32), (96, 96)):
        for height, width in ((6, 7), (7, 6), (6, 7)):
            assert_near(kernels, Case(2, height, width, 3, channels, (LINEAR,), skip=False))


def test_consecutive_chains_equal_separate_calls(kernels: Kernels) -> None:
    """Chains with and without skips, and between different widths."""
    cases = [
        Case(3, 19, 14, 3, (64, 64, 64), (RELU, LINEAR), skip=True, seed=1),
        Case(3, 19, 14, 3, (64, 96), (LEAKY,), skip=False, seed=2),
        Case(3, 19, 14, 3, (96, 32, 96), (LINEAR, LINEAR), skip=True, seed=3),
    ]
    layers = [case.convolutions() for case in cases]
    features, gradient = cases[0].features(64), cases[-1].features(96)
    parts = [Chain(tuple(own), case.slopes, case.skip) for own, case in zip(layers, cases, strict=True)]

    def one_by_one(flow: Tensor) -> Tensor:
        for part in parts:
            flow = Chains(kernels, [part])(flow)
        return flow

    every = [layer for own in layers for layer in own]
    found = outcome(Chains(kernels, parts), features, gradient, every)
    wanted = outcome(one_by_one, features, gradient, every)
    assert len(found) == 2 + 2 * 5
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("images", [1, 2, 5])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_gradients_and_threads_do_not_change_the_bits(kernels: Kernels, images: int, threads: int) -> None:
    """Without gradients, features reuse memory; several threads may share an image."""
    cases = [
        Case(images, 23, 14, 3, (64, 64, 64), (RELU, LINEAR), skip=True, seed=1),
        Case(images, 23, 14, 3, (64, 64, 32, 96), (LEAKY, LINEAR, RELU), skip=False, seed=2),
        Case(images, 23, 14, 3, (96, 32, 96), (LINEAR, LINEAR), skip=True, seed=3),
    ]
    features = cases[0].features(64)
    chain = Chains(kernels, [Chain(tuple(case.convolutions()), case.slopes, case.skip) for case in cases])
    torch.set_num_threads(1)
    wanted = chain(features)
    torch.set_num_threads(threads)
    with torch.inference_mode():
        found = chain(features)
    assert wanted.requires_grad
    assert not found.requires_grad
    assert torch.equal(found, wanted)
    assert torch.equal(chain(features), wanted)


def test_a_bias_may_be_missing(kernels: Kernels) -> None:
    assert_near(kernels, Case(2, 8, 8, 3, (32, 64), (RELU,), skip=False), bias=False)


def test_the_same_call_has_the_same_bits(kernels: Kernels) -> None:
    case = Case(5, 24, 24, 3, (64, 64, 64), (RELU, LINEAR), skip=True)
    first, second = ([found for found, _ in both(kernels, case)] for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_nan_propagates(kernels: Kernels) -> None:
    """The trainer detects a diverging run by NaN."""
    features = torch.zeros(1, 32, 9, 9)
    features[0, 0, 4, 4] = torch.nan
    out = chains(kernels, [nn.Conv2d(32, 32, 3, padding=1)], [RELU])(features)
    assert out.isnan().any(dim=1).nonzero()[:, 1:].tolist() == [[y, x] for y in (3, 4, 5) for x in (3, 4, 5)]


def test_features_of_another_width_are_refused(kernels: Kernels) -> None:
    with pytest.raises(ValueError, match="convolutions of 32 channels got 64"):
        chains(kernels, [nn.Conv2d(32, 32, 3, padding=1)], [RELU])(torch.zeros(1, 64, 8, 8))


def test_the_tile_configuration_of_pytorch_is_restored(kernels: Kernels) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(64, 64, 3, padding=1).bfloat16().to(memory_format=torch.channels_last)
    features = torch.randn(2, 64, 20, 20).bfloat16().contiguous(memory_format=torch.channels_last)
    before = layer(features)
    chains(kernels, [nn.Conv2d(32, 32, 3, padding=1)], [RELU])(torch.zeros(1, 32, 8, 8))
    assert torch.equal(layer(features), before)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(3, 64, 3, padding=1),
        nn.Conv2d(64, 48, 3, padding=1),
        nn.Conv2d(64, 64, 4, padding=1),
        nn.Conv2d(64, 64, (3, 5), padding=(1, 2)),
        nn.Conv2d(64, 64, 3),
        nn.Conv2d(64, 64, 3, padding=1, stride=2),
        nn.Conv2d(64, 64, 3, padding=2, dilation=2),
        nn.Conv2d(64, 64, 3, padding=1, groups=2),
        nn.Conv2d(64, 64, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(64, 64, 3, padding=1).requires_grad_(requires_grad=False),
        nn.Conv2d(64, 64, 3, padding=1, dtype=torch.float64),
        nn.ConvTranspose2d(64, 64, 3, padding=1),
        nn.ReLU(),
    ],
    ids=lambda layer: f"{layer} {next(layer.parameters(), torch.empty(0)).dtype}",
)
def test_other_layers_are_not_chainable(layer: nn.Module, kernels: Kernels) -> None:
    assert not is_chainable(layer, kernels)


@torch.no_grad()
def test_frozen_layers_are_chainable_without_gradients(kernels: Kernels) -> None:
    assert is_chainable(nn.Conv2d(64, 64, 3, padding=1).requires_grad_(requires_grad=False), kernels)


@pytest.mark.parametrize("padding", [1, "same"])
def test_convolutions_that_preserve_the_size_are_chainable(padding: int | str, kernels: Kernels) -> None:
    assert is_chainable(nn.Conv2d(64, 256, 3, padding=padding, bias=False), kernels)


@pytest.mark.parametrize("size", [1, 5])
def test_only_tiles_support_other_kernel_sizes(size: int, kernels: Kernels) -> None:
    assert is_chainable(nn.Conv2d(64, 64, size, padding="same"), kernels) is (kernels.source.name == "tiles")
