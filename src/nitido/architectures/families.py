"""All architectures by name, and the way from a name to a network."""

from collections.abc import Mapping

import torch
from torch import nn

from nitido.architectures import edsr, rdn, srcnn, srresnet, vdsr
from nitido.architectures.base import Architecture, NetworkConfig, SuperResolutionNetwork
from nitido.base.errors import unknown_name
from nitido.base.registry import Registry
from nitido.base.validation import ConfigError

_ARCHITECTURES = Registry[Architecture]("architecture")


def register_architecture(architecture: Architecture) -> None:
    """Make an architecture known by its name; a name that is taken or a base that is no variant is a `ConfigError`."""
    name = architecture.name.lower()
    if architecture.base not in architecture.variants:
        raise unknown_name(f"base variant of {name}", architecture.base, architecture.variants, ConfigError)
    _ARCHITECTURES.register(name, architecture)


register_architecture(srcnn.ARCHITECTURE)
register_architecture(vdsr.ARCHITECTURE)
register_architecture(edsr.ARCHITECTURE)
register_architecture(rdn.ARCHITECTURE)
register_architecture(srresnet.ARCHITECTURE)


def architecture_names() -> list[str]:
    """The names of all architectures, sorted."""
    return _ARCHITECTURES.names()


def get_architecture(name: str) -> Architecture:
    """Look an architecture up by its exact name, in any case; `ConfigError` names the nearest one.

    >>> get_architecture("SRCNN").title
    'SRCNN'
    """
    return _ARCHITECTURES[name.lower()]


def resolve_config(architecture: str, variant: str, overrides: Mapping[str, object]) -> NetworkConfig:
    """The configuration of `variant` with `overrides` on top.

    Raises `ConfigError`, naming the nearest valid word, for an unknown architecture, variant, key or value.

    >>> resolve_config("srcnn", "residual", {"scale": 3}).scale
    3
    """
    family = get_architecture(architecture)
    if variant not in family.variants:
        raise unknown_name(f"variant of {family.name}", variant, family.variants, ConfigError)
    return family.config_class.parse({**family.variants[variant], **overrides}, f"{family.name}.{variant}")


def build(architecture: str, config: NetworkConfig) -> SuperResolutionNetwork:
    """A new network with fresh weights from torch's global random generator.

    Its weights lie channels-last in memory, in which convolutions on processors are up to twice as fast.

    >>> build("srcnn", resolve_config("srcnn", "debug", {})).scale
    2
    """
    family = get_architecture(architecture)
    if not isinstance(config, family.config_class):
        raise ConfigError(f"{family.name} needs a {family.config_class.__name__}, got a {type(config).__name__}")
    return family.network_class(config).to(memory_format=torch.channels_last)


def count_parameters(network: nn.Module) -> int:
    """The number of weights, frozen ones included, buffers not."""
    return sum(parameter.numel() for parameter in network.parameters())
