"""The memory of a training: kept from step to step, refused where there is none, and given back at the end."""

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
"""Bytes that are left for what this process holds already and has not touched yet, and for others."""


class OutOfMemoryError(NitidoError):
    """Training stopped because the machine has not enough memory for it."""


@contextmanager
def training_memory() -> Iterator[None]:
    """Keep what a step frees for the next one, to the end; and as in `refused_memory`."""
    keep_freed_memory()
    try:
        with refused_memory():
            yield
    finally:
        give_freed_memory_back()


@contextmanager
def refused_memory() -> Iterator[None]:
    """Be refused memory that is not there, rather than killed for using it; raises `OutOfMemoryError` where it is."""
    try:
        with _refused_what_is_not_there():
            yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory_error(error):
            raise
        raise OutOfMemoryError(
            "there is not enough memory for this training: take a smaller batch, patch or validation_crop"
        ) from None


@contextmanager
def _refused_what_is_not_there() -> Iterator[None]:
    """Linux hands out more memory than it has and later kills who uses it: ask it to refuse as much (`man setrlimit`).

    Only what the process takes from here on counts, and a lower limit of the user's own stays as it is. With a graphics
    card nothing is asked for, as its driver maps more memory than it uses.
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
