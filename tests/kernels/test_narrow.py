"""Compares convolutions from features to an image with PyTorch's in double precision."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from nitido.kernels import Kernels
from nitido.kernels.narrow import Narrow, is_narrow

ROUNDING = 2**-8
"""Relative rounding error of bfloat16."""


@dataclass(frozen=True)
class Case:
    """A convolution and the size of its input."""

    images: int
    height: int
    width: int
    kernel: int
    inputs: int
    outputs: int
    bias: bool = True

    def convolution(self) -> nn.Conv2d:
        torch.manual_seed(self.kernel)
        return nn.Conv2d(self.inputs, self.outputs, self.kernel, padding=self.kernel // 2, bias=self.bias)

    def tensors(self) -> tuple[Tensor, Tensor]:
        size = (self.height, self.width)
        return torch.randn(self.images, self.inputs, *size).bfloat16(), torch.randn(self.images, self.outputs, *size)


def outcome(layer: nn.Module, convolution: nn.Conv2d, features: Tensor, gradient: Tensor) -> list[Tensor]:
    """Return the image and the gradients of the features and of all parameters, in double precision."""
    features = features.clone().requires_grad_()
    convolution.zero_grad()
    image = layer(features)
    image.backward(gradient)
    return [t.detach().double() for t in (image, features.grad, *(p.grad for p in convolution.parameters()))]


def results(kernels: Kernels, case: Case, rounded: bool) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield each result with PyTorch's; if `rounded`, weights and gradient are bfloat16 numbers."""
    convolution = case.convolution()
    features, gradient = case.tensors()
    if rounded:
        gradient = gradient.bfloat16().float()
        with torch.no_grad():
            convolution.weight.copy_(convolution.weight.bfloat16())
    found = outcome(Narrow(kernels, convolution), convolution, features, gradient)
    exact = convolution.double()
    wanted = outcome(exact, exact, features.double(), gradient.double())
    assert len(found) == 3 + case.bias
    yield from zip(found, wanted, strict=True)


cases = st.builds(
    Case,
    images=st.integers(1, 3),
    height=st.integers(1, 12),
    width=st.one_of(st.integers(1, 20), st.integers(1, 120)),
    kernel=st.sampled_from([1, 3, 5, 9]),
    inputs=st.sampled_from([32, 64, 96]),
    outputs=st.sampled_from([1, 3]),
    bias=st.booleans(),
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=cases, threads=st.integers(1, 3))
def test_results_equal_those_of_pytorch(kernels: Kernels, case: Case, threads: int) -> None:
    """Sums are not rounded, except for the features' gradient, which is bfloat16."""
    torch.set_num_threads(threads)
    image, features_gradient, *others = results(kernels, case, rounded=True)
    for mine, right in (image, *others):
        torch.testing.assert_close(mine, right, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(*features_gradient, rtol=ROUNDING, atol=1e-5)


def test_weights_and_gradients_are_rounded_to_bfloat16(kernels: Kernels) -> None:
    for mine, right in results(kernels, Case(2, 17, 50, 3, 64, 3), rounded=False):
        assert mine.shape == right.shape
        assert (mine - right).norm() <= ROUNDING * right.norm()


def test_gradients_of_any_layout_give_the_same_weight_gradients(kernels: Kernels) -> None:
    case = Case(2, 9, 11, 5, 32, 3)
    convolution = case.convolution()
    features, gradient = case.tensors()
    layer = Narrow(kernels, convolution)
    weights = []
    for layout in (torch.contiguous_format, torch.channels_last):
        convolution.zero_grad()
        layer(features).backward(gradient.contiguous(memory_format=layout))
        assert convolution.weight.grad is not None
        weights.append(convolution.weight.grad)
    assert torch.equal(*weights)


def test_features_of_another_width_are_refused(kernels: Kernels) -> None:
    with pytest.raises(ValueError, match="convolutions of 32 channels got 64"):
        Narrow(kernels, nn.Conv2d(32, 3, 3, padding=1))(torch.zeros(1, 64, 8, 8))


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (nn.Conv2d(64, 3, 9, padding=4), True),
        (nn.Conv2d(32, 1, 1), True),
        (nn.Conv2d(64, 2, 3, padding=1), False),
        (nn.Conv2d(48, 3, 3, padding=1), False),
        (nn.Conv2d(64, 3, 3), False),
    ],
)
def test_is_narrow(layer: nn.Module, expected: bool) -> None:
    assert is_narrow(layer) is expected
