"""Decides which models upscale in bfloat16, and on which machines."""

import logging
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from nitido import kernels
from nitido.architectures import SuperResolutionNetwork
from nitido.base.device import device_of
from nitido.base.errors import unknown_name
from nitido.kernels.compiler import is_compiler_installed

Precision = Literal["auto", "float32", "bfloat16"]
"""Number format of inference.

`auto` is bfloat16 if it is fast and was measured to cost almost nothing, else float32.
"""

PRECISIONS: tuple[Precision, ...] = ("auto", "float32", "bfloat16")

LARGEST_COST_DB = 0.005
"""Maximum loss of PSNR-Y in dB for which `auto` uses bfloat16."""


def precision_called(name: str) -> Precision:
    """Return the precision called `name`; raise `NitidoError` with the nearest name if it is unknown."""
    for precision in PRECISIONS:
        if name == precision:
            return precision
    raise unknown_name("precision", name, PRECISIONS)


def has_fast_bfloat16(device: torch.device) -> bool:
    """Return whether `device` multiplies bfloat16 matrices in hardware. Emulated bfloat16 is much slower."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and (torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


def chooses_bfloat16(precision: Precision, cost_db: float | None, device: torch.device) -> bool:
    """Return whether inference on `device` uses bfloat16; `cost_db` is its measured loss of PSNR-Y, or None.

    >>> chooses_bfloat16("auto", None, torch.device("cpu")), chooses_bfloat16("bfloat16", None, torch.device("cpu"))
    (False, True)
    """
    if precision != "auto":
        return precision == "bfloat16"
    return cost_db is not None and cost_db < LARGEST_COST_DB and has_fast_bfloat16(device)


def calculator(network: SuperResolutionNetwork, bfloat16: bool) -> Callable[[Tensor], Tensor]:
    """Return a function that applies `network` in inference: in float32, or with its convolutions in `bfloat16`.

    nitido's kernels compute the convolutions where they are faster. They are not used on processors with matrix tiles,
    because PyTorch's convolutions are close to the hardware limit there, and the kernels need one image per thread.
    """
    if not bfloat16:
        return network
    device = device_of(network)
    called = _with_kernels(network) if device.type == "cpu" else network

    def upscale(lr: Tensor) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16):
            return called(lr)

    return upscale


def _with_kernels(network: SuperResolutionNetwork) -> Callable[[Tensor], Tensor]:
    try:
        if not kernels.fastest().shares_images or not is_compiler_installed():
            return network
    except kernels.KernelsUnavailableError:
        return network
    try:
        with torch.no_grad():
            accelerated = kernels.AcceleratedNetwork(network, kernels.load())
    except kernels.KernelsUnavailableError as error:
        logging.getLogger(__name__).warning("inference is slower without nitido's kernels: %s", error)
        return network
    return accelerated if accelerated.replaced_layers else network
