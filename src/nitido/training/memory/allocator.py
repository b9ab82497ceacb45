"""Settings of glibc's allocator that keep freed memory for the next step, to avoid page faults."""

import ctypes
import platform

LARGEST = 2**30
"""Maximum size in bytes of a tensor whose memory is kept."""
KEPT = 2**31 - 1
"""Bytes of free memory at the end of the heap that are kept; the maximum that `mallopt` accepts."""

GLIBC_LARGEST, GLIBC_KEPT = 2**25, 2**26
"""glibc's own values after large tensors were allocated and freed (`man 3 mallopt`, DEFAULT_MMAP_THRESHOLD_MAX)."""

MINIMAL_LARGEST = MINIMAL_KEPT = 2**20
"""Minimal values for out-of-memory situations, because kept memory is fragmented and only available to the heap."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h


def keep_freed_memory() -> bool:
    """Make glibc's allocator keep freed memory; return False if the C library is not glibc.

    By default it returns the memory of large tensors to the system, and the next step has a page fault for each of its
    pages. With this setting, a process keeps its peak memory. See `man 3 mallopt`.
    """
    return _set_thresholds(LARGEST, KEPT)


def restore_allocator() -> bool:
    """Return kept memory to the system and restore glibc's defaults; return False if the C library is not glibc."""
    return _set_thresholds(GLIBC_LARGEST, GLIBC_KEPT) and _trim()


def keep_no_memory() -> bool:
    """Return kept memory, and all memory freed later, to the system; return False if the C library is not glibc."""
    return _set_thresholds(MINIMAL_LARGEST, MINIMAL_KEPT) and _trim()


def _trim() -> bool:
    ctypes.CDLL(None).malloc_trim(0)
    return True


def _set_thresholds(largest: int, kept: int) -> bool:
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_MMAP_THRESHOLD, largest)) and bool(mallopt(_TRIM_THRESHOLD, kept))
