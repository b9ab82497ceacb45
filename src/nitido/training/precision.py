"""Where training steps run on this machine, and in which number format."""

from typing import Literal

import torch

from nitido.models.bfloat16 import has_fast_bfloat16
from nitido.training.hyperparameters import Hyperparameters

Format = Literal["float32", "bfloat16", "float16"]
"""What a step calculates in; the weights themselves are always float32."""

TENSOR_CORES = (7, 0)
"""The first compute capability of CUDA with fast float16 matrices (NVIDIA Volta)."""


def training_device() -> torch.device:
    """The accelerator that PyTorch finds, else the processor: where Lightning trains too."""
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def resolve_precision(options: Hyperparameters, device: torch.device) -> Format:
    """Replace "auto" by what `device` is fast in: bfloat16 before float16 before float32.

    float16 needs its losses scaled (`loss_scaling`), which adversarial training is not made for.
    """
    if options.precision != "auto":
        return options.precision
    if has_fast_bfloat16(device):
        return "bfloat16"
    return "float16" if has_fast_float16(device) and not options.is_adversarial else "float32"


def has_fast_float16(device: torch.device) -> bool:
    """Whether `device` is a graphics card that multiplies float16 matrices in hardware made for it."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= TENSOR_CORES


def autocast(device: torch.device, number_format: Format) -> torch.autocast:
    """The context in which networks on `device` calculate in `number_format`."""
    kind = torch.float16 if number_format == "float16" else torch.bfloat16
    return torch.autocast(device.type, kind, enabled=number_format != "float32")
