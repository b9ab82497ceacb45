"""Where training steps run on this machine, and in which number format."""

from typing import Literal

import torch

from nitido.inference.bfloat16 import has_fast_bfloat16
from nitido.training.hyperparameters import Precision

Format = Literal["float32", "bfloat16"]
"""What a step calculates in; the weights themselves are always float32."""


def training_device() -> torch.device:
    """The accelerator that PyTorch finds, else the processor: where Lightning trains too."""
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def resolve_precision(wanted: Precision, device: torch.device) -> Format:
    """Replace "auto" by bfloat16 where the hardware has it, else float32."""
    if wanted != "auto":
        return wanted
    return "bfloat16" if has_fast_bfloat16(device) else "float32"
