"""Tests that tensors of any layout give PyTorch's results, and that tensors that C must not read are refused.

The C code gets only addresses. A slice, a permutation or an expanded tensor that is read as if it were dense gives
wrong numbers, and a tensor of another device or size a crash.
"""

from collections.abc import Callable

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from nitido.architectures import build, resolve_config
from nitido.kernels import AcceleratedNetwork, Chain, Chains, Kernels
from nitido.kernels.narrow import Narrow

LAST = torch.channels_last
C = 32
ROUNDING = 2**-8


def noise(*size: int) -> Tensor:
    return torch.randn(*size).bfloat16()


def unaligned(*size: int) -> Tensor:
    """Return random numbers that are stored at an odd address."""
    count = torch.Size(size).numel()
    memory = bytearray(2 * count + 1)
    values = torch.frombuffer(memory, dtype=torch.bfloat16, offset=1, count=count).view(*size)
    return values.copy_(noise(*size))


VIEWS: dict[str, Callable[[int], Tensor]] = {
    "first channels of channels-last": lambda c: noise(2, 2 * c, 8, 7).contiguous(memory_format=LAST)[:, :c],
    "last channels of channels-last": lambda c: noise(2, 2 * c, 8, 7).contiguous(memory_format=LAST)[:, c:],
    "channels of one image": lambda c: noise(1, 2 * c, 8, 7).contiguous(memory_format=LAST)[:, c:],
    "chunk": lambda c: noise(2, 3 * c, 8, 7).contiguous(memory_format=LAST).chunk(3, dim=1)[1],
    "split": lambda c: noise(2, 3 * c, 8, 7).split(c, dim=1)[2],
    "every other channel": lambda c: noise(2, 2 * c, 8, 7).contiguous(memory_format=LAST)[:, ::2],
    "part of the images": lambda c: noise(2, c, 12, 13).contiguous(memory_format=LAST)[:, :, 2:10, 3:10],
    "part of the planes": lambda c: noise(2, c, 12, 13)[:, :, 2:10, 3:10],
    "every other pixel": lambda c: noise(2, c, 16, 14).contiguous(memory_format=LAST)[:, :, ::2, 1::2],
    "later images": lambda c: noise(5, c, 8, 7).contiguous(memory_format=LAST)[3:],
    "every other image": lambda c: noise(4, c, 8, 7).contiguous(memory_format=LAST)[::2],
    "planes": lambda c: noise(2, c, 8, 7),
    "height and width swapped": lambda c: noise(2, c, 7, 8).contiguous(memory_format=LAST).transpose(2, 3),
    "all axes reversed": lambda c: noise(7, 8, c, 2).permute(3, 2, 1, 0),
    "channels and images swapped": lambda c: noise(c, 2, 8, 7).contiguous(memory_format=LAST).transpose(0, 1),
    "one image expanded": lambda c: noise(1, c, 8, 7).contiguous(memory_format=LAST).expand(2, -1, -1, -1),
    "one channel expanded": lambda c: noise(2, 1, 8, 7).expand(-1, c, -1, -1),
    "one row expanded": lambda c: noise(2, c, 1, 7).contiguous(memory_format=LAST).expand(-1, -1, 8, -1),
    "one number expanded": lambda c: noise(1, 1, 1, 1).expand(2, c, 8, 7),
    "overlapping windows": lambda c: noise(2, c, 14).unfold(2, 7, 1),
    "at an odd address": lambda c: unaligned(2, c, 8, 7),
    "one pixel of channels-last": lambda c: noise(3, 2 * c, 5, 5).contiguous(memory_format=LAST)[:, c:, 2:3, 2:3],
    "one column": lambda c: noise(2, c, 8, 7).contiguous(memory_format=LAST)[:, :, :, 3:4],
    "one row": lambda c: noise(2, c, 8, 7)[:, :, 5:6],
    "float32": lambda c: noise(2, 2 * c, 8, 7).float().contiguous(memory_format=LAST)[:, c:],
    "float64": lambda c: noise(2, 2 * c, 8, 7).double().contiguous(memory_format=LAST)[:, :c],
    "negated lazily": lambda c: torch._neg_view(noise(2, c, 8, 7).contiguous(memory_format=LAST)),
}


