"""Reads the tensors of a file, whose kind is recognized by its first bytes, never by its name."""

from pathlib import Path

from torch import Tensor

from nitido.models.importers.archive import DAMAGE, archive_holds, open_archive
from nitido.models.importers.arrays import first_line
from nitido.models.importers.checkpoint import PICKLE_MAGIC, is_checkpoint_zip, read_checkpoint
from nitido.models.importers.hdf5 import MAGIC as HDF5_MAGIC
from nitido.models.importers.hdf5 import read_keras_hdf5
from nitido.models.importers.npz import read_npz
from nitido.models.importers.state_dict import ordinary_weights
from nitido.models.model_file import METADATA_KEY
from nitido.models.tensor_file import ModelFileError, check_size, read_tensor_file

KINDS = ".npz, .h5, .keras, .pth, .pt, .safetensors"
"""Usual suffixes of the supported files."""

_ZIP_MAGIC = b"PK"
_HEAD_BYTES = 16
_KERAS_WEIGHTS = "model.weights.h5"
_LENGTH_BYTES = 8  # of a .safetensors file: how long its header is


def read_tensors(path: Path) -> dict[str, Tensor] | None:
    """Return the tensors of `path` by name; None for another kind of file.

    Raises:
        ModelFileError: The file is damaged or contains code.
    """
    check_size(path)
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if head.startswith(_ZIP_MAGIC):  # a truncated one is not recognized as PyTorch's; NumPy reports the damage
        if is_checkpoint_zip(path):
            return read_checkpoint(path)
        return read_keras_archive(path) if is_keras_archive(path) else read_npz(path)
    if head.startswith(HDF5_MAGIC):
        return read_keras_hdf5(path)
    if is_safetensors(head):
        return read_safetensors(path)
    if head.startswith(PICKLE_MAGIC):
        return read_checkpoint(path)
    return None


def is_keras_archive(path: Path) -> bool:
    """Return whether the file is a complete zip archive with Keras weights."""
    return archive_holds(path, _KERAS_WEIGHTS)


def read_keras_archive(path: Path) -> dict[str, Tensor]:
    """Return the arrays as `read_keras_hdf5` names them.

    The model's configuration, which may refer to code, is not read.
    """
    try:
        with open_archive(path) as archive:
            content = archive.read(_KERAS_WEIGHTS)
    except (*DAMAGE, KeyError) as error:
        raise ModelFileError(
            f"{path}: not a readable .keras archive, damaged or truncated ({first_line(error)})"
        ) from None
    return read_keras_hdf5(path, content)


def is_safetensors(head: bytes) -> bool:
    r"""Return whether a file that begins with `head` has a length followed by a JSON header.

    >>> is_safetensors(b"\x02\0\0\0\0\0\0\0{}"), is_safetensors(b"{}")
    (True, False)
    """
    return head[_LENGTH_BYTES : _LENGTH_BYTES + 1] == b"{"


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Return every tensor by its name; raise `ModelFileError` for damage, and for nitido's own models."""
    file = read_tensor_file(path)
    if METADATA_KEY in file.metadata:
        raise ModelFileError(f"{path}: already a model of nitido, which needs no import")
    return ordinary_weights(path, file.tensors())
