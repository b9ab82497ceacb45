"""Zip archives of unknown origin: size limits, and the exceptions that reading damaged ones raises."""

import lzma
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from nitido.models.importers.arrays import Budget
from nitido.models.model_file import ModelFileError

# Exceptions of zipfile and NumPy for archives that are damaged, encrypted, or state a wrong size.
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    TypeError,
    RuntimeError,  # encrypted, or with an unknown compression
    OverflowError,
    MemoryError,
    SyntaxError,
)

_END, _LOCATOR_64, _END_64 = b"PK\x05\x06", b"PK\x06\x07", b"PK\x06\x06"
_END_BYTES, _LOCATOR_64_BYTES, _END_64_BYTES, _LONGEST_COMMENT = 22, 20, 56, 1 << 16
_LARGEST_DIRECTORY = 1 << 24


@contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Yield the zip archive at `path`.

    Raises:
        ModelFileError: Its uncompressed members exceed the limit for weights, or two have one name.
        Exception: One of `DAMAGE`, if it is not a complete archive.
    """
    _check_directory(path)
    with zipfile.ZipFile(path) as archive:
        budget = Budget(path)
        names: set[str] = set()
        for member in archive.infolist():
            budget.take(member.filename, member.file_size)
            if member.filename in names:
                raise ModelFileError(f"{path}: contains {member.filename!r} twice")
            names.add(member.filename)
        yield archive


def archive_holds(path: Path, name: str) -> bool:
    """Return whether the file is a complete zip archive with a member called `name` in any of its folders."""
    try:
        with open_archive(path) as archive:
            return any(PurePosixPath(member).name == name for member in archive.namelist())
    except DAMAGE:
        return False


def _check_directory(path: Path) -> None:
    """Raise `zipfile.BadZipFile` if the list of members is too long, because `zipfile` reads all of it into memory."""
    with path.open("rb") as file:
        longest = _END_64_BYTES + _LOCATOR_64_BYTES + _END_BYTES + _LONGEST_COMMENT
        file.seek(max(0, file.seek(0, os.SEEK_END) - longest))
        tail = file.read()
    end = tail.rfind(_END)
    if end < 0 or len(tail) - end < _END_BYTES:
        raise zipfile.BadZipFile("it has no end")
    (size,) = struct.unpack_from("<I", tail, end + 12)
    locator = end - _LOCATOR_64_BYTES
    if locator >= 0 and tail.startswith(_LOCATOR_64, locator):  # torch writes both kinds of end
        end_64 = locator - _END_64_BYTES
        if end_64 < 0 or not tail.startswith(_END_64, end_64):
            raise zipfile.BadZipFile("its end is damaged")
        (size,) = struct.unpack_from("<Q", tail, end_64 + 40)
    if size > _LARGEST_DIRECTORY:
        raise zipfile.BadZipFile("it has too many members")
