"""Memory of one step kept for the next, so that the system need not hand out and clear the same pages every time."""

import ctypes
import platform

LARGEST = 2**30
"""Bytes of a single tensor up to which its memory is kept."""
KEPT = 2**31 - 1
"""Bytes of free memory at the end of the heap that are kept; the most that `mallopt` can be told."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h


def keep_freed_memory() -> bool:
    """Tell glibc's allocator to keep what is freed, for the rest of the process; False where there is no glibc.

    By itself it gives memory of large tensors back, and a step that needs it again faults once for each of its pages.
    A process then keeps as much as its largest moment needed. See `man 3 mallopt`.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_MMAP_THRESHOLD, LARGEST)) and bool(mallopt(_TRIM_THRESHOLD, KEPT))
