"""Base classes of super-resolution networks and their configurations."""

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
"""A number of layers or blocks. The limit is far above published networks and far below what takes minutes to build."""

Width = Annotated[int, Field(ge=1, le=1 << 16)]
"""A number of channels."""


class NetworkConfig(StrictModel):
    """The configuration fields that all architectures share."""

    scale: int = Field(default=2, ge=2, le=4, description="upscaling factor k: (h, w) becomes (k*h, k*w)")
    channels: Literal[1, 3] = Field(default=3, description="image channels: 1 = Y only, 3 = RGB")

    @property
    def serves_every_scale(self) -> bool:
        """Whether no weight or buffer depends on the scale: true for the `upsampler` `bicubic`."""
        return getattr(self, "upsampler", None) == "bicubic"


class SuperResolutionNetwork(nn.Module, ABC):
    """A network that upscales images by a fixed integer factor.

    Attributes:
        config: The frozen configuration from which the network was built.
        scale: The upscaling factor k.
        channels: 1 (Y only) or 3 (RGB).
        receptive_field_radius: How far, in LR pixels, the receptive field of an output pixel extends beyond the LR
            pixel that contains it. It is exact and includes the support of a bicubic input or skip: a tile with this
            margin gives the same pixels as the whole image. None if an output pixel depends on the whole image, as with
            channel attention; then no margin makes a tile exact.
    """

    config: NetworkConfig
    scale: int
    channels: int
    receptive_field_radius: int | None

    def __init__(self, config: NetworkConfig, receptive_field_radius: int | None) -> None:
        """Store the configuration; subclasses add their layers."""
        super().__init__()
        self.config = config
        self.scale = config.scale
        self.channels = config.channels
        self.receptive_field_radius = receptive_field_radius

    @abstractmethod
    def forward(self, lr: Tensor) -> Tensor:
        """Upscale `lr`, `(N, channels, h, w)` float in [0, 1], to `(N, channels, k*h, k*w)` float, not clamped."""

    def at_scale(self, scale: int) -> "SuperResolutionNetwork":
        """Return this network at another scale, sharing its layers: training one of them trains both.

        Layers with weights or statistics are the same objects in both networks, including device, mode and frozen
        state. For its own scale, the network itself is returned.

        Raises:
            NitidoError: The network's weights are for one scale.
            ConfigError: The architecture does not support `scale`.
        """
        if scale == self.scale:
            return self
        if not self.config.serves_every_scale:
            raise NitidoError(
                f"this {type(self).__name__} cannot be used at scale {scale}: its weights are for scale {self.scale} "
                "(one network supports several scales if `upsampler` is `bicubic`)"
            )
        values = self.config.model_dump() | {"scale": scale}
        config = type(self.config).parse(values, f"{type(self).__name__} at scale {scale}")
        with torch.device("meta"):  # its own weights are never allocated
            other: SuperResolutionNetwork = type(self)(config)  # type: ignore[call-arg]  # subclasses take a config only
        other.train(self.training)
        _share_layers(self, other)
        return other

    def module_sequences(self) -> list[list[str]]:
        """Return lists of names of children, each of which takes exactly the output of the previous one.

        No other module uses these outputs. Callers can therefore replace several consecutive children by one faster
        module. Children of an `nn.Sequential` need not be listed.
        """
        return []

    def first_half(self) -> list[nn.Module]:
        """Return the modules with weights before the body and the first half of its blocks, in order of data flow.

        The middle one of an odd number of blocks belongs to the second half. This implementation requires children in
        the order of data flow and repeated blocks in `body`; other networks override it.

        Raises:
            NitidoError: There is no body.
        """
        passed: list[nn.Module] = []
        for name, child in self.named_children():
            if name == "body":
                blocks = list(child.children())
                return [*passed, *blocks[: len(blocks) // 2]]
            if next(child.parameters(), None) is not None:
                passed.append(child)
        raise NitidoError(f"{type(self).__name__} has no body of blocks, so its first half is undefined")

    # nn.Module.__call__ returns Any; this declares that `network(lr)` is a Tensor.
    def __call__(self, lr: Tensor) -> Tensor:
        """Run `forward` with its hooks."""
        upscaled: Tensor = super().__call__(lr)
        return upscaled


def _share_layers(source: SuperResolutionNetwork, target: SuperResolutionNetwork) -> None:
    """Replace every layer of `target` that has weights or buffers by the layer of `source`."""
    expected, found = ({name: t.shape for name, t in n.state_dict().items()} for n in (target, source))
    if expected != found:
        raise NitidoError(
            f"this {type(source).__name__} cannot be used at scale {target.scale}: its weights would have other "
            f"names or shapes than at scale {source.scale}"
        )
    for path, layer in source.named_modules(remove_duplicate=False):
        if not (layer._parameters or layer._buffers):
            continue
        if path and not layer._modules:
            target.set_submodule(path, layer)
        else:  # keep the children of a module, because one of them may depend on the scale
            module = target.get_submodule(path)
            module._parameters, module._buffers = layer._parameters, layer._buffers


@dataclass(frozen=True)
class Architecture:
    """A network family: its configuration, network class and named variants.

    Attributes:
        name: Name in configurations and on the command line, in lower case.
        title: Name as people write it.
        reference: The paper that introduced it.
        config_class: The typed configuration.
        network_class: The `SuperResolutionNetwork` subclass, which takes one `config_class` instance.
        variants: Name -> the values that differ from the configuration's defaults.
        base: The variant with which others are compared.
    """

    name: str
    title: str
    reference: str
    config_class: type[NetworkConfig]
    network_class: Callable[[Any], SuperResolutionNetwork]
    variants: Mapping[str, Mapping[str, object]]
    base: str
