"""Files of a pack: content followed by its SHA-256, written atomically and verified when they are mapped."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nitido.base.atomic import replacing
from nitido.base.errors import NitidoError
from nitido.base.notes import note

Bytes = npt.NDArray[np.uint8]
Write = Callable[[bytes | memoryview], None]

_DIGEST_SIZE = 32
_ATTEMPTS = 3


class DamagedPackError(NitidoError):
    """A file of a pack has changed since it was written."""


def write_verified(path: Path, produce: Callable[[Write], None]) -> None:
    """Write to `path` what `produce` passes to its argument, followed by the checksum."""
    digest = _digest(path)

    def write(content: bytes | memoryview) -> None:
        file.write(content)
        digest.update(content)

    with replacing(path) as draft, draft.open("wb") as file:
        produce(write)
        file.write(digest.digest())


def map_verified(path: Path, size: int) -> Bytes:
    """Map the `size` bytes that `write_verified` wrote to `path`, read-only.

    The map stays valid if the file is removed or replaced later.

    Raises:
        DamagedPackError: The file has another size, or its content does not match its checksum.
        FileNotFoundError: There is no such file.
    """
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size != size + _DIGEST_SIZE:
            raise DamagedPackError(f"{path} is damaged (wrong size)")
        # A plain array, because slicing np.memmap is several times slower.
        content = np.asarray(np.memmap(file, np.uint8, mode="r", shape=(size + _DIGEST_SIZE,)))
    digest = _digest(path)
    digest.update(content[:size].data)
    if digest.digest() != content[size:].tobytes():
        raise DamagedPackError(f"{path} is damaged (its content does not match its checksum)")
    return content[:size]


def map_or_make(path: Path, size: int, make: Callable[[], None]) -> Bytes:
    """Map `path` as `map_verified` does; call `make` to write the file if it is missing or damaged."""
    for _ in range(_ATTEMPTS):
        try:
            return map_verified(path, size)
        except FileNotFoundError:
            pass  # not written yet, or removed by another process
        except DamagedPackError as error:
            note(f"{error}: it is generated again from the images")
        make()
    return map_verified(path, size)


def _digest(path: Path) -> "hashlib._Hash":
    """Return a SHA-256 that starts with the names of the pack and the file, so that no other file can replace it."""
    return hashlib.sha256(f"{path.parent.name}/{path.name}\n".encode())
