"""Memory policy of a training: keep freed memory, fail instead of being killed, return it at the end."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from nitido.base.errors import NitidoError
from nitido.base.out_of_memory import is_out_of_memory_error
from nitido.training.memory.allocator import give_freed_memory_back, keep_freed_memory
from nitido.training.memory.available import available_memory, writable_memory
from nitido.training.precision import training_device

if sys.platform != "win32":
    import resource

SPARED = 1 << 26
"""Bytes kept free for memory that this process has reserved but not touched, and for other processes."""


class OutOfMemoryError(NitidoError):
    """Training stopped because of too little memory."""


@contextmanager
def training_memory() -> Iterator[None]:
    """Keep freed memory for the next step until the context ends, and limit memory as `refused_memory` does."""
    keep_freed_memory()
    try:
        with refused_memory():
            yield
    finally:
        give_freed_memory_back()


@contextmanager
def refused_memory() -> Iterator[None]:
    """Raise `OutOfMemoryError` when memory runs out, instead of being killed by the system."""
    try:
        with _refused_what_is_not_there():
            yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory_error(error):
            raise
        raise OutOfMemoryError(
            "not enough memory for this training: use a smaller batch, patch or validation_crop"
        ) from None


@contextmanager
def _refused_what_is_not_there() -> Iterator[None]:
    """Limit this process to the available memory: Linux overcommits, and kills later (`man setrlimit`, RLIMIT_DATA).

    Only memory allocated from now on counts, and a lower limit set by the user is kept. With a graphics card no limit
    is set, because its driver maps more memory than it uses.
    """
    available = available_memory(training_device())
    if available is None:
        yield
        return
    before, highest = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = writable_memory() + max(0, available - SPARED)
    lower = wanted if before == resource.RLIM_INFINITY else min(wanted, before)
    resource.setrlimit(resource.RLIMIT_DATA, (lower, highest))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (before, highest))
