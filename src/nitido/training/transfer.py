"""Starting from a trained network: which of its weights are taken over, and a report that says so."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from nitido.architectures import SuperResolutionNetwork
from nitido.base.errors import NitidoError
from nitido.base.validation import StrictModel
from nitido.models.model_file import LearnedPictures
from nitido.training.freezing import matches


class TransferError(NitidoError):
    """A trained network's weights do not fit the network that should start from them."""


class TransferReport(StrictModel):
    """What became of every weight: names of parameters and buffers of the network, in its order.

    Attributes:
        source: where the weights came from; None when the network starts from random weights.
        sha256: of the file they came from.
        learned: the pictures that the source learned from; None if version 0.1 wrote the report.
        loaded: taken over.
        skipped: left at their random start, as a pattern allowed.
        unused: of the source, without a place in the network, as a pattern allowed.
        frozen: parameters that do not learn.
    """

    source: str | None = None
    sha256: str | None = None
    learned: LearnedPictures | None = None
    loaded: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()

    def summary(self) -> str:
        """One line for people."""
        parts = []
        if self.source is not None:
            parts.append(f"{len(self.loaded)} tensors from {self.source}, {len(self.skipped)} reinitialized")
        if self.frozen:
            parts.append(f"{len(self.frozen)} parameters frozen")
        return "; ".join(parts)


Reinitialize = Literal["second_half"] | tuple[str, ...]
"""What begins with random weights: the second half of the body's blocks, or modules and parameters by pattern."""


@dataclass(frozen=True)
class Loaded:
    """The outcome of `load_weights`; see `TransferReport`."""

    loaded: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()


def load_weights(
    network: SuperResolutionNetwork, source: Mapping[str, Tensor], reinitialize: Reinitialize, where: str
) -> Loaded:
    """Copy the weights and buffers of `source` into `network` by name.

    A tensor that only one of them has, or whose shape differs, is an error unless a shell pattern of `reinitialize`
    names it or a module it lies in; a tensor of the network that a pattern names keeps its random start even when it
    would fit. Raises `TransferError` with the first tensor that does not fit, and for a pattern that names nothing.
    `where` is the source's name in errors.
    """
    target = network.state_dict()
    patterns = _second_half(network) if reinitialize == "second_half" else reinitialize
    allowed = {name for name in {*target, *source} if any(matches(name, pattern) for pattern in patterns)}
    for pattern in patterns:
        if not any(matches(name, pattern) for name in allowed):
            raise TransferError(f"{where}: pattern {pattern!r} of reinitialize names nothing in either network")
    for name, tensor in target.items():
        if name in allowed:
            continue
        if name not in source:
            raise TransferError(f"{where} has no {name}: {_advice(name)}")
        if source[name].shape != tensor.shape:
            shapes = f"{tuple(source[name].shape)} there, {tuple(tensor.shape)} here"
            raise TransferError(f"{where}: {name} has another shape ({shapes}): {_advice(name)}")
    extra = next((name for name in source if name not in target and name not in allowed), None)
    if extra is not None:
        raise TransferError(f"{where} has {extra}, which this network has no place for: {_advice(extra)}")
    loaded = {name: source[name] for name in target if name not in allowed}
    if not loaded:
        raise TransferError(f"{where}: reinitialize leaves no weights to load")
    network.load_state_dict(target | loaded)
    return Loaded(
        loaded=tuple(loaded),
        skipped=tuple(name for name in target if name in allowed),
        unused=tuple(name for name in source if name not in target),
    )


def _second_half(network: SuperResolutionNetwork) -> tuple[str, ...]:
    body = getattr(network, "body", None)
    if not isinstance(body, nn.Sequential | nn.ModuleList):
        raise TransferError(f"reinitialize: a {type(network).__name__} has no body of blocks with a second half")
    return tuple(f"body.{index}" for index in range(len(body) // 2, len(body)))


def _advice(name: str) -> str:
    module = ".".join(name.split(".")[:2])
    return f"list a pattern such as {module!r} under reinitialize to give this part random weights"
