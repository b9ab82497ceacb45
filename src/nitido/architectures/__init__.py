"""Super-resolution networks: typed configurations and named variants behind one interface."""

from nitido.architectures import block_recipes as block_recipes  # registers the blocks that come with nitido
from nitido.architectures.activations import activation_names, register_activation
from nitido.architectures.base import Architecture, NetworkConfig, SuperResolutionNetwork
from nitido.architectures.blocks import block_names, register_block
from nitido.architectures.convolutions import BlockSettings
from nitido.architectures.families import (
    architecture_names,
    build,
    count_parameters,
    get_architecture,
    register_architecture,
    resolve_config,
)

__all__ = [
    "Architecture",
    "BlockSettings",
    "NetworkConfig",
    "SuperResolutionNetwork",
    "activation_names",
    "architecture_names",
    "block_names",
    "build",
    "count_parameters",
    "get_architecture",
    "register_activation",
    "register_architecture",
    "register_block",
    "resolve_config",
]
