"""From a file to its tensors: the kind of file is recognised by its first bytes, never by its name."""

from pathlib import Path

from torch import Tensor

from nitido.models.importers.checkpoint import PICKLE_MAGIC, is_checkpoint_zip, read_checkpoint
from nitido.models.importers.hdf5 import MAGIC as HDF5_MAGIC
from nitido.models.importers.hdf5 import read_keras_hdf5
from nitido.models.importers.keras_archive import is_keras_archive, read_keras_archive
from nitido.models.importers.npz import read_npz
from nitido.models.importers.safetensors_file import is_safetensors, read_safetensors
from nitido.models.tensor_file import LARGEST_WEIGHTS, ModelFileError

KINDS = ".npz, .h5, .keras, .pth, .pt, .safetensors"
"""The usual endings of the files that can be read."""

_ZIP_MAGIC = b"PK"
_HEAD_BYTES = 16


def read_tensors(path: Path) -> dict[str, Tensor] | None:
    """The tensors of `path` by name, `None` for a file of another kind; raises `ModelFileError` for damage and code."""
    size = path.stat().st_size
    if size > LARGEST_WEIGHTS:
        raise ModelFileError(f"{path}: {size:,} bytes are more than weights may have ({LARGEST_WEIGHTS:,})")
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
