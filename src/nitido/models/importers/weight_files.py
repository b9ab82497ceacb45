"""From a file to its tensors: the kind of file is recognised by its first bytes, never by its name."""

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
"""The usual endings of the files that can be read."""

_ZIP_MAGIC = b"PK"
_HEAD_BYTES = 16
_KERAS_WEIGHTS = "model.weights.h5"
_LENGTH_BYTES = 8  # of a .safetensors file: how long its header is


def read_tensors(path: Path) -> dict[str, Tensor] | None:
    """The tensors of `path` by name, `None` for a file of another kind; raises `ModelFileError` for damage and code."""
    check_size(path)
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if head.startswith(_ZIP_MAGIC):  # one that is cut short is no archive of torch's, and NumPy says what is wrong
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
    """Whether the file is a whole zip archive with Keras' weights."""
    return archive_holds(path, _KERAS_WEIGHTS)


def read_keras_archive(path: Path) -> dict[str, Tensor]:
    """The arrays as `read_keras_hdf5` names them; the model's configuration, which may name code, is not read."""
    try:
        with open_archive(path) as archive:
            content = archive.read(_KERAS_WEIGHTS)
    except (*DAMAGE, KeyError) as error:
        raise ModelFileError(
            f"{path}: not a readable .keras archive, damaged or cut short ({first_line(error)})"
        ) from None
    return read_keras_hdf5(path, content)


def is_safetensors(head: bytes) -> bool:
    """Whether a file that begins with `head` has the length of a JSON header first, and then the header.

    >>> is_safetensors(b"\\x02\\0\\0\\0\\0\\0\\0\\0{}"), is_safetensors(b"{}")
    (True, False)
    """
    return head[_LENGTH_BYTES : _LENGTH_BYTES + 1] == b"{"


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Every tensor by its name; raises `ModelFileError` for damage, and for a model of nitido itself."""
    file = read_tensor_file(path)
    if METADATA_KEY in file.metadata:
        raise ModelFileError(f"{path}: is a model of nitido already; it needs no import")
    return ordinary_weights(path, file.tensors())
