"""Copies third-party weights to a network of nitido, layer by layer in data flow order."""

from collections.abc import Iterable, Mapping, Sequence
from math import isqrt
from pathlib import Path

from torch import Tensor, nn

from nitido.architectures import NetworkConfig, resolve_config
from nitido.base.validation import ConfigError
from nitido.models.importers.weight_layout import Converted, Tensors
from nitido.models.model_file import ModelFileError, build_blank, check_finite, check_layout, check_not_zeroed

LayerNames = Mapping[type[nn.Module], Sequence[str]]
"""For every kind of layer the third-party names, in data flow order."""

_WEIGHTS: Mapping[type[nn.Module], tuple[str, ...]] = {
    nn.Conv2d: ("weight", "bias"),
    nn.BatchNorm2d: ("weight", "bias", "running_mean", "running_var"),
    nn.PReLU: ("weight",),
}
_STAGES = {(2,): 2, (3,): 3, (2, 2): 4}


def match_layers(
    source: Path, tensors: Tensors, architecture: str, config: NetworkConfig, layers: LayerNames, required_by: str
) -> Converted:
    """Return a network of `config` with `tensors`, which are named `layer.weight` and so on as in PyTorch.

    Layers are matched only by kind and order.

    Args:
        source: The file.
        tensors: Its weights.
        architecture: Name of the architecture.
        config: The network's configuration.
        layers: Names of the layers.
        required_by: Name of the layout in errors.

    Raises:
        ModelFileError: The names, shapes, types or values are not the layout's.
    """
    network = build_blank(architecture, config)
    names = {
        f"{ours}.{weight}": f"{theirs}.{weight}"
        for kind, foreign in layers.items()
        for ours, theirs in zip(_named(network, kind), foreign, strict=True)
        for weight in _WEIGHTS[kind]
    }
    state = network.state_dict()
    check_layout(source, {theirs: state[ours] for ours, theirs in names.items()}, tensors, required_by)
    check_finite(source, tensors)
    check_not_zeroed(source, tensors)
    network.load_state_dict({**state, **{ours: tensors[theirs] for ours, theirs in names.items()}})
    return Converted(architecture, network)


def _named(network: nn.Module, kind: type[nn.Module]) -> list[str]:
    return [name for name, module in network.named_modules() if isinstance(module, kind)]


def configure(source: Path, architecture: str, variant: str, overrides: Mapping[str, object]) -> NetworkConfig:
    """Return `resolve_config` of values from a file; raise `ModelFileError` if they are invalid."""
    try:
        return resolve_config(architecture, variant, overrides)
    except ConfigError as error:
        raise ModelFileError(f"{source}: {error}") from None


def width_of(source: Path, tensors: Tensors, name: str) -> int:
    """Return the number of output channels of the convolution with the weights `name`, OIHW."""
    weight = tensors[name]
    if weight.ndim != 4 or weight.numel() == 0:
        raise ModelFileError(f"{source}: {name} is {tuple(weight.shape)}, not the weights of a convolution")
    return weight.shape[0]


def scale_of(source: Path, tensors: Tensors, stages: Iterable[str], width: int, wanted: int | None) -> int:
    """Return the scale of the convolutions `stages`, each of which precedes a pixel shuffle to `width` channels.

    Raises:
        ModelFileError: They do not give a supported scale, or not the `wanted` one.
    """
    factors = tuple(isqrt(width_of(source, tensors, name) // width) for name in stages)
    if factors not in _STAGES:
        said = " and ".join(f"×{factor}" for factor in factors) or "nothing"
        raise ModelFileError(f"{source}: its features are upsampled by {said}, not by ×2, ×3, or ×2 twice")
    scale = _STAGES[factors]
    if wanted not in (None, scale):
        raise ModelFileError(f"{source}: its weights are for scale {scale}, but --scale is {wanted}")
    return scale


def count(tensors: Tensors, pattern: str, start: int = 0) -> int:
    """Return how many of the names `pattern.format(start)`, `pattern.format(start + 1)`, … exist consecutively.

    >>> count({"b.0": Tensor(), "b.1": Tensor(), "b.7": Tensor()}, "b.{}")
    2
    """
    number = start
    while pattern.format(number) in tensors:
        number += 1
    return number - start


def widen_slopes(tensors: Tensors, layers: Iterable[str], width: int) -> dict[str, Tensor]:
    """Return the tensors with slopes that all channels share repeated for `width` channels."""
    shared = {name: tensors[name] for layer in layers if (name := f"{layer}.weight") in tensors}
    return {**tensors, **{name: slope.repeat(width) for name, slope in shared.items() if slope.shape == (1,)}}
