"""Which number format the training steps use on this machine."""

import torch

from nitido.training.hyperparameters import Precision


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether `device` multiplies bfloat16 matrices in hardware; elsewhere bfloat16 is emulated and much slower."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()


def resolve_precision(wanted: Precision, device: torch.device) -> Precision:
    """Replace "auto" by bfloat16 where the hardware has it, else float32."""
    if wanted != "auto":
        return wanted
    return "bfloat16" if has_fast_bfloat16(device) else "float32"
