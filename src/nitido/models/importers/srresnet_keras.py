"""SRGAN's generator from Keras weights, as in the widely used `generator.h5`.

The file has no configuration. Such generators have Keras' default epsilon, a tanh output and 8-bit images. Kernels are
HWIO. `depth_to_space` orders channels as (position, feature), a pixel shuffle as (feature, position), so the outputs of
the upsampling convolutions are permuted.
"""

from itertools import groupby, zip_longest
from pathlib import Path

from torch import Tensor

from nitido.models.importers.layer_matching import width_of
from nitido.models.importers.srresnet_family import SRResNetLayers, convert_srresnet
from nitido.models.importers.weight_layout import Choices, Converted, Layout, Tensors
from nitido.models.model_file import ModelFileError

EPSILON = 1e-3
"""Keras' default epsilon of batch normalization."""

_LAYOUT_NAME = "the layout of Keras' SRGAN generators"
_CONVOLUTION, _NORM, _SLOPE = "convolution", "batch normalization", "PReLU"
_KINDS = {
    "kernel": (_CONVOLUTION, "weight"),
    "bias": (_CONVOLUTION, "bias"),
    "gamma": (_NORM, "weight"),
    "beta": (_NORM, "bias"),
    "moving_mean": (_NORM, "running_mean"),
    "moving_variance": (_NORM, "running_var"),
    "alpha": (_SLOPE, "weight"),
}
"""Keras' name of an array -> the kind of layer, and its name in PyTorch."""

_BLOCK = [_CONVOLUTION, _NORM, _SLOPE, _CONVOLUTION, _NORM]


def _recognizes(tensors: Tensors) -> bool:
    kinds = {name.rpartition("/")[2] for name in tensors}
    return kinds <= _KINDS.keys() and {"kernel", "gamma", "alpha"} <= kinds


def _convert(source: Path, tensors: Tensors, choices: Choices) -> Converted:
    layers = _layers(source, tensors)
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        layer, _, kind = name.rpartition("/")
        renamed[f"{layer}.{_KINDS[kind][1]}"] = _as_torch(kind, tensor)
    width = width_of(source, renamed, f"{layers.convolutions[0]}.weight")
    for stage in layers.stages:
        for name in (f"{stage}.weight", f"{stage}.bias"):
            if name in renamed:
                renamed[name] = _feature_first(renamed[name], width)
    return convert_srresnet(source, renamed, choices, layers, EPSILON, _LAYOUT_NAME)


def _as_torch(kind: str, tensor: Tensor) -> Tensor:
    if kind == "kernel" and tensor.ndim == 4:
        return tensor.permute(3, 2, 0, 1)
    return tensor.flatten() if kind == "alpha" else tensor


def _feature_first(outputs: Tensor, width: int) -> Tensor:
    """Permute channels from (position, feature) to (feature, position). Invalid shapes are refused later."""
    if outputs.ndim == 0 or outputs.shape[0] % width:
        return outputs
    rest = outputs.shape[1:]
    return outputs.reshape(-1, width, *rest).transpose(0, 1).reshape(-1, *rest)


def _layers(source: Path, tensors: Tensors) -> SRResNetLayers:
    """Return the layers by kind; raise `ModelFileError` if their order is not the generator's."""
    found = [
        (layer, _KINDS[next(names).rpartition("/")[2]][0])
        for layer, names in groupby(tensors, key=lambda name: name.rpartition("/")[0])
    ]
    norms = sum(kind == _NORM for _, kind in found)
    slopes = sum(kind == _SLOPE for _, kind in found)
    blocks = max((norms - 1) // 2, 1)
    stages = max(slopes - 1 - blocks, 1)
    expected = [
        _CONVOLUTION,
        _SLOPE,
        *_BLOCK * blocks,
        _CONVOLUTION,
        _NORM,
        *[_CONVOLUTION, _SLOPE] * stages,
        _CONVOLUTION,
    ]
    kinds = [kind for kind, _ in groupby(kind for _, kind in found)]
    if len(kinds) == len(set(kinds)):  # Keras 3 orders layers only within each kind
        found = _interleaved(found, expected)
    for number, (layer, kind) in enumerate(zip_longest(found, expected), start=1):
        name, is_kind = layer or ("the end", "nothing")
        if is_kind != kind:
            raise ModelFileError(
                f"{source}: layer {number} is {name} ({is_kind}), but in {_LAYOUT_NAME} it is: {kind or 'nothing'}"
            )
    convolutions = [layer for layer, kind in found if kind == _CONVOLUTION]
    return SRResNetLayers(
        convolutions=convolutions,
        norms=[layer for layer, kind in found if kind == _NORM],
        slopes=[layer for layer, kind in found if kind == _SLOPE],
        stages=convolutions[-1 - stages : -1],
    )


def _interleaved(found: list[tuple[str, str]], expected: list[str]) -> list[tuple[str, str]]:
    """Return the layers in the order of kinds in `expected`, with each kind in its own order; the rest comes last."""
    by_kind = {kind: [layer for layer in found if layer[1] == kind] for _, kind in found}
    taken = [by_kind[kind].pop(0) for kind in expected if by_kind.get(kind)]
    return taken + [layer for layers in by_kind.values() for layer in layers]


LAYOUT = Layout("Keras' SRGAN generator: HDF5 weights (generator.h5)", _recognizes, _convert)
