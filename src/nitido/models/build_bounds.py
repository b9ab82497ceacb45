"""Limits the size of networks built from descriptors to what a file of that size can contain."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)

MODULES_PER_TENSOR = 20
"""Maximum number of modules per tensor; activations, containers and shuffles have no tensors."""


SPARE_TENSORS, SPARE_ELEMENTS = 256, 10_000_000
"""How many more tensors and elements a network may have than its file.

A file with a few missing tensors thereby gets an error that names them.
"""


class OutOfBoundsError(Exception):
    """A network exceeded the limit while it was built."""


@contextmanager
def at_most(tensors: int, elements: int) -> Iterator[None]:
    """Raise `OutOfBoundsError` as soon as this thread has created clearly more parameters or elements than given.

    A parameter is counted before it is written to, so that a huge one does not take memory yet.
    """
    thread = threading.get_ident()
    tensors_left, elements_left = tensors + SPARE_TENSORS, elements + SPARE_ELEMENTS
    modules_left = MODULES_PER_TENSOR * tensors_left

    def count_parameter(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal tensors_left, elements_left
        if parameter is not None and threading.get_ident() == thread:
            tensors_left, elements_left = tensors_left - 1, elements_left - parameter.numel()
            if tensors_left < 0 or elements_left < 0:
                raise OutOfBoundsError

    def count_module(module: nn.Module, name: str, child: nn.Module | None) -> None:
        nonlocal modules_left
        if threading.get_ident() == thread:
            modules_left -= 1
            if modules_left < 0:
                raise OutOfBoundsError

    hooks = [
        register_module_parameter_registration_hook(count_parameter),
        register_module_module_registration_hook(count_module),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
