"""Other people's .safetensors as tensors."""

from pathlib import Path

from torch import Tensor

from nitido.models.importers.state_dict import ordinary_weights
from nitido.models.model_file import METADATA_KEY, ModelFileError
from nitido.models.tensor_file import read_tensor_file

_LENGTH_BYTES = 8


def is_safetensors(head: bytes) -> bool:
    """Whether a file that begins with `head` has the length of a JSON header first, and then the header.

    >>> is_safetensors(b"\\x02\\0\\0\\0\\0\\0\\0\\0{}"), is_safetensors(b"{}")
    (True, False)
    """
    return head[_LENGTH_BYTES : _LENGTH_BYTES + 1] == b"{"


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Every tensor by its name; raises `ModelFileError` for damage, and for a model of nitido itself."""
    file = read_tensor_file(path)
    if METADATA_KEY in file.metadata:
        raise ModelFileError(f"{path}: is a model of nitido already; it needs no import")
    return ordinary_weights(path, file.tensors())
