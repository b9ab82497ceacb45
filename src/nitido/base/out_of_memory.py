"""Recognizes out-of-memory errors of Python, PyTorch, oneDNN and graphics cards."""

import re
from collections.abc import Callable
from typing import TypeVar

import torch

T = TypeVar("T")

_REFUSED = re.compile(
    "DefaultCPUAllocator|could not create a (memory|primitive)(?! descriptor)"
    "|(CUDNN|CUBLAS)_STATUS_ALLOC_FAILED|MPS backend out of memory"
)
"""Messages of PyTorch and oneDNN when the processor runs out of memory, and of libraries of graphics cards."""


def is_out_of_memory_error(error: BaseException) -> bool:
    """Return whether `error` means out of memory.

    >>> is_out_of_memory_error(MemoryError()), is_out_of_memory_error(RuntimeError("shapes cannot be multiplied"))
    (True, False)
    """
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and _REFUSED.search(str(error)) is not None


def unless_out_of_memory(calculate: Callable[[], T]) -> T | None:
    """Return the result of `calculate`, or None if it ran out of memory; its memory is then released."""
    try:
        return calculate()
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory_error(error):
            raise
    return None
