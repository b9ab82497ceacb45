"""Keras' HDF5 weights as tensors, in the legacy layout: `save_weights("x.h5")` or `save("x.h5")` of Keras 2.

A group for each layer, the layers' order in the attribute `layer_names`, and in each group the order of its arrays in
`weight_names`; a whole model keeps all this under `model_weights`.
"""

from itertools import count, takewhile
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from nitido.inference.importers.arrays import first_line, to_tensor
from nitido.inference.model_file import ModelFileError

MAGIC = b"\x89HDF\r\n\x1a\n"
"""How an HDF5 file begins."""

_LAYERS, _WEIGHTS = "layer_names", "weight_names"
# What h5py raises for files that are damaged or whose attributes name what is not there.
_DAMAGE = (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError, MemoryError)


def read_keras_hdf5(path: Path) -> dict[str, Tensor]:
    """Every array as `layer/kind` (`conv2d_3/kernel`) in the order of Keras' layers, which is the data's way.

    Raises `ModelFileError` when h5py is not installed, and for damage, other HDF5 files and non-numbers.
    """
    try:
        import h5py
    except ImportError:
        raise ModelFileError(f"{path}: an HDF5 file, which needs h5py to be read: pip install nitido[import]") from None
    try:
        with h5py.File(path, "r") as file:
            root = file.get("model_weights", file)
            if not _has_names(root, _LAYERS):
                raise ModelFileError(
                    f"{path}: an HDF5 file without {_LAYERS!r}: not Keras weights in the legacy layout "
                    "(Keras 3 writes another one into names that end in .weights.h5)"
                )
            return _read_layers(path, root)
    except _DAMAGE as error:
        raise ModelFileError(f"{path}: not a readable HDF5 file, damaged or cut short ({first_line(error)})") from None


def _read_layers(path: Path, root: Any) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for layer in _names(root, _LAYERS):
        for weight in _names(root[layer], _WEIGHTS):
            name = f"{layer}/{weight.rsplit('/', 1)[-1].partition(':')[0]}"
            if name in tensors:
                raise ModelFileError(f"{path}: holds {name!r} twice; a model inside a model cannot be imported")
            tensors[name] = to_tensor(path, name, np.asarray(root[layer][weight][()]))
    return tensors


def _has_names(group: Any, attribute: str) -> bool:
    return attribute in group.attrs or f"{attribute}0" in group.attrs


def _names(group: Any, attribute: str) -> list[str]:
    """A list of names; Keras cuts one that is too long for an attribute into `attribute0`, `attribute1`, …"""
    if attribute in group.attrs:
        found = list(group.attrs[attribute])
    else:
        found = []
        parts = takewhile(lambda part: part in group.attrs, (f"{attribute}{number}" for number in count()))
        found = [name for part in parts for name in group.attrs[part]]
    return [name.decode() if isinstance(name, bytes) else str(name) for name in found]
