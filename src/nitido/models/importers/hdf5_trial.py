"""Reads an HDF5 file once in a separate process with limited time and memory.

A damaged file can make the HDF5 library run forever or crash. This file is also the program of that process. It imports
nothing of nitido, so that it starts quickly.
"""

import io
import subprocess
import sys
from contextlib import suppress
from typing import Any

SECONDS = 30
"""Time limit for reading everything in the file."""

MEMORY = 3 << 30
"""Bytes of address space."""

_LARGEST = 1 << 30


def ends_well(content: bytes) -> bool:
    """Return whether the HDF5 library can traverse the file `content` within the time limit without crashing."""
    command = [sys.executable, "-P", __file__]
    try:
        done = subprocess.run(command, input=content, capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY if hard == resource.RLIM_INFINITY else min(MEMORY, hard), hard))


def _walk(content: bytes) -> None:
    import h5py

    def read(_: str, item: Any) -> None:
        with suppress(Exception):  # an exception is no crash; the actual reader reports it
            dict(item.attrs)
            inside = isinstance(item, h5py.Dataset) and item.external is None and not item.is_virtual
            if inside and item.nbytes < min(_LARGEST, 1100 * (item.id.get_storage_size() + 1)):
                item[()]

    with h5py.File(io.BytesIO(content), "r") as file:
        read("/", file)
        file.visititems(read)


if __name__ == "__main__":
    _limit_memory()
    with suppress(Exception):  # as in `read`
        _walk(sys.stdin.buffer.read())
