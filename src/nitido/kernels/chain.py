"""Chains of convolutions in PyTorch: an autograd function and a module."""

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from nitido.kernels.library import MAX_CONVOLUTIONS, Kernels, Shape
from nitido.kernels.operands import FEATURES, LAYOUT, WEIGHTS, address, addresses, as_features, check, dense

LANES = 32
"""Numbers of channels are multiples of this."""


def is_chainable(layer: nn.Module, kernels: Kernels) -> TypeGuard[nn.Conv2d]:
    """Return whether `layer` is a convolution between feature maps whose kernel size `kernels` support."""
    sizes = kernels.source.kernel_sizes
    return (
        preserves_size(layer)
        and layer.in_channels % LANES == 0
        and layer.out_channels % LANES == 0
        and (sizes is None or layer.kernel_size[0] in sizes)
    )


def preserves_size(layer: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Return whether `layer` is a float32 convolution with an odd kernel that keeps height and width.

    Frozen layers are excluded unless gradients are disabled, because the kernels always compute weight gradients.
    """
    return (
        type(layer) is nn.Conv2d
        and layer.kernel_size[0] == layer.kernel_size[1]
        and layer.kernel_size[0] % 2 == 1
        and layer.stride == layer.dilation == (1, 1)
        and layer.padding in ("same", (layer.kernel_size[0] // 2,) * 2)
        and layer.padding_mode == "zeros"
        and layer.groups == 1
        and all(p.dtype == torch.float32 for p in layer.parameters())
        and all(p.requires_grad or not torch.is_grad_enabled() for p in layer.parameters())
    )


LINEAR = 1.0
"""The negative slope of the identity, for a convolution without activation."""


def slope_of(layer: nn.Module) -> float | None:
    """Return the negative slope of a ReLU or leaky ReLU; None for other layers, which a chain does not support.

    >>> slope_of(nn.ReLU()), slope_of(nn.LeakyReLU(0.25)), slope_of(nn.SiLU())
    (0.0, 0.25, None)
    """
    if type(layer) is nn.ReLU:
        return 0.0
    if type(layer) is nn.LeakyReLU and 0 <= layer.negative_slope < LINEAR:
        return float(layer.negative_slope)
    return None


@dataclass(frozen=True)
class Chain:
    """Consecutive convolutions for which `is_chainable` is true.

    Attributes:
        convolutions: The layers.
        slopes: The negative slope of the activation after each convolution, or `LINEAR`.
        skip: Whether the chain's input is added to its output. This requires equal numbers of input and output
            channels, and no activation after the last convolution.
    """

    convolutions: tuple[nn.Conv2d, ...]
    slopes: tuple[float, ...]
    skip: bool = False

    def __post_init__(self) -> None:
        assert 1 <= len(self.convolutions) == len(self.slopes) <= MAX_CONVOLUTIONS
        assert not (self.skip and self.slopes[-1] != LINEAR)


class Chains(nn.Module):
    """Consecutive `chains` in bfloat16: `(N, C, H, W)` → `(N, C', H, W)` bfloat16, channels last in memory.

    All convolutions have one kernel size. Sums are accumulated in float32. Weight gradients are float32 too, whereas
    PyTorch's autocast rounds them to bfloat16.
    """

    def __init__(self, kernels: Kernels, chains: Sequence[Chain]) -> None:
        super().__init__()
        self.kernels = kernels
        self.convolutions = [layer for chain in chains for layer in chain.convolutions]
        self.plan = tuple((chain.slopes, chain.skip) for chain in chains)

    def forward(self, features: Tensor) -> Tensor:
        """Return the output of the last chain."""
        weights = [layer.weight for layer in self.convolutions]
        biases = [layer.bias for layer in self.convolutions]
        return run_chains(self.kernels, features, weights, biases, self.plan)


Plan = tuple[tuple[tuple[float, ...], bool], ...]
"""For each chain: the slopes after its convolutions, and whether it has a skip."""


def run_chains(
    kernels: Kernels, features: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor | None], plan: Plan
) -> Tensor:
    """Compute the output of consecutive chains.

    Args:
        kernels: The loaded library.
        features: `(N, C, H, W)` of any floating type and memory layout.
        weights: float32 `(C', C, k, k)` of every convolution, in any memory layout.
        biases: float32 `(C')` of every convolution, or None.
        plan: Splits the convolutions into chains.

    Returns:
        bfloat16 `(N, C', H, W)`, channels last in memory.

    Raises:
        MemoryError: Out of memory.
        ValueError: Shapes or types do not match each other, `plan` or `kernels`.
    """
    _check_sizes(kernels, weights, plan)
    features = as_features(features, weights[0].shape[1], weights[0].shape[-1])
    if torch.is_grad_enabled():
        out: Tensor = _Chains.apply(features, kernels.library, plan, *weights, *biases)
        return out
    weights, biases = [dense(w) for w in weights], [None if bias is None else dense(bias) for bias in biases]
    outputs = _allocate_reused(features, weights, plan)
    _forward(kernels.library, features, weights, biases, plan, outputs)
    return outputs[-1]


class _Chains(torch.autograd.Function):
    """Forward, each image passes through all chains in turn; backward, all images pass through one chain at a time.

    This keeps features in the cache during the forward pass, and the weight gradients of one chain during the backward
    pass.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, library: ctypes.CDLL, plan: Plan, *parameters: Tensor | None) -> Tensor:
        count = len(parameters) // 2
        weights = [dense(w) for w in parameters[:count] if w is not None]
        biases = [None if bias is None else dense(bias) for bias in parameters[count:]]
        outputs = [_allocate(features, weight) for weight in weights]
        ctx.shapes = _forward(library, features, weights, biases, plan, outputs)
        ctx.library = library
        ctx.save_for_backward(features, *weights, *outputs)
        ctx.has_bias = [bias is not None for bias in biases]
        return outputs[-1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        features, *saved = ctx.saved_tensors
        weights, outputs = saved[: len(ctx.has_bias)], saved[len(ctx.has_bias) :]
        weight_gradients = [torch.empty_like(w) for w in weights]
        bias_gradients = [w.new_empty(len(w)) for w in weights]
        output_gradient: Tensor | None = dense(gradient)
        end = len(weights)
        for shape in reversed(ctx.shapes):
            begin = end - shape.length
            source = outputs[begin - 1] if begin else features
            input_gradient = torch.empty_like(source) if begin or ctx.needs_input_grad[0] else None
            own = weights[begin:end]
            kernels, counts, results = _operand_shapes(features, own)
            check(
                ctx.library.nitido_chain_backward(
                    ctypes.byref(shape),
                    address(source, _features_shape(features, own[0].shape[1]), FEATURES),
                    addresses(own, kernels, WEIGHTS),
                    addresses(outputs[begin:end], results, FEATURES),
                    address(output_gradient, results[-1], FEATURES),
                    address(input_gradient, source.shape, FEATURES),
                    addresses(weight_gradients[begin:end], kernels, WEIGHTS),
                    addresses(bias_gradients[begin:end], counts, WEIGHTS),
                )
            )
            output_gradient, end = input_gradient, begin
        given = (bias if has else None for bias, has in zip(bias_gradients, ctx.has_bias, strict=True))
        return (output_gradient, None, None, *weight_gradients, *given)


def _forward(
    library: ctypes.CDLL,
    features: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    plan: Plan,
    outputs: Sequence[Tensor],
) -> ctypes.Array[Shape]:
    """Write the output of each convolution to `outputs` and return the shapes of the chains."""
    shapes = (Shape * len(plan))(*_shapes(features, weights, plan))
    kernels, counts, results = _operand_shapes(features, weights)
    check(
        library.nitido_chains_forward(
            len(plan),
            shapes,
            address(features, _features_shape(features, weights[0].shape[1]), FEATURES),
            addresses(weights, kernels, WEIGHTS),
            addresses(biases, counts, WEIGHTS),
            addresses(outputs, results, FEATURES),
        )
    )
    return shapes


Sizes = list[tuple[int, ...]]


def _features_shape(features: Tensor, channels: int) -> tuple[int, ...]:
    """Return the shape of `features` with another number of channels."""
    n, _, height, width = features.shape
    return n, channels, height, width


def _operand_shapes(features: Tensor, weights: Sequence[Tensor]) -> tuple[Sizes, Sizes, Sizes]:
    """Return the shapes of weights, biases and outputs of convolutions."""
    return (
        [tuple(w.shape) for w in weights],
        [(len(w),) for w in weights],
        [_features_shape(features, len(w)) for w in weights],
    )


def _check_sizes(kernels: Kernels, weights: Sequence[Tensor], plan: Plan) -> None:
    """Raise `ValueError` unless `kernels` support the weights and consecutive numbers of channels match."""
    sides = {side for w in weights for side in w.shape[2:]}
    supported = kernels.source.kernel_sizes
    if any(w.dim() != 4 for w in weights) or len(sides) != 1 or not all(side % 2 for side in sides):
        raise ValueError("the kernels need weights (outputs, inputs, k, k) of one odd kernel size k")
    if supported is not None and not sides <= supported:
        raise ValueError(f"the kernels support kernel sizes {sorted(supported)}, not {sorted(sides)}")
    if any(count == 0 or count % LANES for w in weights for count in w.shape[:2]):
        raise ValueError(f"the kernels need multiples of {LANES} channels")
    if any(w.shape[0] != following.shape[1] for w, following in pairwise(weights)):
        raise ValueError("the channels of consecutive convolutions do not match")
    begin = 0
    for slopes, skip in plan:
        end = begin + len(slopes)
        if skip and weights[begin].shape[1] != weights[end - 1].shape[0]:
            raise ValueError("a skip needs equal numbers of input and output channels")
        begin = end
    if begin != len(weights):
        raise ValueError(f"got {len(weights)} convolutions for a plan of {begin}")


def _allocate(features: Tensor, weight: Tensor) -> Tensor:
    """Return an uninitialized tensor for the output of a convolution of `features`."""
    n, _, height, width = features.shape
    size = (n, len(weight), height, width)
    return torch.empty(size, dtype=features.dtype, device=features.device, memory_format=LAYOUT)


def _allocate_reused(features: Tensor, weights: Sequence[Tensor], plan: Plan) -> list[Tensor]:
    """Return a tensor for the output of each convolution, reused once neither the next one nor a skip needs it."""
    outputs: list[Tensor] = []
    previous = features
    for slopes, skip in plan:
        needed = previous if skip else None
        for _ in slopes:
            weight = weights[len(outputs)]
            alike = (place for place in outputs if place.shape[1] == len(weight))
            free = next((place for place in alike if place is not previous and place is not needed), None)
            previous = _allocate(features, weight) if free is None else free
            outputs.append(previous)
    return outputs


def _shapes(features: Tensor, weights: Sequence[Tensor], plan: Plan) -> Iterator[Shape]:
    """Yield each chain's `shape` structure of chain.h."""
    n, _, height, width = features.shape
    begin = 0
    for slopes, skip in plan:
        own = weights[begin : begin + len(slopes)]
        channels = (ctypes.c_int32 * (MAX_CONVOLUTIONS + 1))(own[0].shape[1], *(len(w) for w in own))
        kernel = own[0].shape[-1]
        slope_array = (ctypes.c_float * MAX_CONVOLUTIONS)(*slopes)
        yield Shape(n, height, width, kernel, len(slopes), skip, torch.get_num_threads(), channels, slope_array)
        begin += len(slopes)
