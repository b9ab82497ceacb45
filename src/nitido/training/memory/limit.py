"""The memory policy of a training: keep freed memory, raise an error instead of being killed, restore at the end."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from nitido.base.device import choose_device
from nitido.base.errors import NitidoError
from nitido.base.out_of_memory import is_out_of_memory_error
from nitido.training.memory.allocator import keep_freed_memory, restore_allocator
from nitido.training.memory.available import available_memory, writable_memory

if sys.platform != "win32":
    import resource

RESERVE = 1 << 26
"""Bytes kept free for memory that this process has reserved but not touched, and for other processes."""


class OutOfMemoryError(NitidoError):
    """Training stopped because it is out of memory."""


@contextmanager
def training_memory() -> Iterator[None]:
    """Keep freed memory for the next step until the context ends, and limit memory as `limited_memory` does."""
    keep_freed_memory()
    try:
        with limited_memory():
            yield
    finally:
        restore_allocator()


@contextmanager
def limited_memory() -> Iterator[None]:
    """Raise `OutOfMemoryError` when memory runs out, instead of being killed by the system."""
    try:
        with _data_limit():
            yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory_error(error):
            raise
        raise OutOfMemoryError(
            "out of memory for this training: use a smaller batch, patch or validation_crop"
        ) from None


@contextmanager
def _data_limit() -> Iterator[None]:
    """Limit this process to the available memory with RLIMIT_DATA, because Linux overcommits and later kills.

    See `man setrlimit`. The limit applies to future allocations; a lower limit set by the user is kept. There is no
    limit with a graphics card, whose driver maps more memory than it uses.
    """
    available = available_memory(choose_device())
    if available is None:
        yield
        return
    before, highest = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = writable_memory() + max(0, available - RESERVE)
    lower = wanted if before == resource.RLIM_INFINITY else min(wanted, before)
    resource.setrlimit(resource.RLIMIT_DATA, (lower, highest))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (before, highest))
