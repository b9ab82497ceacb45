"""Converts arrays and tensors of third-party files to ordinary float32 tensors, with size limits."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nitido.models.model_file import ModelFileError
from nitido.models.tensor_file import LARGEST_WEIGHTS

MOST_ARRAYS = 100_000
"""Maximum number of arrays in a file."""


@dataclass
class Budget:
    """How many bytes and arrays may still be read from the file `path`."""

    path: Path
    left: int = LARGEST_WEIGHTS
    arrays_left: int = MOST_ARRAYS

    def take(self, name: str, size: int) -> None:
        """Count `size` bytes for the array `name` before it is read; raise `ModelFileError` if there are too many."""
        self.left -= size
        self.arrays_left -= 1
        if self.left < 0 or self.arrays_left < 0:
            raise ModelFileError(
                f"{self.path}: with {name!r} its arrays exceed the limit for weights "
                f"({LARGEST_WEIGHTS:,} bytes, {MOST_ARRAYS:,} arrays): refused"
            )


def to_tensor(path: Path, name: str, array: np.ndarray) -> Tensor:
    """Return the array as a tensor in native byte order; raise `ModelFileError` if it is not numeric."""
    try:
        return as_float32(torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=False)))
    except TypeError:
        raise ModelFileError(f"{path}: {name!r} contains {array.dtype} instead of numeric weights") from None


def as_float32(tensor: Tensor) -> Tensor:
    """Return floating point tensors in float32 and others, such as counters, unchanged."""
    return tensor.float() if tensor.is_floating_point() else tensor


def first_line(error: BaseException) -> str:
    r"""Return the first line of the message of `error`, or its type if there is none.

    >>> first_line(ValueError("too short\nat byte 7")), first_line(EOFError())
    ('too short', 'EOFError')
    """
    return next(iter(str(error).splitlines()), type(error).__name__)
