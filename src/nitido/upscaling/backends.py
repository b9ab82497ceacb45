"""Backends that run a network: PyTorch, or ONNX Runtime if it is installed. The faster one is found by a benchmark."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from nitido.architectures import SuperResolutionNetwork
from nitido.base.clock import interleaved, medians
from nitido.base.errors import unknown_name
from nitido.models.bfloat16 import calculator
from nitido.models.channels_last import channels_last
from nitido.models.onnx import OnnxError, in_onnx_runtime, missing_packages

AUTO = "auto"
"""The backend name that selects the fastest by a benchmark."""

_ROUNDS, _SECONDS = 5, 3.0


@dataclass(frozen=True)
class Backend:
    """A way to run networks.

    Attributes:
        prepare: Converts a network to an equivalent one that this backend runs; raises `OnnxError` if it cannot.
        missing: Returns required packages that are not installed.
        has_bfloat16: Whether it supports bfloat16.
    """

    prepare: Callable[[SuperResolutionNetwork], SuperResolutionNetwork]
    missing: Callable[[], Sequence[str]] = tuple
    has_bfloat16: bool = False


BACKENDS: Mapping[str, Backend] = {
    "torch": Backend(lambda network: network.to(memory_format=torch.channels_last), has_bfloat16=True),
    "onnx": Backend(in_onnx_runtime, missing_packages),
}
"""Every backend by name; the first one runs every network."""


@dataclass(frozen=True)
class Choice:
    """The backend that was chosen for a network.

    Attributes:
        backend: Its name.
        network: The network as this backend runs it.
        height, width: LR size of the benchmark.
        seconds: Time of each backend in the benchmark.
        excluded: Why other backends were excluded.
        bfloat16: Whether backends that support bfloat16 used it.
    """

    backend: str
    network: SuperResolutionNetwork
    height: int
    width: int
    seconds: Mapping[str, float]
    excluded: Mapping[str, str]
    bfloat16: bool = False

    def __str__(self) -> str:
        """Return the choice and its reasons in words."""
        short = [name for name in self.seconds if self.bfloat16 and BACKENDS[name].has_bfloat16]
        called = {name: f"{name} in bfloat16" if name in short else name for name in self.seconds}
        tried = [f"{called[name]} {seconds:.3g} s" for name, seconds in self.seconds.items()]
        left_out = [f"{name}: {reason}" for name, reason in self.excluded.items()]
        size = f"{self.width}×{self.height} pixels"
        return f"backend: {self.backend} ({size}: {', '.join(tried)}{''.join(f'; {line}' for line in left_out)})"


def check_name(backend: str) -> None:
    """Raise `NitidoError` with the nearest name unless `backend` is one of `BACKENDS` or `AUTO`."""
    if backend not in (*BACKENDS, AUTO):
        raise unknown_name("backend", backend, [*BACKENDS, AUTO])


def prepare(network: SuperResolutionNetwork, backend: str) -> SuperResolutionNetwork:
    """Return `network` as the backend with this name runs it; raise `OnnxError` if it cannot."""
    return BACKENDS[backend].prepare(network)


def choose(network: SuperResolutionNetwork, height: int, width: int, bfloat16: bool = False) -> Choice:
    """Return the backend that upscales `height` × `width` LR pixels fastest on this machine, measured with each.

    With `bfloat16`, backends that support bfloat16 use it. Backends that are not installed or cannot run this network
    are excluded.
    """
    prepared, excluded = {}, {}
    for name, backend in BACKENDS.items():
        if missing := backend.missing():
            excluded[name] = f"{', '.join(missing)} not installed"
            continue
        try:
            prepared[name] = backend.prepare(network)
        except OnnxError as error:
            excluded[name] = str(error)
    seconds = _probe(prepared, height, width, bfloat16)
    fastest = min(seconds, key=lambda name: seconds[name])
    return Choice(fastest, prepared[fastest], height, width, seconds, excluded, bfloat16)


@torch.inference_mode()
def _probe(networks: Mapping[str, SuperResolutionNetwork], height: int, width: int, bfloat16: bool) -> dict[str, float]:
    """Return the median seconds of each network, measured in alternating rounds after a warm-up.

    Each network runs as on a tile of an image: channels last, in the final precision. Slow networks have fewer rounds,
    but at least one.
    """
    lr = {name: channels_last(torch.zeros(1, net.channels, height, width)) for name, net in networks.items()}
    calls = {
        name: partial(calculator(net, bfloat16 and BACKENDS[name].has_bfloat16), lr[name])
        for name, net in networks.items()
    }
    return medians(interleaved(calls, _ROUNDS, torch.device("cpu"), at_least=0, budget=_SECONDS))
