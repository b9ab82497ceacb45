"""Chains of convolutions beside PyTorch's own convolutions, in double precision on the same bfloat16 numbers."""

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from nitido.training.kernels import Chain, Chains
from nitido.training.kernels.chain import fits

ROUNDING = 2**-8
"""What bfloat16 may be off by, relative to the number."""


@dataclass(frozen=True)
class Case:
    """A chain and what is sent through it."""

    pictures: int
    height: int
    width: int
    kernel: int
    channels: tuple[int, ...]
    relu: tuple[bool, ...]
    skip: bool
    seed: int = 0

    def convolutions(self) -> list[nn.Conv2d]:
        torch.manual_seed(self.seed)
        pairs = zip(self.channels, self.channels[1:], strict=False)
        return [nn.Conv2d(i, o, self.kernel, padding=self.kernel // 2) for i, o in pairs]

    def features(self, channels: int) -> Tensor:
        return torch.randn(self.pictures, channels, self.height, self.width).to(torch.bfloat16)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    length = draw(st.integers(1, 3))
    skip = draw(st.booleans())
    channels = [draw(st.sampled_from([32, 64, 96])) for _ in range(length + 1)]
    relu = [draw(st.booleans()) for _ in range(length)]
    if skip:
        channels[-1], relu[-1] = channels[0], False
    sides = st.one_of(st.integers(1, 9), st.integers(1, 70))
    kernel = draw(st.sampled_from([1, 3, 5]))
    return Case(
        draw(st.integers(1, 3)),
        draw(sides),
        draw(sides),
        kernel,
        tuple(channels),
        tuple(relu),
        skip,
        draw(st.integers(0, 99)),
    )


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def chains(library: ctypes.CDLL, convolutions: Sequence[nn.Conv2d], relu: Sequence[bool], skip: bool = False) -> Chains:
    return Chains(library, [Chain(tuple(convolutions), tuple(relu), skip)])


def expected(features: Tensor, convolutions: Sequence[nn.Conv2d], relu: Sequence[bool], skip: bool) -> Tensor:
    """What a chain is to give, in double; weights, and what lies between two convolutions, rounded to bfloat16."""
    flow = features.double()
    for layer, active in zip(convolutions, relu, strict=True):
        weight = Rounded.apply(layer.weight.double())
        bias = None if layer.bias is None else layer.bias.double()
        flow = functional.conv2d(Rounded.apply(flow), weight, bias, padding=layer.kernel_size[0] // 2)
        flow = flow.relu() if active else flow
    return flow + features.double() if skip else flow


class Rounded(torch.autograd.Function):
    """Rounded to bfloat16 on the way there; the gradient passes as it is."""

    @staticmethod
    def forward(ctx: object, exact: Tensor) -> Tensor:
        return exact.to(torch.bfloat16).to(exact.dtype)

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        return gradient


def outcome(call, features: Tensor, gradient: Tensor, convolutions: Sequence[nn.Conv2d]) -> list[Tensor]:
    """The output, then the gradients of the features and of all weights and biases, in double."""
    features = features.clone().requires_grad_()
    for layer in convolutions:
        layer.zero_grad()
    out = call(features)
    out.backward(gradient.to(out.dtype))
    tensors = [out, features.grad, *(p.grad for layer in convolutions for p in layer.parameters())]
    return [tensor.detach().double() for tensor in tensors]


def both(library: ctypes.CDLL, case: Case) -> Iterator[tuple[Tensor, Tensor]]:
    """Each of a chain's results, beside PyTorch's."""
    convolutions = case.convolutions()
    features, gradient = case.features(case.channels[0]), case.features(case.channels[-1])
    chain = chains(library, convolutions, case.relu, case.skip)
    found = outcome(chain, features, gradient, convolutions)
    wanted = outcome(lambda x: expected(x, convolutions, case.relu, case.skip), features, gradient, convolutions)
    yield from zip(found, wanted, strict=True)


def apart(found: Tensor, wanted: Tensor) -> float:
    return ((found - wanted).norm() / wanted.norm().clamp_min(1e-9)).item()


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=cases(), threads=st.integers(1, 3))
def test_a_chain_is_its_convolutions(library: ctypes.CDLL, case: Case, threads: int) -> None:
    torch.set_num_threads(threads)
    for found, wanted in both(library, case):
        assert found.shape == wanted.shape
        # A number near zero may be rounded to the other side of a ReLU: few of them, so that the whole stays near.
        assert apart(found, wanted) < (3 if len(case.relu) == 1 else 12) * ROUNDING


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_gradients_of_weights_are_not_rounded_to_bfloat16(library: ctypes.CDLL, kernel: int) -> None:
    case = Case(3, 33, 47, kernel, (64, 96), (False,), skip=False)
    _, _, of_weight, of_bias = (apart(*pair) for pair in both(library, case))
    assert of_weight < 1e-5
    assert of_bias < 1e-5


def test_all_of_a_large_picture_is_summed(library: ctypes.CDLL) -> None:
    """A picture of many bands, wider than a band is long."""
    for found, wanted in both(library, Case(1, 5, 1500, 3, (32, 32), (True,), skip=False)):
        assert apart(found, wanted) < ROUNDING


def test_borders_stay_zero_when_shapes_change(library: ctypes.CDLL) -> None:
    """The memory of a call is used by the next one, whose pictures may lie in it in another way."""
    torch.set_num_threads(1)
    for channels in ((96, 32), (32, 96), (32, 32), (96, 96)):
        for height, width in ((6, 7), (7, 6), (6, 7)):
            for found, wanted in both(library, Case(2, height, width, 3, channels, (False,), skip=False)):
                assert apart(found, wanted) < ROUNDING


def test_chains_in_a_row_are_one_after_the_other(library: ctypes.CDLL) -> None:
    """With skips, without, and from one width to another."""
    cases = [
        Case(3, 19, 14, 3, (64, 64, 64), (True, False), skip=True, seed=1),
        Case(3, 19, 14, 3, (64, 96), (True,), skip=False, seed=2),
        Case(3, 19, 14, 3, (96, 32, 96), (False, False), skip=True, seed=3),
    ]
    layers = [case.convolutions() for case in cases]
    features, gradient = cases[0].features(64), cases[-1].features(96)
    parts = [Chain(tuple(own), case.relu, case.skip) for own, case in zip(layers, cases, strict=True)]

    def one_by_one(flow: Tensor) -> Tensor:
        for part in parts:
            flow = Chains(library, [part])(flow)
        return flow

    every = [layer for own in layers for layer in own]
    found = outcome(Chains(library, parts), features, gradient, every)
    wanted = outcome(one_by_one, features, gradient, every)
    assert len(found) == 2 + 2 * 5
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


def test_a_bias_may_be_missing(library: ctypes.CDLL) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(32, 64, 3, padding=1, bias=False)
    features, gradient = torch.randn(2, 32, 8, 8).bfloat16(), torch.randn(2, 64, 8, 8).bfloat16()
    chain = chains(library, [layer], [True])
    (out, _, of_weight), wanted = (
        outcome(call, features, gradient, [layer])
        for call in (chain, lambda x: expected(x, [layer], [True], skip=False))
    )
    assert apart(out, wanted[0]) < ROUNDING
    assert apart(of_weight, wanted[2]) < ROUNDING


def test_the_same_call_has_the_same_bits(library: ctypes.CDLL) -> None:
    case = Case(5, 24, 24, 3, (64, 64, 64), (True, False), skip=True)
    first, second = ([found for found, _ in both(library, case)] for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_what_is_no_number_passes(library: ctypes.CDLL) -> None:
    """A run that diverges must be seen to."""
    features = torch.zeros(1, 32, 9, 9)
    features[0, 0, 4, 4] = torch.nan
    out = chains(library, [nn.Conv2d(32, 32, 3, padding=1)], [True])(features)
    assert out.isnan().any(dim=1).nonzero()[:, 1:].tolist() == [[y, x] for y in (3, 4, 5) for x in (3, 4, 5)]


def test_features_of_another_width_are_refused(library: ctypes.CDLL) -> None:
    with pytest.raises(ValueError, match="chains for 32 channels were given 64"):
        chains(library, [nn.Conv2d(32, 32, 3, padding=1)], [True])(torch.zeros(1, 64, 8, 8))


def test_pytorch_s_own_tiles_are_left_as_they_were(library: ctypes.CDLL) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(64, 64, 3, padding=1).bfloat16().to(memory_format=torch.channels_last)
    features = torch.randn(2, 64, 20, 20).bfloat16().contiguous(memory_format=torch.channels_last)
    before = layer(features)
    chains(library, [nn.Conv2d(32, 32, 3, padding=1)], [True])(torch.zeros(1, 32, 8, 8))
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
def test_other_layers_do_not_fit(layer: nn.Module) -> None:
    assert not fits(layer)


@pytest.mark.parametrize("padding", [2, "same"])
def test_convolutions_that_keep_the_size_fit(padding: int | str) -> None:
    assert fits(nn.Conv2d(64, 256, 5, padding=padding, bias=False))
