"""Which models may enlarge in bfloat16, and on which machines it is worth it."""

import logging
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from nitido import kernels
from nitido.architectures import SuperResolutionNetwork
from nitido.base.errors import unknown_name
from nitido.kernels.compiler import is_installed

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


def calculator(network: SuperResolutionNetwork, bfloat16: bool) -> Callable[[Tensor], Tensor]:
    """How `network` is called that is in use: all of it in float32, or its convolutions in `bfloat16`.

    Those are calculated by nitido's kernels where that is faster: not with matrix tiles, by which PyTorch's own
    convolutions come close to what the processor can do, and whose kernels need a picture for each thread.
    """
    if not bfloat16:
        return network
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    called = _with_kernels(network) if device.type == "cpu" else network

    def upscale(lr: Tensor) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16):
            return called(lr)

    return upscale


def _with_kernels(network: SuperResolutionNetwork) -> Callable[[Tensor], Tensor]:
    try:
        if not kernels.fastest().shares_pictures or not is_installed():
            return network
    except kernels.KernelsUnavailableError:
        return network
    try:
        with torch.no_grad():
            accelerated = kernels.AcceleratedNetwork(network, kernels.load())
    except kernels.KernelsUnavailableError as error:  # slower, and nothing else
        logging.getLogger(__name__).warning("PyTorch calculates without nitido's kernels: %s", error)
        return network
    return accelerated if accelerated.replaced_layers else network
