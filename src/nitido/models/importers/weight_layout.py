"""What an importer is: how it knows its files, and what it makes of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from nitido.architectures import SuperResolutionNetwork

Tensors = Mapping[str, Tensor]
"""The weights of a foreign file under the names they have there, in the file's order."""


class Choices(NamedTuple):
    """What the user says of a file, for what its weights leave open; `None`: not said.

    Attributes:
        scale: the enlargement factor; where the weights have one of their own it must be the same, and where they serve
            several it is one of them; not said: all of them.
        residual_scale: the factor of what each residual block adds.
    """

    scale: int | None = None
    residual_scale: float | None = None


class Converted(NamedTuple):
    """A network with the foreign weights in it, its architecture's name, and what other scales the weights serve."""

    architecture: str
    network: SuperResolutionNetwork
    other_scales: Sequence[int] = ()


@dataclass(frozen=True)
class Layout:
    """A way in which other people store the weights of an architecture.

    Attributes:
        title: what people call such a file; stands in error messages and in the descriptor's provenance.
        recognises: whether weights of these names and shapes are meant to be of this layout.
        convert: from the file's path (for errors), its weights and the user's choices to a network; raises
            `ModelFileError` where the weights do not fit or contradict the choices.
        open_residual_scale: whether the file does not say how much its residual blocks add.
    """

    title: str
    recognises: Callable[[Tensors], bool]
    convert: Callable[[Path, Tensors, Choices], Converted]
    open_residual_scale: bool = False


@dataclass(frozen=True)
class Inexpressible:
    """A layout of a network that no architecture here computes; knowing it makes a better error.

    Attributes:
        title: what people call such a file.
        recognises: whether weights of these names and shapes are meant to be of this layout.
        reason: what the network does that ours cannot, as the end of a sentence.
    """

    title: str
    recognises: Callable[[Tensors], bool]
    reason: str
