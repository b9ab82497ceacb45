"""Memory of one step kept for the next, so that the system need not hand out and clear the same pages every time."""

import ctypes
import platform

LARGEST = 2**30
"""Bytes of a single tensor up to which its memory is kept."""
KEPT = 2**31 - 1
"""Bytes of free memory at the end of the heap that are kept; the most that `mallopt` can be told."""

LARGEST_BY_ITSELF, KEPT_BY_ITSELF = 2**25, 2**26
"""What glibc arrives at where large tensors come and go (`man 3 mallopt`, DEFAULT_MMAP_THRESHOLD_MAX)."""

LARGEST_IF_SHORT = KEPT_IF_SHORT = 2**20
"""Hardly anything: what is kept has gaps, and is of no use to those who ask the system itself."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h


def keep_freed_memory() -> bool:
    """Tell glibc's allocator to keep what is freed; False where there is no glibc.

    By itself it gives memory of large tensors back, and a step that needs it again faults once for each of its pages.
    A process then keeps as much as its largest moment needed. See `man 3 mallopt`.
    """
    return _tell(LARGEST, KEPT)


def give_freed_memory_back() -> bool:
    """Give back what was kept, and keep no more than glibc does by itself; False where there is no glibc."""
    return _tell(LARGEST_BY_ITSELF, KEPT_BY_ITSELF) and _trim()


def keep_no_memory() -> bool:
    """Give back what was kept, and whatever is freed from here on; False where there is no glibc."""
    return _tell(LARGEST_IF_SHORT, KEPT_IF_SHORT) and _trim()


def _trim() -> bool:
    ctypes.CDLL(None).malloc_trim(0)
    return True


def _tell(largest: int, kept: int) -> bool:
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_MMAP_THRESHOLD, largest)) and bool(mallopt(_TRIM_THRESHOLD, kept))
