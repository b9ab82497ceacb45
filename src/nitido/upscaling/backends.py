"""What runs a network: PyTorch, or ONNX Runtime where it is installed; the faster one is found by trying both."""

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
"""The backend that is found by trying."""

_ROUNDS, _SECONDS = 5, 3.0


@dataclass(frozen=True)
class Backend:
    """A way to run networks.

    Attributes:
        prepare: makes of a network one that gives the same, run by this backend; raises `OnnxError` if it cannot.
        missing: the packages that must be installed first.
        has_bfloat16: whether it can calculate in bfloat16.
    """

    prepare: Callable[[SuperResolutionNetwork], SuperResolutionNetwork]
    missing: Callable[[], Sequence[str]] = tuple
    has_bfloat16: bool = False


BACKENDS: Mapping[str, Backend] = {
    "torch": Backend(lambda network: network.to(memory_format=torch.channels_last), has_bfloat16=True),
    "onnx": Backend(in_onnx_runtime, missing_packages),
}
"""Every backend by its name; the first one runs every network."""


@dataclass(frozen=True)
class Choice:
    """The backend that was chosen for a network.

    Attributes:
        backend: its name.
        network: the network as this backend runs it.
        height, width: of the LR pixels that were enlarged to try.
        seconds: what they took each backend that was tried.
        excluded: why the others were not.
        bfloat16: whether those that can calculated in bfloat16.
    """

    backend: str
    network: SuperResolutionNetwork
    height: int
    width: int
    seconds: Mapping[str, float]
    excluded: Mapping[str, str]
    bfloat16: bool = False

    def __str__(self) -> str:
        """The choice and its reasons, for people."""
        short = [name for name in self.seconds if self.bfloat16 and BACKENDS[name].has_bfloat16]
        called = {name: f"{name} in bfloat16" if name in short else name for name in self.seconds}
        tried = [f"{called[name]} {seconds:.3g} s" for name, seconds in self.seconds.items()]
        left_out = [f"{name}: {reason}" for name, reason in self.excluded.items()]
        size = f"{self.width}×{self.height} pixels"
        return f"backend: {self.backend} ({size}: {', '.join(tried)}{''.join(f'; {line}' for line in left_out)})"


def check_name(backend: str) -> None:
    """Raise `NitidoError`, which says the nearest name, unless `backend` is one of `BACKENDS` or `AUTO`."""
    if backend not in (*BACKENDS, AUTO):
        raise unknown_name("backend", backend, [*BACKENDS, AUTO])


def prepare(network: SuperResolutionNetwork, backend: str) -> SuperResolutionNetwork:
    """`network` as the one of `BACKENDS` with this name runs it; raises `OnnxError` as `Backend` says."""
    return BACKENDS[backend].prepare(network)


def choose(network: SuperResolutionNetwork, height: int, width: int, bfloat16: bool = False) -> Choice:
    """The backend that enlarges `height` × `width` LR pixels fastest on this machine, by trying each of them.

    With `bfloat16`, those that can calculate in it do. A backend that is not installed, or that cannot run this
    network, is left out.
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
    """Return the median seconds of each network on one tile: channels last, in the precision that it will have.

    Slow networks have fewer rounds, but at least one.
    """
    lr = {name: channels_last(torch.zeros(1, net.channels, height, width)) for name, net in networks.items()}
    calls = {
        name: partial(calculator(net, bfloat16 and BACKENDS[name].has_bfloat16), lr[name])
        for name, net in networks.items()
    }
    return medians(interleaved(calls, _ROUNDS, torch.device("cpu"), at_least=0, budget=_SECONDS))
