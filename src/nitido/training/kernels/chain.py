"""Chains of convolutions as PyTorch sees them: a function with its gradient, and a module."""

import ctypes
from collections.abc import Sequence
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from nitido.training.kernels.library import LONGEST, Pointer, Shape

LANES = 32
"""Channels come in multiples of this: a tile's depth."""

LAYOUT = torch.channels_last


def fits(layer: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Whether `layer` is a convolution that a chain can hold: it keeps height and width, and all of it learns."""
    return (
        type(layer) is nn.Conv2d
        and layer.in_channels % LANES == 0
        and layer.out_channels % LANES == 0
        and layer.kernel_size[0] == layer.kernel_size[1]
        and layer.kernel_size[0] % 2 == 1
        and layer.stride == layer.dilation == (1, 1)
        and layer.padding in ("same", (layer.kernel_size[0] // 2,) * 2)
        and layer.padding_mode == "zeros"
        and layer.groups == 1
        and all(parameter.requires_grad for parameter in layer.parameters())
    )


class Chain(nn.Module):
    """Convolutions in a row in bfloat16: `(N, C, H, W)` -> `(N, C', H, W)` bfloat16, channels last in memory.

    `relu` says of each of the `convolutions` whether a ReLU stands behind it. They all `fits` and have one kernel size.
    With `skip` the input is added to the output; then no ReLU stands behind the last one, and C' = C. Sums are taken
    in float32, and so come the gradients of weights, which PyTorch's own autocast rounds to bfloat16.
    """

    def __init__(
        self, library: ctypes.CDLL, convolutions: Sequence[nn.Conv2d], relu: Sequence[bool], skip: bool = False
    ) -> None:
        super().__init__()
        assert 1 <= len(convolutions) == len(relu) <= LONGEST
        assert not (skip and relu[-1])
        self.library = library
        self.convolutions = tuple(convolutions)
        self.relu = tuple(relu)
        self.skip = skip

    def forward(self, features: Tensor) -> Tensor:
        """Send `features` through."""
        weights = [layer.weight for layer in self.convolutions]
        biases = [layer.bias for layer in self.convolutions]
        return run_chain(self.library, features, weights, biases, self.relu, self.skip)


def run_chain(
    library: ctypes.CDLL,
    features: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    relu: Sequence[bool],
    skip: bool,
) -> Tensor:
    """What `Chain` does, with weights `(C', C, k, k)` and biases `(C')` in float32; a bias may be missing.

    Raises `MemoryError` when there is not enough memory, and `ValueError` for another number of channels.
    """
    out: Tensor = _Chain.apply(features.to(torch.bfloat16), library, tuple(relu), skip, *weights, *biases)
    return out


class _Chain(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, features: Tensor, library: ctypes.CDLL, relu: tuple[bool, ...], skip: bool, *parameters: Tensor | None
    ) -> Tensor:
        length = len(relu)
        features = features.contiguous(memory_format=LAYOUT)
        weights = [w.contiguous(memory_format=LAYOUT) for w in parameters[:length] if w is not None]
        biases = parameters[length:]
        n, channels, height, width = features.shape
        if channels != weights[0].shape[1]:
            raise ValueError(f"a chain for {weights[0].shape[1]} channels was given {channels}")
        shape = Shape(
            *(n, height, width, weights[0].shape[-1], length, skip, torch.get_num_threads()),
            (ctypes.c_int32 * (LONGEST + 1))(channels, *(len(w) for w in weights)),
            (ctypes.c_int32 * LONGEST)(*relu),
        )
        made = [torch.empty((n, len(w), height, width), dtype=features.dtype, memory_format=LAYOUT) for w in weights]
        _check(
            library.nitido_chain_forward(
                ctypes.byref(shape), _pointer(features), _pointers(weights), _pointers(biases), _pointers(made)
            )
        )
        ctx.save_for_backward(features, *weights, *made)
        ctx.library, ctx.shape = library, shape
        ctx.has_bias = [bias is not None for bias in biases]
        return made[-1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        features, *saved = ctx.saved_tensors
        weights, made = saved[: len(ctx.has_bias)], saved[len(ctx.has_bias) :]
        gradient = gradient.contiguous(memory_format=LAYOUT)
        of_features = torch.empty_like(features) if ctx.needs_input_grad[0] else None
        of_weights = [torch.empty_like(w) for w in weights]
        of_biases = [w.new_empty(len(w)) for w in weights]
        _check(
            ctx.library.nitido_chain_backward(
                ctypes.byref(ctx.shape),
                _pointer(features),
                _pointers(weights),
                _pointers(made),
                _pointer(gradient),
                _pointer(of_features),
                _pointers(of_weights),
                _pointers(of_biases),
            )
        )
        known = (bias if has else None for bias, has in zip(of_biases, ctx.has_bias, strict=True))
        return (of_features, None, None, None, *of_weights, *known)


def _pointer(tensor: Tensor | None) -> Pointer:
    return Pointer(None if tensor is None else tensor.data_ptr())


def _pointers(tensors: Sequence[Tensor | None]) -> ctypes.Array[Pointer]:
    return (Pointer * len(tensors))(*map(_pointer, tensors))


def _check(status: int) -> None:
    if status:
        raise MemoryError("not enough memory for a training step")
