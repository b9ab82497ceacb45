"""Convolutions that make a picture of features, as PyTorch sees them: a function with its gradient, and a module."""

import ctypes
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from nitido.kernels.chain import LANES, LAYOUT, check, keeps_size, pointer
from nitido.kernels.library import Kernels, NarrowShape

OUTPUTS = (1, 3)
"""The channels of a picture."""


def is_narrow(layer: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Whether `layer` is a convolution from features to a picture, which keeps height and width."""
    return keeps_size(layer) and layer.in_channels % LANES == 0 and layer.out_channels in OUTPUTS


class Narrow(nn.Module):
    """`convolution`, which `is_narrow`: `(N, C, H, W)` -> `(N, 1 or 3, H, W)` float32, channels last in memory.

    Features, weights and the picture's gradient are rounded to bfloat16, sums are not.
    """

    def __init__(self, kernels: Kernels, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.kernels = kernels
        self.convolution = convolution

    def forward(self, features: Tensor) -> Tensor:
        """Make a picture of `features`. Raises `MemoryError` when there is not enough memory."""
        layer = self.convolution
        picture: Tensor = _Narrow.apply(features.to(torch.bfloat16), self.kernels.library, layer.weight, layer.bias)
        return picture


class _Narrow(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, library: ctypes.CDLL, weight: Tensor, bias: Tensor | None) -> Tensor:
        features, weight = features.contiguous(memory_format=LAYOUT), weight.contiguous(memory_format=LAYOUT)
        n, inputs, height, width = features.shape
        outputs, expected, kernel, _ = weight.shape
        if inputs != expected:
            raise ValueError(f"a convolution of {expected} channels was given {inputs}")
        shape = NarrowShape(n, height, width, kernel, inputs, outputs, torch.get_num_threads())
        picture = torch.empty((n, outputs, height, width), memory_format=LAYOUT)
        check(
            library.nitido_narrow_forward(
                ctypes.byref(shape), pointer(features), pointer(weight), pointer(bias), pointer(picture)
            )
        )
        ctx.save_for_backward(features, weight)
        ctx.library, ctx.shape, ctx.has_bias = library, shape, bias is not None
        return picture

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        features, weight = ctx.saved_tensors
        gradient = gradient.float().contiguous(memory_format=LAYOUT)
        of_features = torch.empty_like(features) if ctx.needs_input_grad[0] else None
        of_weight, of_bias = torch.empty_like(weight), weight.new_empty(len(weight))
        check(
            ctx.library.nitido_narrow_backward(
                ctypes.byref(ctx.shape),
                pointer(features),
                pointer(weight),
                pointer(gradient),
                pointer(of_features),
                pointer(of_weight),
                pointer(of_bias),
            )
        )
        return of_features, None, of_weight, of_bias if ctx.has_bias else None
