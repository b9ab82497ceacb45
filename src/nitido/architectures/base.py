"""What every super-resolution network and its configuration have in common."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from nitido.base.errors import NitidoError
from nitido.base.validation import StrictModel

Count = Annotated[int, Field(ge=1, le=1000)]
"""A number of layers or blocks, bounded far above published networks and far below what takes minutes to build."""

Width = Annotated[int, Field(ge=1, le=1 << 16)]
"""A number of channels."""


class NetworkConfig(StrictModel):
    """The part of a network's configuration that every architecture has."""

    scale: int = Field(default=2, ge=2, le=4, description="enlargement factor k: (h, w) becomes (k*h, k*w)")
    channels: Literal[1, 3] = Field(default=3, description="colour channels the network works on: 1 = Y alone, 3 = RGB")

    @property
    def serves_every_scale(self) -> bool:
        """Whether no weight or buffer depends on the scale: true of the `upsampler` `bicubic`."""
        return getattr(self, "upsampler", None) == "bicubic"


class SuperResolutionNetwork(nn.Module, ABC):
    """A network that enlarges pictures by a fixed integer factor.

    Attributes:
        config: the frozen configuration the network was built from.
        scale: the enlargement factor k.
        channels: 1 (Y alone) or 3 (RGB).
        receptive_field_radius: how far, in LR pixels, the support of an output pixel reaches beyond the LR pixel it
            lies in. Exact, and it includes the support of a bicubic input or skip; a tile with that much margin gives
            the same pixels as the whole picture. None where an output pixel depends on the whole picture, as under
            channel attention: then no margin makes a tile exact.
    """

    config: NetworkConfig
    scale: int
    channels: int
    receptive_field_radius: int | None

    def __init__(self, config: NetworkConfig, receptive_field_radius: int | None) -> None:
        """Remember the configuration; subclasses add their layers."""
        super().__init__()
        self.config = config
        self.scale = config.scale
        self.channels = config.channels
        self.receptive_field_radius = receptive_field_radius

    @abstractmethod
    def forward(self, lr: Tensor) -> Tensor:
        """Enlarge `lr`, `(N, channels, h, w)` float in [0, 1], to `(N, channels, k*h, k*w)` float, not clamped."""

    def at_scale(self, scale: int) -> "SuperResolutionNetwork":
        """This network at another scale, with the same layers: what one of them learns, the other one has learnt.

        Layers with weights or statistics are the very same objects in both, so that device, mode and what is frozen
        are theirs together. At its own scale a network is returned itself. Raises `NitidoError` where the network's
        weights are for one scale, and `ConfigError` where its architecture does not know `scale`.
        """
        if scale == self.scale:
            return self
        if not self.config.serves_every_scale:
            raise NitidoError(
                f"this {type(self).__name__} cannot be used at scale {scale}: its weights are for scale {self.scale} "
                "(one network serves several scales where `upsampler` is `bicubic`)"
            )
        values = self.config.model_dump() | {"scale": scale}
        config = type(self.config).parse(values, f"{type(self).__name__} at scale {scale}")
        with torch.device("meta"):  # its own weights are never made
            other: SuperResolutionNetwork = type(self)(config)  # type: ignore[call-arg]  # networks need no more
        other.train(self.training)
        _share_layers(self, other)
        return other

    def rows(self) -> list[list[str]]:
        """Names of children in rows: each is given just what the one before it has made, and nobody else is.

        For those who put something faster in the place of several. What follows each other in an `nn.Sequential` need
        not be told.
        """
        return []

    def first_half(self) -> list[nn.Module]:
        """The modules with weights that data passes up to and including the first half of the body's blocks.

        Of an odd number of blocks the middle one belongs to the second half. This is for networks whose children are
        in the order of their data flow, with their repeated blocks in `body`; others override it. Raises
        `NitidoError` where there is no body.
        """
        passed: list[nn.Module] = []
        for name, child in self.named_children():
            if name == "body":
                blocks = list(child.children())
                return [*passed, *blocks[: len(blocks) // 2]]
            if next(child.parameters(), None) is not None:
                passed.append(child)
        raise NitidoError(f"{type(self).__name__} has no body of blocks, so nothing says what its first half is")

    # nn.Module's own __call__ is typed Any; this makes `network(lr)` a Tensor for the type checker.
    def __call__(self, lr: Tensor) -> Tensor:
        """Run `forward` with its hooks."""
        upscaled: Tensor = super().__call__(lr)
        return upscaled


def _share_layers(source: SuperResolutionNetwork, target: SuperResolutionNetwork) -> None:
    """Put every layer of `source` that has weights or buffers of its own in the place of that of `target`."""
    expected, found = ({name: t.shape for name, t in n.state_dict().items()} for n in (target, source))
    if expected != found:
        raise NitidoError(
            f"this {type(source).__name__} cannot be used at scale {target.scale}: it would have other weights than at "
            f"scale {source.scale}"
        )
    for path, layer in source.named_modules(remove_duplicate=False):
        if not (layer._parameters or layer._buffers):
            continue
        if path and not layer._modules:
            target.set_submodule(path, layer)
        else:  # a module with parts keeps them: one of them may depend on the scale
            twin = target.get_submodule(path)
            twin._parameters, twin._buffers = layer._parameters, layer._buffers


@dataclass(frozen=True)
class Architecture:
    """A network family: how it is configured and built, and its named variants.

    Attributes:
        name: the word used in configs and on the command line, lower case.
        title: the name as people write it.
        reference: the paper that introduced it.
        config_class: the typed configuration.
        network_class: the `SuperResolutionNetwork` subclass; it takes one `config_class` instance.
        variants: name -> the values that differ from the configuration's defaults.
        base: the variant that the others are compared with.
    """

    name: str
    title: str
    reference: str
    config_class: type[NetworkConfig]
    network_class: Callable[[Any], SuperResolutionNetwork]
    variants: Mapping[str, Mapping[str, object]]
    base: str
