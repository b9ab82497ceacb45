"""The device that networks run on: chosen by name, checked, and named in results."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from nitido.base.errors import NitidoError

AUTO = "auto"
"""The name that stands for the fastest kind of device of the machine: `cuda`, otherwise `mps`, otherwise `cpu`."""

CPU = torch.device("cpu")

_SPELLING = re.compile(r"cpu|mps|cuda(:(0|[1-9][0-9]*))?")
_CARD = re.compile(r"(?:cuda|gpu|nvidia)\W*([0-9]*)\W*", re.IGNORECASE)


class DeviceError(NitidoError):
    """A device is unknown, or this machine does not have it."""


def available_devices() -> list[str]:
    """Return the names of the machine's devices, the one that `auto` takes first.

    Cards that `CUDA_VISIBLE_DEVICES` hides are not among them; PyTorch numbers the others from 0.
    """
    cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return [*(f"cuda:{i}" for i in range(cards)), *(["mps"] if torch.backends.mps.is_available() else []), "cpu"]


def choose_device(name: str = AUTO) -> torch.device:
    """Return the device `name`: `auto`, `cpu`, `cuda:N` (`cuda` is the first card) or `mps`.

    Raises `DeviceError` that says what this machine has.

    >>> choose_device("cpu")
    device(type='cpu')
    """
    available = available_devices()
    wanted = {AUTO: available[0], "cuda": "cuda:0"}.get(name, name)
    if wanted in available:
        return torch.device(wanted)
    here = f"this machine has {', '.join(available)}; auto takes {available[0]}"
    if _SPELLING.fullmatch(name):
        raise DeviceError(f"device {name!r} is not available: {here}")
    raise DeviceError(f"unknown device {name!r}: did you mean {_nearest(name)!r}? ({here})")


def _nearest(name: str) -> str:
    """Return the valid spelling that looks most like `name`.

    >>> [_nearest(name) for name in ("gpu", "cuda0", "GPU:1", "CPU", "metal", "processor")]
    ['cuda:0', 'cuda:0', 'cuda:1', 'cpu', 'mps', 'auto']
    """
    if found := _CARD.fullmatch(name):
        return f"cuda:{int(found[1] or 0)}"
    lower = name.strip().lower()
    return "mps" if lower in ("metal", "mps") else lower if lower in ("cpu", AUTO) else AUTO


def device_label(device: torch.device) -> str:
    """Return the name of `device` in results: `cpu`, `mps`, or the number and the name of a graphics card.

    >>> device_label(CPU)
    'cpu'
    """
    if device.type != "cuda":
        return device.type
    return f"cuda:{device.index or 0} ({torch.cuda.get_device_name(device)})"


def device_of(network: torch.nn.Module) -> torch.device:
    """Return the device of the weights of `network`; the processor if it has none."""
    return next((parameter.device for parameter in network.parameters()), CPU)


@contextmanager
def full_float32(device: torch.device) -> Iterator[None]:
    """Multiply float32 in float32: on graphics cards PyTorch's convolutions use TF32, with 10 bits, by default."""
    if device.type != "cuda":
        yield
        return
    settings: tuple[Any, ...] = (torch.backends.cudnn.conv, torch.backends.cuda.matmul)  # type: ignore[attr-defined]
    before = [setting.fp32_precision for setting in settings]
    try:
        for setting in settings:
            setting.fp32_precision = "ieee"
        yield
    finally:
        for setting, precision in zip(settings, before, strict=True):
            setting.fp32_precision = precision