def chain(kernels: Kernels) -> tuple[nn.Module, list[nn.Conv2d]]:
    layers = [nn.Conv2d(C, 2 * C, 3, padding=1), nn.Conv2d(2 * C, C, 3, padding=1)]
    return Chains(kernels, [Chain(tuple(layers), (1.0, 1.0), skip=True)]), layers


def narrow(kernels: Kernels) -> tuple[nn.Module, list[nn.Conv2d]]:
    layer = nn.Conv2d(C, 3, 5, padding=2)
    return Narrow(kernels, layer), [layer]


def by_pytorch(features: Tensor, layers: list[nn.Conv2d], skip: bool) -> Tensor:
    flow = features.double()
    for layer in layers:
        bias = None if layer.bias is None else layer.bias.double()
        flow = functional.conv2d(flow, layer.weight.double(), bias, padding=layer.kernel_size[0] // 2)
    return flow + features.double() if skip else flow


def results(call: Callable[[Tensor], Tensor], features: Tensor, layers: list[nn.Conv2d], gradient: Tensor | None):
    """Return the output and the gradients of the features and of all parameters, in double precision."""
    features = features.detach().requires_grad_()
    out = call(features)
    of = (features, *(p for layer in layers for p in layer.parameters()))
    given = None if gradient is None else gradient.to(out.dtype)
    gradients = torch.autograd.grad(out if gradient is not None else out.sum(), of, given)
    return [tensor.detach().double() for tensor in (out, *gradients)]


def assert_as_pytorch(
    module: nn.Module, layers: list[nn.Conv2d], features: Tensor, gradient: Tensor | None = None
) -> None:
    found = results(module, features, layers, gradient)
    skip = isinstance(module, Chains)
    wanted = results(lambda x: by_pytorch(x, layers, skip), features, layers, gradient)
    for mine, right in zip(found, wanted, strict=True):
        assert mine.shape == right.shape
        assert (mine - right).norm() <= 6 * ROUNDING * right.norm()


@pytest.mark.parametrize("make", [chain, narrow])
@pytest.mark.parametrize("view", VIEWS)
def test_features_in_any_layout(kernels: Kernels, make, view: str) -> None:
    torch.manual_seed(0)
    module, layers = make(kernels)
    features = VIEWS[view](C)
    assert_as_pytorch(module, layers, features)
    with torch.no_grad():
        assert torch.equal(module(features), module(features.resolve_neg().clone(memory_format=LAST)))


@pytest.mark.parametrize("make", [chain, narrow])
@pytest.mark.parametrize("view", VIEWS)
def test_gradients_in_any_layout(kernels: Kernels, make, view: str) -> None:
    torch.manual_seed(0)
    module, layers = make(kernels)
    gradient = VIEWS[view](layers[-1].out_channels)
    n, _, height, width = gradient.shape
    assert_as_pytorch(module, layers, noise(n, C, height, width), gradient)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_random_views_have_the_bits_of_their_dense_copies(kernels: Kernels, data: st.DataObject) -> None:
    """Features and gradients are random views: axes permuted, sliced with steps and expanded."""

    def draw(size: tuple[int, ...]) -> Tensor:
        order = data.draw(st.permutations(range(4)))
        expanded = [data.draw(st.integers(0, 4)) == 0 for _ in range(4)]
        start, step = ([data.draw(st.integers(low, 2)) for _ in range(4)] for low in (0, 1))
        whole = [1 if expanded[a] else start[a] + size[a] * step[a] for a in range(4)]
        stored = noise(*(whole[a] for a in order)).permute(*(order.index(a) for a in range(4)))
        cut = tuple(slice(None) if expanded[a] else slice(start[a], None, step[a]) for a in range(4))
        return stored[cut][tuple(slice(n) for n in size)].expand(size)

    torch.manual_seed(data.draw(st.integers(0, 99)))
    n, height, width = (data.draw(st.integers(1, most)) for most in (3, 6, 6))
    for make in (chain, narrow):
        module, layers = make(kernels)
        features, gradient = draw((n, C, height, width)), draw((n, layers[-1].out_channels, height, width))
        found = results(module, features, layers, gradient)
        dense = (torch.tensor(view.tolist(), dtype=view.dtype) for view in (features, gradient))
        wanted = results(module, next(dense), layers, next(dense))
        assert all(torch.equal(mine, right) for mine, right in zip(found, wanted, strict=True))


WEIGHT_VIEWS: dict[str, Callable[[Tensor], Tensor]] = {
    "channels last": lambda w: w.contiguous(memory_format=LAST),
    "a slice": lambda w: torch.cat([w, w], dim=1).contiguous(memory_format=LAST)[:, : w.shape[1]],
    "transposed": lambda w: w.transpose(0, 1).contiguous().transpose(0, 1),
    "expanded": lambda w: w[:, :1].expand(-1, w.shape[1], -1, -1),
    "height and width swapped": lambda w: w.transpose(2, 3),
}


@pytest.mark.parametrize("make", [chain, narrow])
@pytest.mark.parametrize("view", WEIGHT_VIEWS)
def test_weights_and_biases_in_any_layout(kernels: Kernels, make, view: str) -> None:
    """The parameters are replaced after the module was constructed."""
    torch.manual_seed(0)
    module, layers = make(kernels)
    for layer in layers:
        layer.weight = nn.Parameter(WEIGHT_VIEWS[view](layer.weight.detach() + 0.1))
        layer.bias = nn.Parameter(torch.randn(2 * layer.out_channels)[::2])
    assert_as_pytorch(module, layers, noise(2, C, 6, 5))
    with torch.no_grad():
        features = noise(2, C, 6, 5)
        right = by_pytorch(features, layers, isinstance(module, Chains))
        assert (module(features).double() - right).norm() <= 6 * ROUNDING * right.norm()


@pytest.mark.parametrize("make", [chain, narrow])
@pytest.mark.parametrize("learns", ["features", "weights", "weight only", "nothing"])
def test_exactly_the_tensors_that_require_gradients_get_them(kernels: Kernels, make, learns: str) -> None:
    module, layers = make(kernels)
    features = noise(2, C, 6, 5).requires_grad_(learns == "features")
    for layer in layers:
        layer.weight.requires_grad_(learns.startswith("weight"))
        layer.bias.requires_grad_(learns == "weights")
    out = module(features)
    assert out.requires_grad == (learns != "nothing")
    if out.requires_grad:
        out.sum().backward()
    assert (features.grad is not None) == (learns == "features")
    assert all((layer.weight.grad is not None) == learns.startswith("weight") for layer in layers)
    assert all((layer.bias.grad is not None) == (learns == "weights") for layer in layers)


@pytest.mark.parametrize("make", [chain, narrow])
def test_an_empty_batch_is_empty_and_its_gradients_are_zero(kernels: Kernels, make) -> None:
    module, layers = make(kernels)
    features = torch.zeros(0, C, 6, 5, requires_grad=True)
    out = module(features)
    assert out.shape == (0, layers[-1].out_channels, 6, 5)
    out.sum().backward()
    assert features.grad.shape == features.shape
    assert all(p.grad.abs().sum() == 0 for layer in layers for p in layer.parameters())
    with torch.no_grad():
        assert module(features).shape == out.shape


def no_storage() -> Tensor:
    features = noise(1, C, 4, 4)
    features.untyped_storage().resize_(0)
    return features


@pytest.mark.parametrize("make", [chain, narrow])
@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize(
    ("features", "reason"),
    [
        (lambda: torch.zeros(1, C, 4, 4, device="meta"), "'cpu'.*'meta'"),
        (lambda: torch.zeros(1, C, 4, 4, dtype=torch.int32), "need floating point"),
        (lambda: torch.zeros(1, C, 4, 4, dtype=torch.complex64), "need floating point"),
        (lambda: torch.zeros(C, 4, 4), r"\(N, C, H, W\)"),
        (lambda: torch.zeros(1, 1, C, 4, 4), r"\(N, C, H, W\)"),
        (lambda: torch.zeros(1, C, 0, 4), "are empty"),
        (lambda: torch.zeros(1, C, 4, 0), "are empty"),
        (lambda: torch.zeros(1, 1, 4, 4), f"{C} channels got 1"),
        (lambda: torch.zeros(1, 0, 4, 4), f"{C} channels got 0"),
        (lambda: torch.zeros(1, 1, 1, 1).expand(1, C, 50000, 50000), "too large"),
        (no_storage, "too small for its elements"),
        (lambda: noise(1, C, 4, 4).to_sparse(), "strided"),
    ],
)
def test_features_that_c_must_not_read_are_refused(kernels: Kernels, make, features, grad: bool, reason: str) -> None:
    module, _ = make(kernels)
    with torch.set_grad_enabled(grad), pytest.raises(ValueError, match=reason):
        module(features())


@pytest.mark.parametrize("make", [chain, narrow])
@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize(
    "change",
    [
        lambda layer: layer.double(),
        lambda layer: layer.bfloat16(),
        lambda layer: layer.to("meta"),
        lambda layer: setattr(layer, "weight", nn.Parameter(torch.zeros(7, C, 3, 3))),
        lambda layer: setattr(layer, "weight", nn.Parameter(torch.zeros(C, 7, 3, 3))),
        lambda layer: setattr(layer, "weight", nn.Parameter(torch.zeros(*layer.weight.shape[:2], 2, 2))),
        lambda layer: setattr(layer, "weight", nn.Parameter(torch.zeros(*layer.weight.shape[:2], 3, 5))),
        lambda layer: setattr(layer, "weight", nn.Parameter(torch.zeros(layer.out_channels, 0, 3, 3))),
        lambda layer: setattr(layer, "bias", nn.Parameter(torch.zeros(layer.out_channels - 1))),
        lambda layer: setattr(layer, "bias", nn.Parameter(torch.zeros(layer.out_channels, dtype=torch.float64))),
    ],
)
def test_weights_that_c_must_not_read_are_refused(kernels: Kernels, make, change, grad: bool) -> None:
    """The weights were valid when the module was constructed, and are changed afterwards."""
    module, layers = make(kernels)
    change(layers[-1])
    with torch.set_grad_enabled(grad), pytest.raises(ValueError, match=r"kernel|channels"):
        module(noise(1, C, 4, 4))


def test_the_default_device_does_not_matter(kernels: Kernels) -> None:
    for make in (chain, narrow):
        module, _ = make(kernels)
        features = noise(1, C, 4, 4)
        with torch.no_grad(), torch.device("meta"):
            assert module(features).device.type == "cpu"


def test_replaced_weights_of_a_network_are_used(kernels: Kernels) -> None:
    torch.manual_seed(0)
    config = resolve_config("edsr", "debug", {"width": 32, "blocks": 2})
    network, other = build("edsr", config), build("edsr", config)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    lr = torch.rand(2, 3, 9, 8)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        accelerated, wanted = AcceleratedNetwork(network, kernels), AcceleratedNetwork(other, kernels)(lr)
        assert not torch.equal(accelerated(lr), wanted)
        network.load_state_dict(other.state_dict(), assign=True)
        assert torch.equal(accelerated(lr), wanted)
