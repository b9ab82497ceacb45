"""Transfer learning: copies weights of a trained network and reports which ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from nitido.architectures import SuperResolutionNetwork
from nitido.base.errors import NitidoError
from nitido.base.validation import StrictModel
from nitido.models.model_file import LearnedImages
from nitido.training.freezing import matches


class TransferError(NitidoError):
    """A trained network's weights do not match the network that should start from them."""


class TransferReport(StrictModel):
    """What happened to every weight: names of parameters and buffers of the network, in its order.

    Attributes:
        source: Where the weights came from; None if the network starts from random weights.
        sha256: Hash of their file.
        learned: Images from which the source learned; None in reports of version 0.1.
        loaded: Tensors that were copied.
        skipped: Tensors that keep their random initialization, as permitted by a pattern.
        unused: Tensors of the source that the network does not have, as permitted by a pattern.
        frozen: Parameters that are not trained.
    """

    source: str | None = None
    sha256: str | None = None
    learned: LearnedImages | None = None
    loaded: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()

    def summary(self) -> str:
        """Return one line for people."""
        parts = []
        if self.source is not None:
            parts.append(f"{len(self.loaded)} tensors from {self.source}, {len(self.skipped)} reinitialized")
        if self.frozen:
            parts.append(f"{len(self.frozen)} parameters frozen")
        return "; ".join(parts)


Reinitialize = Literal["second_half"] | tuple[str, ...]
"""What is reinitialized: the second half of the body's blocks, or modules and parameters by pattern."""


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

    Args:
        network: The target, whose random initialization is kept for reinitialized tensors.
        source: Tensors by name.
        reinitialize: Shell patterns of tensors, or of modules that contain them, which are not copied. Only these may
            be missing on one side or have different shapes.
        where: Name of the source in errors.

    Raises:
        TransferError: A tensor does not match, or a pattern matches nothing; the message names the first one.
    """
    target = network.state_dict()
    patterns = _second_half(network) if reinitialize == "second_half" else reinitialize
    allowed = {name for name in {*target, *source} if any(matches(name, pattern) for pattern in patterns)}
    for pattern in patterns:
        if not any(matches(name, pattern) for name in allowed):
            raise TransferError(f"{where}: pattern {pattern!r} of reinitialize matches nothing in either network")
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
        raise TransferError(f"{where} has {extra}, which this network does not have: {_advice(extra)}")
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
