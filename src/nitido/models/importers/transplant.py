"""Foreign weights into a network of ours, layer by layer in the order in which data passes them."""

from collections.abc import Iterable, Mapping, Sequence
from math import isqrt
from pathlib import Path

from torch import Tensor, nn

from nitido.architectures import NetworkConfig, resolve_config
from nitido.base.validation import ConfigError
from nitido.models.importers.weight_layout import Converted, Tensors
from nitido.models.model_file import ModelFileError, build_blank, check_finite, check_layout, check_not_zeroed

LayerNames = Mapping[type[nn.Module], Sequence[str]]
"""For every kind of layer the foreign names, in the order in which data passes them."""

_WEIGHTS: Mapping[type[nn.Module], tuple[str, ...]] = {
    nn.Conv2d: ("weight", "bias"),
    nn.BatchNorm2d: ("weight", "bias", "running_mean", "running_var"),
    nn.PReLU: ("weight",),
}
_STAGES = {(2,): 2, (3,): 3, (2, 2): 4}


def transplant(
    source: Path, tensors: Tensors, architecture: str, config: NetworkConfig, layers: LayerNames, judge: str
) -> Converted:
    """A network of `config` with the weights `tensors` of `source`, named `layer.weight` and so on as torch does.

    Layers are told by kind and order alone. `judge` is whose layout it is, as errors call it. Raises `ModelFileError`
    when names, shapes, types or values are not the layout's.
    """
    network = build_blank(architecture, config)
    names = {
        f"{ours}.{weight}": f"{theirs}.{weight}"
        for kind, foreign in layers.items()
        for ours, theirs in zip(_named(network, kind), foreign, strict=True)
        for weight in _WEIGHTS[kind]
    }
    state = network.state_dict()
    check_layout(source, {theirs: state[ours] for ours, theirs in names.items()}, tensors, judge)
    check_finite(source, tensors)
    check_not_zeroed(source, tensors)
    network.load_state_dict({**state, **{ours: tensors[theirs] for ours, theirs in names.items()}})
    return Converted(architecture, network)


def _named(network: nn.Module, kind: type[nn.Module]) -> list[str]:
    return [name for name, module in network.named_modules() if isinstance(module, kind)]


def configure(source: Path, architecture: str, variant: str, overrides: Mapping[str, object]) -> NetworkConfig:
    """`resolve_config` for what a file says; what is impossible is the file's fault, a `ModelFileError`."""
    try:
        return resolve_config(architecture, variant, overrides)
    except ConfigError as error:
        raise ModelFileError(f"{source}: {error}") from None


def width_of(source: Path, tensors: Tensors, name: str) -> int:
    """How many channels the convolution with the weights `name`, OIHW, puts out."""
    weight = tensors[name]
    if weight.ndim != 4 or weight.numel() == 0:
        raise ModelFileError(f"{source}: {name} is {tuple(weight.shape)}, not the weights of a convolution")
    return weight.shape[0]


def scale_of(source: Path, tensors: Tensors, stages: Iterable[str], width: int, wanted: int | None) -> int:
    """The enlargement of the convolutions `stages`, each ahead of a pixel shuffle that leaves `width` channels.

    Raises `ModelFileError` when they fit no enlargement, or not the one that is `wanted`.
    """
    factors = tuple(isqrt(width_of(source, tensors, name) // width) for name in stages)
    if factors not in _STAGES:
        said = " and ".join(f"×{factor}" for factor in factors) or "nothing"
        raise ModelFileError(f"{source}: its features are enlarged by {said}, but only ×2, ×3, or ×2 twice is known")
    scale = _STAGES[factors]
    if wanted not in (None, scale):
        raise ModelFileError(f"{source}: its weights enlarge ×{scale}, but --scale says {wanted}")
    return scale


def count(tensors: Tensors, pattern: str, start: int = 0) -> int:
    """How many of the names `pattern.format(start)`, `pattern.format(start + 1)`, … follow each other.

    >>> count({"b.0": Tensor(), "b.1": Tensor(), "b.7": Tensor()}, "b.{}")
    2
    """
    number = start
    while pattern.format(number) in tensors:
        number += 1
    return number - start


def widen_slopes(tensors: Tensors, layers: Iterable[str], width: int) -> dict[str, Tensor]:
    """The tensors with the one slope that all channels share given to each of `width` channels."""
    shared = {name: tensors[name] for layer in layers if (name := f"{layer}.weight") in tensors}
    return {**tensors, **{name: slope.repeat(width) for name, slope in shared.items() if slope.shape == (1,)}}
