"""The interface of importers: how a layout is recognized and converted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from nitido.architectures import SuperResolutionNetwork

Tensors = Mapping[str, Tensor]
"""The weights of a third-party file by their original names, in the file's order."""


class Choices(NamedTuple):
    """The user's choices for properties that weights do not determine; None means not chosen.

    Attributes:
        scale: The scale. It must equal the scale of the weights, or be one of the scales that they support, of which
            all are kept by default.
        residual_scale: Factor of each residual block's branch.
    """

    scale: int | None = None
    residual_scale: float | None = None


class Converted(NamedTuple):
    """A network with third-party weights, the name of its architecture, and further scales that the weights support."""

    architecture: str
    network: SuperResolutionNetwork
    other_scales: Sequence[int] = ()


@dataclass(frozen=True)
class Layout:
    """A third-party format of an architecture's weights.

    Attributes:
        title: The usual name of such files, for messages and the descriptor's provenance.
        recognizes: Returns whether weights with these names and shapes have this layout.
        convert: Converts weights, given the file's path (for errors) and the user's choices; raises `ModelFileError` if
            the weights do not match the layout or contradict the choices.
        open_residual_scale: Whether the file does not determine the residual scale.
    """

    title: str
    recognizes: Callable[[Tensors], bool]
    convert: Callable[[Path, Tensors, Choices], Converted]
    open_residual_scale: bool = False


@dataclass(frozen=True)
class Inexpressible:
    """A layout of a network that nitido cannot represent, recognized for a better error.

    Attributes:
        title: The usual name of such files.
        recognizes: Returns whether weights with these names and shapes have this layout.
        reason: The unsupported features, as the end of a sentence.
    """

    title: str
    recognizes: Callable[[Tensors], bool]
    reason: str
