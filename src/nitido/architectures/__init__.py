"""Super-resolution networks: typed configurations, named variants, one contract."""

from nitido.architectures.base import Architecture, NetworkConfig, SuperResolutionNetwork
from nitido.architectures.registry import (
    architecture_names,
    build,
    count_parameters,
    get_architecture,
    register_architecture,
    resolve_config,
)

__all__ = [
    "Architecture",
    "NetworkConfig",
    "SuperResolutionNetwork",
    "architecture_names",
    "build",
    "count_parameters",
    "get_architecture",
    "register_architecture",
    "resolve_config",
]
