"""How it shows that there was not enough memory, whoever asked for it."""

import re
from collections.abc import Callable
from typing import TypeVar

import torch

T = TypeVar("T")

_REFUSED = re.compile("DefaultCPUAllocator|could not create a (memory|primitive)(?! descriptor)")
"""The words of PyTorch and of oneDNN when the CPU's memory is at its end."""


def is_out_of_memory_error(error: BaseException) -> bool:
    """Whether `error` says that there was not enough memory.

    >>> is_out_of_memory_error(MemoryError()), is_out_of_memory_error(RuntimeError("shapes cannot be multiplied"))
    (True, False)
    """
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and _REFUSED.search(str(error)) is not None


def unless_out_of_memory(calculate: Callable[[], T]) -> T | None:
    """What `calculate` comes to; None where there was not enough memory, of which nothing is held any more then."""
    try:
        return calculate()
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory_error(error):
            raise
    return None
