"""Other people's .safetensors as tensors."""

from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from nitido.inference.importers.arrays import first_line
from nitido.inference.importers.state_dict import tidy
from nitido.inference.model_file import METADATA_KEY, ModelFileError

_LENGTH_BYTES = 8


def is_safetensors(head: bytes) -> bool:
    """Whether a file that begins with `head` has the length of a JSON header first, and then the header.

    >>> is_safetensors(b"\\x02\\0\\0\\0\\0\\0\\0\\0{}"), is_safetensors(b"{}")
    (True, False)
    """
    return head[_LENGTH_BYTES : _LENGTH_BYTES + 1] == b"{"


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Every tensor by its name; raises `ModelFileError` for damage, and for a model of nitido itself."""
    try:
        with safe_open(path, framework="pt") as file:
            own = METADATA_KEY in (file.metadata() or {})
            tensors = {} if own else {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelFileError(
            f"{path}: not a readable safetensors file, damaged or cut short ({first_line(error)})"
        ) from None
    if own:
        raise ModelFileError(f"{path}: is a model of nitido already; it needs no import")
    return tidy(path, tensors)
