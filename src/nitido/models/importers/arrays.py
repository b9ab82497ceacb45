"""NumPy arrays and torch tensors of foreign files as ordinary float32 tensors, within bounds."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nitido.models.model_file import ModelFileError
from nitido.models.tensor_file import LARGEST_WEIGHTS

MOST_ARRAYS = 100_000
"""Arrays of a file above which it is not read."""


@dataclass
class Budget:
    """How many bytes of arrays may still be read of the file `path`."""

    path: Path
    left: int = LARGEST_WEIGHTS
    arrays_left: int = MOST_ARRAYS

    def take(self, name: str, size: int) -> None:
        """Take `size` bytes for the array `name` before it is read; raises `ModelFileError` when that is too much."""
        self.left -= size
        self.arrays_left -= 1
        if self.left < 0 or self.arrays_left < 0:
            raise ModelFileError(
                f"{self.path}: with {name!r} its arrays are larger than weights may be "
                f"({LARGEST_WEIGHTS:,} bytes, {MOST_ARRAYS:,} arrays): refused"
            )


def to_tensor(path: Path, name: str, array: np.ndarray) -> Tensor:
    """The same numbers in this machine's byte order; `ModelFileError` names `path` where they are no numbers."""
    try:
        return as_float32(torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=False)))
    except TypeError:
        raise ModelFileError(f"{path}: {name!r} holds {array.dtype}, not numbers that can be weights") from None


def as_float32(tensor: Tensor) -> Tensor:
    """`tensor` in float32 if it has another floating type; counters and the like stay what they are."""
    return tensor.float() if tensor.is_floating_point() else tensor


def first_line(error: BaseException) -> str:
    """What `error` says, in one line; its type where it says nothing.

    >>> first_line(ValueError("too short\\nat byte 7")), first_line(EOFError())
    ('too short', 'EOFError')
    """
    return next(iter(str(error).splitlines()), type(error).__name__)
