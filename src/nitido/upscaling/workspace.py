"""Where the arrays of a picture lie: small ones in memory, large ones in a folder, as files without a name."""

import mmap
import os
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nitido.imaging.files import Pixels

LARGEST_IN_MEMORY = 1 << 25
"""Bytes above which an array lies in a file."""


class Workspace:
    """Makes the arrays that a picture needs on its way; without a `folder` all of them lie in memory.

    A large array is a memory-mapped file in `folder`, made when it is first needed. The file has no name (where the
    system needs one, it is deleted with the array), so nothing is left behind however the process ends.
    """

    def __init__(self, folder: Path | None = None, largest_in_memory: int = LARGEST_IN_MEMORY) -> None:
        self.folder = folder
        self.largest_in_memory = largest_in_memory
        self._mappings: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()

    def empty(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """A writable array like `numpy.empty(shape, dtype)`; raises OSError when the disk has no room for it."""
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        if self.folder is None or size <= self.largest_in_memory:
            return np.empty(shape, dtype)
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with tempfile.TemporaryFile(dir=self.folder, prefix=".nitido-", suffix=".part") as file:
                _reserve(file.fileno(), size)
                mapping = mmap.mmap(file.fileno(), size)
        except OSError as error:
            error.filename = str(self.folder)
            raise
        self._mappings.add(mapping)
        return np.frombuffer(mapping, dtype).reshape(shape)

    def like(self, pixels: Pixels, *, height: int | None = None, width: int | None = None) -> Pixels:
        """An array of the type and the channels of `(H, W, C)` `pixels`, of another size where one is given."""
        shape = (height or pixels.shape[0], width or pixels.shape[1], *pixels.shape[2:])
        return self.empty(shape, pixels.dtype)

    def release(self) -> None:
        """Let go of the memory that files are read and written through, which would grow to their size."""
        if hasattr(mmap, "MADV_DONTNEED"):
            for mapping in list(self._mappings):
                mapping.madvise(mmap.MADV_DONTNEED)  # of a shared mapping nothing is lost: the system has the pages


def bands(shape: tuple[int, ...], numbers: int, workspace: Workspace) -> Iterator[slice]:
    """Cut the rows of an array of `shape` into bands of about `numbers` numbers; after each, memory is let go of.

    >>> list(bands((5, 2, 3), 12, Workspace()))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    high = max(1, numbers // int(np.prod(shape[1:], dtype=np.int64)))
    for top in range(0, shape[0], high):
        yield slice(top, min(top + high, shape[0]))
        workspace.release()


def _reserve(descriptor: int, size: int) -> None:
    """Give the file its size and the room for it: a full disk is an error here, and a crash while writing to memory."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.truncate(descriptor, size)
