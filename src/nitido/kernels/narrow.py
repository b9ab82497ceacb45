"""Convolutions from features to an image in PyTorch: an autograd function and a module."""

import ctypes
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from nitido.kernels.chain import LANES, preserves_size
from nitido.kernels.library import Kernels, NarrowShape
from nitido.kernels.operands import FEATURES, LAYOUT, WEIGHTS, address, as_features, check, dense

OUTPUTS = (1, 3)
"""Supported numbers of output channels, those of an image."""


def is_narrow(layer: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Return whether `layer` is a convolution from features to an image that keeps height and width."""
    return preserves_size(layer) and layer.in_channels % LANES == 0 and layer.out_channels in OUTPUTS


class Narrow(nn.Module):
    """A convolution for which `is_narrow` is true: `(N, C, H, W)` → `(N, 1 or 3, H, W)` float32, channels last.

    Features, weights and the image's gradient are rounded to bfloat16; sums are float32.
    """

    def __init__(self, kernels: Kernels, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.kernels = kernels
        self.convolution = convolution

    def forward(self, features: Tensor) -> Tensor:
        """Return the image of `features`, which may have any memory layout.

        Raises:
            MemoryError: Out of memory.
            ValueError: The shapes of the tensors do not match.
        """
        weight, bias = self.convolution.weight, self.convolution.bias
        _check_sizes(weight)
        features = as_features(features, weight.shape[1], weight.shape[-1])
        image: Tensor = _Narrow.apply(features, self.kernels.library, weight, bias)
        return image


def _check_sizes(weight: Tensor) -> None:
    """Raise `ValueError` unless the C code supports a convolution with this weight."""
    if weight.dim() != 4 or weight.shape[2] != weight.shape[3] or weight.shape[3] % 2 == 0:
        raise ValueError("the kernels need weights (outputs, inputs, k, k) of an odd kernel size k")
    outputs, inputs = weight.shape[:2]
    if outputs not in OUTPUTS or inputs == 0 or inputs % LANES:
        raise ValueError(f"the kernels convert multiples of {LANES} channels to 1 or 3, not {inputs} to {outputs}")


class _Narrow(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, library: ctypes.CDLL, weight: Tensor, bias: Tensor | None) -> Tensor:
        weight, bias = dense(weight), None if bias is None else dense(bias)
        n, _, height, width = features.shape
        outputs, inputs, kernel, _ = weight.shape
        shape = NarrowShape(n, height, width, kernel, inputs, outputs, torch.get_num_threads())
        size = (n, outputs, height, width)
        image = torch.empty(size, dtype=WEIGHTS, device=features.device, memory_format=LAYOUT)
        check(
            library.nitido_narrow_forward(
                ctypes.byref(shape),
                address(features, (n, inputs, height, width), FEATURES),
                address(weight, (outputs, inputs, kernel, kernel), WEIGHTS),
                address(bias, (outputs,), WEIGHTS),
                address(image, size, WEIGHTS),
            )
        )
        ctx.save_for_backward(features, weight)
        ctx.library, ctx.shape, ctx.has_bias = library, shape, bias is not None
        return image

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        features, weight = ctx.saved_tensors
        gradient = dense(gradient).float()
        n, inputs, height, width = features.shape
        features_gradient = torch.empty_like(features) if ctx.needs_input_grad[0] else None
        weight_gradient, bias_gradient = torch.empty_like(weight), weight.new_empty(len(weight))
        check(
            ctx.library.nitido_narrow_backward(
                ctypes.byref(ctx.shape),
                address(features, (n, inputs, height, width), FEATURES),
                address(weight, weight.shape, WEIGHTS),
                address(gradient, (n, len(weight), height, width), WEIGHTS),
                address(features_gradient, (n, inputs, height, width), FEATURES),
                address(weight_gradient, weight.shape, WEIGHTS),
                address(bias_gradient, (len(weight),), WEIGHTS),
            )
        )
        return features_gradient, None, weight_gradient, bias_gradient if ctx.has_bias else None
