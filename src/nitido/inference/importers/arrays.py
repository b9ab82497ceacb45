"""NumPy arrays of foreign files as tensors."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nitido.inference.model_file import ModelFileError


def to_tensor(path: Path, name: str, array: np.ndarray) -> Tensor:
    """The same numbers in this machine's byte order; `ModelFileError` names `path` where they are no numbers."""
    try:
        return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=False))
    except TypeError:
        raise ModelFileError(f"{path}: {name!r} holds {array.dtype}, not numbers that can be weights") from None


def first_line(error: BaseException) -> str:
    """What `error` says, in one line; its type where it says nothing.

    >>> first_line(ValueError("too short\\nat byte 7")), first_line(EOFError())
    ('too short', 'EOFError')
    """
    return next(iter(str(error).splitlines()), type(error).__name__)
