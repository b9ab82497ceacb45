"""Reads NumPy's .npz archives without unpickling."""

import zipfile
from pathlib import Path
from typing import IO

from numpy.lib import format as npy
from torch import Tensor

from nitido.models.importers.archive import DAMAGE, open_archive
from nitido.models.importers.arrays import Budget, first_line, to_tensor
from nitido.models.model_file import ModelFileError

_SUFFIX = ".npy"


def read_npz(path: Path) -> dict[str, Tensor]:
    """Return every array of the archive by name.

    Raises:
        ModelFileError: The archive is damaged, or contains pickled objects or arrays that are not numeric.
    """
    try:
        with open_archive(path) as archive:
            foreign = [name for name in archive.namelist() if not name.endswith(_SUFFIX)]
            if foreign:
                raise ModelFileError(f"{path}: a zip archive with {foreign[0]!r}, not an .npz of NumPy arrays")
            budget = Budget(path)
            return {
                member.filename.removesuffix(_SUFFIX): _read_member(path, archive, member, budget)
                for member in archive.infolist()
            }
    except DAMAGE as error:
        raise ModelFileError(
            f"{path}: not a readable .npz or .pth archive, damaged or truncated ({first_line(error)})"
        ) from None


def _read_member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo, budget: Budget) -> Tensor:
    name = member.filename.removesuffix(_SUFFIX)
    with archive.open(member) as file:
        size = _declared_size(path, name, file)
        if file.tell() + size != member.file_size:
            raise ValueError(f"{name!r} has {member.file_size - file.tell():,} bytes, but its header states {size:,}")
        budget.take(name, size)
    with archive.open(member) as file:
        return to_tensor(path, name, npy.read_array(file, allow_pickle=False))


def _declared_size(path: Path, name: str, file: IO[bytes]) -> int:
    """Return the size in bytes that the array's header declares; refuse Python objects."""
    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(file)
    if dtype.hasobject:
        raise ModelFileError(f"{path}: {name!r} contains pickled Python objects, which may run code: refused")
    size = dtype.itemsize
    for side in shape:
        size *= side
    return size
