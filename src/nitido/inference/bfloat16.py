"""Which models may enlarge in bfloat16, and on which machines it is worth it."""

from typing import Literal

import torch
from torch import Tensor

from nitido.architectures import SuperResolutionNetwork
from nitido.errors import unknown_name

Precision = Literal["auto", "float32", "bfloat16"]
"""How a network calculates: `auto` is bfloat16 where it is fast and is known to cost nothing, else float32."""

PRECISIONS: tuple[Precision, ...] = ("auto", "float32", "bfloat16")

LARGEST_COST_DB = 0.005
"""PSNR-Y, in dB, that bfloat16 may cost a model before `auto` leaves it alone."""


def precision_called(name: str) -> Precision:
    """The precision that a user calls `name`; raises `NitidoError`, which says the nearest name, for another word."""
    for precision in PRECISIONS:
        if name == precision:
            return precision
    raise unknown_name("precision", name, PRECISIONS)


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether `device` multiplies bfloat16 matrices in hardware; elsewhere bfloat16 is emulated and much slower."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()


def chooses_bfloat16(precision: Precision, cost_db: float | None, device: torch.device) -> bool:
    """Whether a network on `device` calculates in bfloat16; `cost_db` is what that was measured to cost it, if it was.

    >>> chooses_bfloat16("auto", None, torch.device("cpu")), chooses_bfloat16("bfloat16", None, torch.device("cpu"))
    (False, True)
    """
    if precision != "auto":
        return precision == "bfloat16"
    return cost_db is not None and cost_db < LARGEST_COST_DB and has_fast_bfloat16(device)


def calculated(network: SuperResolutionNetwork, lr: Tensor, bfloat16: bool) -> Tensor:
    """What `network` makes of `lr`, with its convolutions in bfloat16 or all of it in float32."""
    with torch.autocast(lr.device.type, torch.bfloat16, enabled=bfloat16):
        return network(lr)
