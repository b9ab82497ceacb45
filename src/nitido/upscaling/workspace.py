"""Allocates the arrays of an image: small ones in memory, large ones as unnamed memory-mapped files."""

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
"""Maximum bytes of an array in memory; larger ones are files."""


class Workspace:
    """Allocates the intermediate arrays of an image. Without a `folder` all of them are in memory.

    A large array is a memory-mapped file in `folder`, which is created when first needed. The file has no name (or, if
    the system requires one, is deleted with the array), so nothing remains however the process ends.
    """

    def __init__(self, folder: Path | None = None, largest_in_memory: int = LARGEST_IN_MEMORY) -> None:
        self.folder = folder
        self.largest_in_memory = largest_in_memory
        self._mappings: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()

    def empty(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Return a writable array like `numpy.empty(shape, dtype)`; raise OSError if the disk is full."""
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
        """Return an array with the type and channels of `(H, W, C)` `pixels`, optionally of another size."""
        shape = (height or pixels.shape[0], width or pixels.shape[1], *pixels.shape[2:])
        return self.empty(shape, pixels.dtype)

    def release(self) -> None:
        """Release the memory of mapped files, which would otherwise grow to their size."""
        if hasattr(mmap, "MADV_DONTNEED"):
            for mapping in list(self._mappings):
                mapping.madvise(mmap.MADV_DONTNEED)  # keeps the data of a shared mapping in the page cache


def bands(shape: tuple[int, ...], numbers: int, workspace: Workspace) -> Iterator[slice]:
    """Yield bands of rows of an array of `shape` with about `numbers` elements; release memory after each.

    >>> list(bands((5, 2, 3), 12, Workspace()))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    high = max(1, numbers // int(np.prod(shape[1:], dtype=np.int64)))
    for top in range(0, shape[0], high):
        yield slice(top, min(top + high, shape[0]))
        workspace.release()


def _reserve(descriptor: int, size: int) -> None:
    """Allocate disk space for the file, so that a full disk is an error here instead of a crash on memory access."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.truncate(descriptor, size)
