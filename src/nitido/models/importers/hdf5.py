"""Reads HDF5 weights of Keras 1 and 2 (legacy layout) and of Keras 3.

Legacy (`save_weights("x.h5")` or `save("x.h5")`): a group for each layer, the order of layers in the attribute
`layer_names`, and the order of a layer's arrays in its attribute `weight_names`; a whole model has these under
`model_weights`. Keras 3 (`x.weights.h5`, and inside `x.keras`): groups named by the layers' classes and numbered within
each class, `layers/conv2d_1/vars/0`.
"""

import io
import math
import re
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from nitido.models.importers.arrays import Budget, first_line, to_tensor
from nitido.models.importers.hdf5_trial import ends_well
from nitido.models.model_file import ModelFileError

MAGIC = b"\x89HDF\r\n\x1a\n"
"""The start of an HDF5 file."""

_LAYERS, _WEIGHTS = "layer_names", "weight_names"
_KERAS_3_ROOTS = ("layers", "_layer_checkpoint_dependencies")
_KERAS_3_KINDS = {
    "conv2d": ("kernel", "bias"),
    "p_re_lu": ("alpha",),
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
}
"""Names of the arrays that Keras 3 numbers, by the layer's class."""

_KERAS_1_KINDS = {"W": "kernel", "b": "bias"}
_NUMBERED = re.compile(r"(.+?)(?:_(\d{1,9}))?")
_LARGEST_ATTRIBUTE = 1 << 20
_MOST_STORED_TIMES = 1100  # maximum compression ratio of HDF5 (deflate of zeros)
# Exceptions of h5py for files that are damaged or whose attributes name missing members.
_DAMAGE = (OSError, LookupError, ArithmeticError, ValueError, TypeError, AttributeError, RuntimeError, MemoryError)


def read_keras_hdf5(path: Path, content: bytes | None = None) -> dict[str, Tensor]:
    """Return every array as `layer/kind` (`conv2d_3/kernel`).

    Legacy layers are in data flow order, those of Keras 3 in the order of their numbers within each class.

    Args:
        path: The file.
        content: An HDF5 file inside `path`; by default `path` itself.

    Raises:
        ModelFileError: h5py is not installed, or the file is damaged, another HDF5 file, or contains arrays that are
            not numeric, stored elsewhere, or larger than their file permits.
    """
    try:
        import h5py
    except ImportError:
        raise ModelFileError(f"{path}: reading HDF5 files needs h5py: pip install nitido[import]") from None
    content = path.read_bytes() if content is None else content
    if not ends_well(content):
        raise ModelFileError(f"{path}: not a readable HDF5 file, damaged or truncated (reading it crashes or hangs)")
    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            root = _member(path, file, "model_weights") if "model_weights" in file else file
            if _has_names(root, _LAYERS):
                return _read_layers(path, root)
            layers = next((name for name in _KERAS_3_ROOTS if name in file), None)
            if layers is not None:
                return _read_keras_3(path, _member(path, file, layers))
            raise ModelFileError(f"{path}: an HDF5 file without {_LAYERS!r} and without 'layers': not Keras weights")
    except _DAMAGE as error:
        raise ModelFileError(f"{path}: not a readable HDF5 file, damaged or truncated ({first_line(error)})") from None


def _read_layers(path: Path, root: Any) -> dict[str, Tensor]:
    budget = Budget(path)
    tensors: dict[str, Tensor] = {}
    for layer in _names(root, _LAYERS):
        group = _member(path, root, layer)
        for weight in _names(group, _WEIGHTS):
            kind = weight.rsplit("/", 1)[-1].partition(":")[0].removeprefix(f"{layer}_")
            name = f"{layer}/{_KERAS_1_KINDS.get(kind, kind)}"
            if name in tensors:
                raise ModelFileError(f"{path}: contains {name!r} twice; nested models cannot be imported")
            tensors[name] = to_tensor(path, name, _array(path, name, _member(path, group, weight), budget))
    return tensors


def _read_keras_3(path: Path, root: Any) -> dict[str, Tensor]:
    budget = Budget(path)
    tensors: dict[str, Tensor] = {}
    for layer in sorted(root, key=_by_number):
        group = _member(path, root, layer)
        if any(name in group for name in _KERAS_3_ROOTS):
            raise ModelFileError(f"{path}: {layer!r} is a nested model, which cannot be imported")
        stored = _member(path, group, "vars") if "vars" in group else {}
        kinds = _KERAS_3_KINDS.get(_by_number(layer)[0], ())
        for number in sorted(stored, key=_by_number):
            kind = kinds[int(number)] if number.isdecimal() and int(number) < len(kinds) else number
            name = f"{layer}/{kind}"
            tensors[name] = to_tensor(path, name, _array(path, name, _member(path, stored, number), budget))
    return tensors


def _by_number(name: str) -> tuple[str, int]:
    """Return the name without its number, and the number, so that `conv2d_10` follows `conv2d_9`.

    >>> _by_number("conv2d_10"), _by_number("conv2d"), _by_number("3")
    (('conv2d', 10), ('conv2d', 0), ('', 3))
    """
    if name.isdecimal():
        return "", int(name)
    found = _NUMBERED.fullmatch(name)
    return (found[1], int(found[2] or 0)) if found else (name, 0)


def _member(path: Path, group: Any, name: str) -> Any:
    """Return the member `name` (`a/b/c`) of `group`; refuse links."""
    import h5py

    for part in filter(None, name.split("/")):
        link = group.get(part, getlink=True)
        if link is not None and not isinstance(link, h5py.HardLink):
            raise ModelFileError(f"{path}: {name!r} is a link: refused")
        group = group[part]
    return group


def _array(path: Path, name: str, dataset: Any, budget: Budget) -> Any:
    import h5py

    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
        raise ModelFileError(f"{path}: {name!r} is not an array")
    if dataset.external is not None or dataset.is_virtual:
        raise ModelFileError(f"{path}: {name!r} is stored in another file: refused")
    if dataset.dtype.hasobject:
        raise ModelFileError(f"{path}: {name!r} contains {dataset.dtype} instead of numeric weights")
    if dataset.nbytes > _MOST_STORED_TIMES * dataset.id.get_storage_size():
        raise ModelFileError(f"{path}: {name!r} is larger than its stored data permit: refused")
    budget.take(name, dataset.nbytes)
    return np.asarray(dataset[()])


def _has_names(group: Any, attribute: str) -> bool:
    return attribute in group.attrs or f"{attribute}0" in group.attrs


def _names(group: Any, attribute: str) -> list[str]:
    """Return a list of names, which Keras splits into `attribute0`, `attribute1` and so on if it is too long."""
    if attribute in group.attrs:
        found = _attribute(group, attribute)
    else:
        found = []
        parts = takewhile(lambda part: part in group.attrs, (f"{attribute}{number}" for number in count()))
        found = [name for part in parts for name in _attribute(group, part)]
    return [name.decode() if isinstance(name, bytes) else str(name) for name in found]


def _attribute(group: Any, name: str) -> list[Any]:
    stored = group.attrs.get_id(name)
    if math.prod(stored.shape) * stored.dtype.itemsize > _LARGEST_ATTRIBUTE:
        raise ValueError(f"the attribute {name!r} is too large")
    return list(group.attrs[name])
