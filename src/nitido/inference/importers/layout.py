"""What an importer is: how it knows its files, and what it makes of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from nitido.architectures import SuperResolutionNetwork

Tensors = Mapping[str, Tensor]
"""The weights of a foreign file under the names they have there."""


class Converted(NamedTuple):
    """A network with the foreign weights in it, and its architecture's name."""

    architecture: str
    network: SuperResolutionNetwork


@dataclass(frozen=True)
class Layout:
    """A way in which other people store the weights of an architecture.

    Attributes:
        title: what people call such a file; stands in error messages and in the descriptor's provenance.
        recognises: whether weights of these names and shapes are meant to be of this layout.
        convert: from the file's path (for errors), its weights and the wanted scale (`None`: not said) to a network;
            raises `ModelFileError` where the weights do not fit, `ConfigError` for an impossible scale.
    """

    title: str
    recognises: Callable[[Tensors], bool]
    convert: Callable[[Path, Tensors, int | None], Converted]
