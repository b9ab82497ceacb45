"""NumPy's .npz archives as tensors, without unpickling."""

import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.lib.npyio import NpzFile
from torch import Tensor

from nitido.inference.importers.arrays import first_line, to_tensor
from nitido.inference.model_file import ModelFileError

# What zipfile and NumPy raise for archives that are damaged, encrypted, or lie about their size.
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError, MemoryError)


def read_npz(path: Path) -> dict[str, Tensor]:
    """Every array of the archive by its name; raises `ModelFileError` for damage, pickled objects and non-numbers."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            foreign = [name for name in archive.zip.namelist() if not name.endswith(".npy")]
            if foreign:
                raise ModelFileError(f"{path}: a zip archive that holds {foreign[0]!r}, no .npz of NumPy arrays")
            return {name: _read_array(path, archive, name) for name in archive.files}
    except _DAMAGE as error:
        raise ModelFileError(
            f"{path}: not a readable .npz or .pth archive, damaged or cut short ({first_line(error)})"
        ) from None


def _read_array(path: Path, archive: NpzFile, name: str) -> Tensor:
    try:
        array = archive[name]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise ModelFileError(
            f"{path}: {name!r} holds pickled Python objects, which may run code when read: refused"
        ) from None
    return to_tensor(path, name, array)
