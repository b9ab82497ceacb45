"""Bounds for networks that files describe: what no file of that size can hold is not built."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)

MODULES_PER_TENSOR = 20
"""Modules of a network for each of its tensors, at the most; activations, containers and shuffles have none."""


SPARE_TENSORS, SPARE_ELEMENTS = 256, 10_000_000
"""What a network may have beyond its file: a file that lacks little gets an error that names what it lacks."""


class OutOfBoundsError(Exception):
    """A network became larger than allowed while it was built."""


@contextmanager
def at_most(tensors: int, elements: int) -> Iterator[None]:
    """Raise `OutOfBoundsError` inside once this thread has built clearly more parameters or values than that.

    A parameter is counted before anything is written to it, so a huge one takes no memory yet.
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
