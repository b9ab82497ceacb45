"""Chains of convolutions as PyTorch sees them: a function with its gradient, and a module."""

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from nitido.kernels.library import LONGEST, Kernels, Shape
from nitido.kernels.operands import FEATURES, LAYOUT, WEIGHTS, address, addresses, check, dense, features_of

LANES = 32
"""Channels come in multiples of this."""


def fits(layer: nn.Module, kernels: Kernels) -> TypeGuard[nn.Conv2d]:
    """Whether `layer` is a convolution for a chain: between features, of a size that `kernels` are for."""
    sizes = kernels.source.kernel_sizes
    return (
        keeps_size(layer)
        and layer.in_channels % LANES == 0
        and layer.out_channels % LANES == 0
        and (sizes is None or layer.kernel_size[0] in sizes)
    )


def keeps_size(layer: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Whether `layer` is a convolution with an odd kernel that keeps height and width, in float32.

    One that does not learn is none, unless gradients are off altogether: of its weights they would be calculated.
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
"""The slope of no activation at all."""


def slope_of(layer: nn.Module) -> float | None:
    """The slope below zero of an activation that a chain may have behind a convolution; None for other layers.

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
    """Convolutions in a row: `slopes` says of each of them what stands behind it, as in `slope_of`, or `LINEAR`.

    They all `fits`. With `skip` the chain's input is added to its output; then no activation stands behind the last
    one, and the channels are as many at the end as at the beginning.
    """

    convolutions: tuple[nn.Conv2d, ...]
    slopes: tuple[float, ...]
    skip: bool = False

    def __post_init__(self) -> None:
        assert 1 <= len(self.convolutions) == len(self.slopes) <= LONGEST
        assert not (self.skip and self.slopes[-1] != LINEAR)


class Chains(nn.Module):
    """`chains` one behind the other, in bfloat16: `(N, C, H, W)` -> `(N, C', H, W)` bfloat16, channels last in memory.

    All convolutions have one kernel size. Sums are taken in float32, and so come the gradients of weights, which
    PyTorch's own autocast rounds to bfloat16.
    """

    def __init__(self, kernels: Kernels, chains: Sequence[Chain]) -> None:
        super().__init__()
        self.kernels = kernels
        self.convolutions = [layer for chain in chains for layer in chain.convolutions]
        self.plan = tuple((chain.slopes, chain.skip) for chain in chains)

    def forward(self, features: Tensor) -> Tensor:
        """Send `features` through."""
        weights = [layer.weight for layer in self.convolutions]
        biases = [layer.bias for layer in self.convolutions]
        return run_chains(self.kernels, features, weights, biases, self.plan)


Plan = tuple[tuple[tuple[float, ...], bool], ...]
"""Of each chain: the slopes behind its convolutions, and whether it has a skip."""


def run_chains(
    kernels: Kernels, features: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor | None], plan: Plan
) -> Tensor:
    """What `Chains` does, with weights `(C', C, k, k)` and biases `(C')` in float32; a bias may be missing.

    Tensors may be stored in any layout. Raises `MemoryError` when there is not enough memory, and `ValueError` for
    tensors that do not fit each other, `plan` or `kernels`.
    """
    _check_sizes(kernels, weights, plan)
    features = features_of(features, weights[0].shape[1], weights[0].shape[-1])
    if torch.is_grad_enabled():
        out: Tensor = _Chains.apply(features, kernels.library, plan, *weights, *biases)
        return out
    weights, biases = [dense(w) for w in weights], [None if bias is None else dense(bias) for bias in biases]
    made = _in_few_places(features, weights, plan)
    _forward(kernels.library, features, weights, biases, plan, made)
    return made[-1]


class _Chains(torch.autograd.Function):
    """Forwards a picture goes through all chains at once; backwards all pictures go through one chain at a time.

    So features stay in the cache on the way there, and the gradients of a chain's weights on the way back.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, library: ctypes.CDLL, plan: Plan, *parameters: Tensor | None) -> Tensor:
        count = len(parameters) // 2
        weights = [dense(w) for w in parameters[:count] if w is not None]
        biases = [None if bias is None else dense(bias) for bias in parameters[count:]]
        made = [_place(features, weight) for weight in weights]
        ctx.shapes = _forward(library, features, weights, biases, plan, made)
        ctx.library = library
        ctx.save_for_backward(features, *weights, *made)
        ctx.has_bias = [bias is not None for bias in biases]
        return made[-1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        features, *saved = ctx.saved_tensors
        weights, made = saved[: len(ctx.has_bias)], saved[len(ctx.has_bias) :]
        of_weights = [torch.empty_like(w) for w in weights]
        of_biases = [w.new_empty(len(w)) for w in weights]
        flow: Tensor | None = dense(gradient)
        end = len(weights)
        for shape in reversed(ctx.shapes):
            begin = end - shape.length
            source = made[begin - 1] if begin else features
            passed = torch.empty_like(source) if begin or ctx.needs_input_grad[0] else None
            own = weights[begin:end]
            kernels, counts, results = _sizes(features, own)
            check(
                ctx.library.nitido_chain_backward(
                    ctypes.byref(shape),
                    address(source, _size(features, own[0].shape[1]), FEATURES),
                    addresses(own, kernels, WEIGHTS),
                    addresses(made[begin:end], results, FEATURES),
                    address(flow, results[-1], FEATURES),
                    address(passed, source.shape, FEATURES),
                    addresses(of_weights[begin:end], kernels, WEIGHTS),
                    addresses(of_biases[begin:end], counts, WEIGHTS),
                )
            )
            flow, end = passed, begin
        known = (bias if has else None for bias, has in zip(of_biases, ctx.has_bias, strict=True))
        return (flow, None, None, *of_weights, *known)


def _forward(
    library: ctypes.CDLL,
    features: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    plan: Plan,
    made: Sequence[Tensor],
) -> ctypes.Array[Shape]:
    """Fill `made` with what each convolution makes; returns the shapes of the chains."""
    shapes = (Shape * len(plan))(*_shapes(features, weights, plan))
    kernels, counts, results = _sizes(features, weights)
    check(
        library.nitido_chains_forward(
            len(plan),
            shapes,
            address(features, _size(features, weights[0].shape[1]), FEATURES),
            addresses(weights, kernels, WEIGHTS),
            addresses(biases, counts, WEIGHTS),
            addresses(made, results, FEATURES),
        )
    )
    return shapes


Sizes = list[tuple[int, ...]]


def _size(features: Tensor, channels: int) -> tuple[int, ...]:
    """The shape of features of so many channels in pictures of the size of `features`."""
    n, _, height, width = features.shape
    return n, channels, height, width


def _sizes(features: Tensor, weights: Sequence[Tensor]) -> tuple[Sizes, Sizes, Sizes]:
    """The shapes of weights, biases and results of convolutions."""
    return (
        [tuple(w.shape) for w in weights],
        [(len(w),) for w in weights],
        [_size(features, len(w)) for w in weights],
    )


def _check_sizes(kernels: Kernels, weights: Sequence[Tensor], plan: Plan) -> None:
    """Raise `ValueError` unless weights are of convolutions that `kernels` are for and that follow each other."""
    sides = {side for w in weights for side in w.shape[2:]}
    supported = kernels.source.kernel_sizes
    if any(w.dim() != 4 for w in weights) or len(sides) != 1 or not all(side % 2 for side in sides):
        raise ValueError("the kernels need weights (outputs, inputs, k, k) of one odd kernel size k")
    if supported is not None and not sides <= supported:
        raise ValueError(f"the kernels are for kernel sizes {sorted(supported)}, not {sorted(sides)}")
    if any(count == 0 or count % LANES for w in weights for count in w.shape[:2]):
        raise ValueError(f"the kernels need multiples of {LANES} channels")
    if any(w.shape[0] != following.shape[1] for w, following in pairwise(weights)):
        raise ValueError("the channels of convolutions in a row do not match")
    begin = 0
    for slopes, skip in plan:
        end = begin + len(slopes)
        if skip and weights[begin].shape[1] != weights[end - 1].shape[0]:
            raise ValueError("a skip needs as many channels at the end as at the beginning")
        begin = end
    if begin != len(weights):
        raise ValueError(f"{len(weights)} convolutions for a plan of {begin}")


def _place(features: Tensor, weight: Tensor) -> Tensor:
    """Memory for what a convolution makes of `features`."""
    n, _, height, width = features.shape
    size = (n, len(weight), height, width)
    return torch.empty(size, dtype=features.dtype, device=features.device, memory_format=LAYOUT)


def _in_few_places(features: Tensor, weights: Sequence[Tensor], plan: Plan) -> list[Tensor]:
    """Memory for what each convolution makes, used again as soon as neither the next one nor a skip needs it."""
    made: list[Tensor] = []
    previous = features
    for slopes, skip in plan:
        needed = previous if skip else None
        for _ in slopes:
            weight = weights[len(made)]
            alike = (place for place in made if place.shape[1] == len(weight))
            free = next((place for place in alike if place is not previous and place is not needed), None)
            previous = _place(features, weight) if free is None else free
            made.append(previous)
    return made


def _shapes(features: Tensor, weights: Sequence[Tensor], plan: Plan) -> Iterator[Shape]:
    """The source's description of each chain."""
    n, _, height, width = features.shape
    begin = 0
    for slopes, skip in plan:
        own = weights[begin : begin + len(slopes)]
        channels = (ctypes.c_int32 * (LONGEST + 1))(own[0].shape[1], *(len(w) for w in own))
        kernel = own[0].shape[-1]
        behind = (ctypes.c_float * LONGEST)(*slopes)
        yield Shape(n, height, width, kernel, len(slopes), skip, torch.get_num_threads(), channels, behind)
        begin += len(slopes)
