"""Keras 3's .keras archives as tensors: their weights are an HDF5 file inside a zip archive."""

from pathlib import Path

from torch import Tensor

from nitido.models.importers.archive import DAMAGE, archive_holds, open_archive
from nitido.models.importers.arrays import first_line
from nitido.models.importers.hdf5 import read_keras_hdf5
from nitido.models.model_file import ModelFileError

_WEIGHTS = "model.weights.h5"


def is_keras_archive(path: Path) -> bool:
    """Whether the file is a whole zip archive with Keras' weights."""
    return archive_holds(path, _WEIGHTS)


def read_keras_archive(path: Path) -> dict[str, Tensor]:
    """The arrays as `read_keras_hdf5` names them; the model's configuration, which may name code, is not read."""
    try:
        with open_archive(path) as archive:
            content = archive.read(_WEIGHTS)
    except (*DAMAGE, KeyError) as error:
        raise ModelFileError(
            f"{path}: not a readable .keras archive, damaged or cut short ({first_line(error)})"
        ) from None
    return read_keras_hdf5(path, content)
