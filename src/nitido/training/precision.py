"""The number format of training steps."""

from typing import Literal

import torch

from nitido.models.bfloat16 import has_fast_bfloat16
from nitido.training.hyperparameters import Hyperparameters

Format = Literal["float32", "bfloat16", "float16"]
"""Number format of a step's computations; the weights are always float32."""

TENSOR_CORES = (7, 0)
"""The first CUDA compute capability with fast float16 matrices (NVIDIA Volta)."""


def resolve_precision(options: Hyperparameters, device: torch.device) -> Format:
    """Resolve "auto" to the fastest format of `device`: bfloat16, then float16, then float32.

    float16 needs loss scaling (`loss_scaling`), which adversarial training does not support.
    """
    if options.precision != "auto":
        return options.precision
    if has_fast_bfloat16(device):
        return "bfloat16"
    return "float16" if has_fast_float16(device) and not options.is_adversarial else "float32"


def has_fast_float16(device: torch.device) -> bool:
    """Return whether `device` is a graphics card with float16 matrix hardware."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= TENSOR_CORES


def autocast(device: torch.device, number_format: Format) -> torch.autocast:
    """Return the autocast context for `number_format` on `device`."""
    kind = torch.float16 if number_format == "float16" else torch.bfloat16
    return torch.autocast(device.type, kind, enabled=number_format != "float32")
