"""Chains of convolutions as PyTorch sees them: a function with its gradient, and a module."""

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from nitido.kernels.library import LONGEST, Kernels, Pointer, Shape

LANES = 32
"""Channels come in multiples of this."""

LAYOUT = torch.channels_last


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

    Raises `MemoryError` when there is not enough memory, and `ValueError` for another number of channels.
    """
    features = features.to(torch.bfloat16, memory_format=LAYOUT)
    if torch.is_grad_enabled():
        out: Tensor = _Chains.apply(features, kernels.library, plan, *weights, *biases)
        return out
    weights = [w.contiguous(memory_format=LAYOUT) for w in weights]
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
        weights = [w.contiguous(memory_format=LAYOUT) for w in parameters[:count] if w is not None]
        biases = parameters[count:]
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
        flow: Tensor | None = gradient.contiguous(memory_format=LAYOUT)
        end = len(weights)
        for shape in reversed(ctx.shapes):
            begin = end - shape.length
            source = made[begin - 1] if begin else features
            passed = torch.empty_like(source) if begin or ctx.needs_input_grad[0] else None
            check(
                ctx.library.nitido_chain_backward(
                    ctypes.byref(shape),
                    pointer(source),
                    _pointers(weights[begin:end]),
                    _pointers(made[begin:end]),
                    pointer(flow),
                    pointer(passed),
                    _pointers(of_weights[begin:end]),
                    _pointers(of_biases[begin:end]),
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
    channels, expected = features.shape[1], weights[0].shape[1]
    if channels != expected:
        raise ValueError(f"chains for {expected} channels were given {channels}")
    shapes = (Shape * len(plan))(*_shapes(features, weights, plan))
    check(
        library.nitido_chains_forward(
            len(plan), shapes, pointer(features), _pointers(weights), _pointers(biases), _pointers(made)
        )
    )
    return shapes


def _place(features: Tensor, weight: Tensor) -> Tensor:
    """Memory for what a convolution makes of `features`."""
    n, _, height, width = features.shape
    return torch.empty((n, len(weight), height, width), dtype=features.dtype, memory_format=LAYOUT)


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


def pointer(tensor: Tensor | None) -> Pointer:
    """Where the numbers of `tensor` are; NULL for None."""
    return Pointer(None if tensor is None else tensor.data_ptr())


def _pointers(tensors: Sequence[Tensor | None]) -> ctypes.Array[Pointer]:
    return (Pointer * len(tensors))(*map(pointer, tensors))


def check(status: int) -> None:
    """Raise `MemoryError` where a function of the library says that memory was short."""
    if status:
        raise MemoryError("not enough memory for the features of a network")
