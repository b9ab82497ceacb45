"""Reads safetensors files safely: with size limits, completeness checks and, if nitido wrote them, a checksum.

The format (huggingface/safetensors): eight bytes for the length of the header, the header in JSON, then the bytes of
all tensors.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from nitido.base.errors import NitidoError
from nitido.base.printable import printable

CHECKSUM_KEY = "nitido_checksum"
"""Key of the checksum in a file's metadata."""

LARGEST_WEIGHTS = 1 << 30
"""Maximum bytes of tensors in a file, ten times the largest published networks of this kind."""

_LENGTH_BYTES = 8
_LARGEST_HEADER = 1 << 24
_METADATA = "__metadata__"
_BYTES = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3"), 1),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 2),
    **dict.fromkeys(("I32", "U32", "F32"), 4),
    **dict.fromkeys(("I64", "U64", "F64"), 8),
}


class ModelFileError(NitidoError):
    """A model file is missing, of another kind, damaged, or does not match its own descriptor.

    Messages may contain names from the file, so control characters are escaped.
    """

    def __init__(self, message: str) -> None:
        """Store the escaped message."""
        super().__init__(printable(message))


@dataclass(frozen=True)
class TensorFile:
    """The content of a safetensors file whose header is consistent with its size.

    Attributes:
        path: The file, for errors.
        metadata: Text by key, including the checksum.
        table: Name -> dtype, shape and offsets of each tensor, as in the header.
        content: The whole file.
    """

    path: Path
    metadata: Mapping[str, str]
    table: Mapping[str, Mapping[str, Any]]
    content: bytes

    @property
    def elements(self) -> int:
        """Number of elements of all tensors."""
        return sum(math.prod(entry["shape"]) for entry in self.table.values())

    def tensors(self) -> dict[str, Tensor]:
        """Return copies of all tensors by name; raise `ModelFileError` on failure."""
        try:
            return load(self.content)
        except (SafetensorError, KeyError, ValueError) as error:  # KeyError: a type that torch does not have
            raise _damaged(self.path, str(error)) from None


def read_weights(path: Path) -> bytes:
    """Return the content of the weights file at `path`.

    Raises:
        ModelFileError: It is missing, a folder, too large, or cannot be read.
    """
    if not path.is_file():
        raise ModelFileError(f"{path}: a folder, not a model file" if path.is_dir() else f"{path}: no such model file")
    check_size(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"{path}: could not be read ({error.strerror or error})") from None


def check_size(path: Path) -> None:
    """Raise `ModelFileError` if a file is larger than the limit."""
    size = path.stat().st_size
    if size > LARGEST_WEIGHTS:
        raise ModelFileError(f"{path}: {size:,} bytes exceed the limit for weights ({LARGEST_WEIGHTS:,})")


def read_tensor_file(path: Path) -> TensorFile:
    """Read the safetensors file at `path` and verify its checksum, if it has one.

    Raises:
        ModelFileError: It is missing, too large, damaged, not a safetensors file, or modified since nitido wrote it.
    """
    content = read_weights(path)
    table, data = _split(path, content)
    metadata = table.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _damaged(path, "its metadata are not text by key")
    _check_table(path, table, len(data))
    found = metadata.get(CHECKSUM_KEY)
    if found is not None and found != _checksum(table, metadata, data):
        raise ModelFileError(
            f"{path} is damaged or modified (its content does not match its checksum): "
            "obtain it again from its source, or train it again"
        )
    return TensorFile(path, metadata, table, content)


def with_checksum(content: bytes) -> bytes:
    """Return the safetensors file `content` with a checksum in its metadata; the tensors do not change.

    >>> from safetensors.torch import save
    >>> import torch
    >>> load(with_checksum(save({"a": torch.ones(2)})))
    {'a': tensor([1., 1.])}
    """
    table, data = _split(Path("content"), content)
    metadata = {key: value for key, value in table.pop(_METADATA, {}).items() if key != CHECKSUM_KEY}
    metadata[CHECKSUM_KEY] = _checksum(table, metadata, data)
    header = json.dumps({_METADATA: metadata, **table}, ensure_ascii=False, separators=(",", ":")).encode()
    header += b" " * (-len(header) % _LENGTH_BYTES)
    return len(header).to_bytes(_LENGTH_BYTES, "little") + header + bytes(data)


def _checksum(table: Mapping[str, Any], metadata: Mapping[str, str], data: memoryview) -> str:
    """Return the SHA-256 of the tensors' table, the metadata without the checksum, and the tensors' bytes."""
    rest = {key: value for key, value in metadata.items() if key != CHECKSUM_KEY}
    digest = hashlib.sha256(json.dumps([table, rest], sort_keys=True, separators=(",", ":")).encode())
    digest.update(data)
    return "sha256:" + digest.hexdigest()


def _split(path: Path, content: bytes) -> tuple[dict[str, Any], memoryview]:
    """Return the header's values and the bytes after it."""
    length = int.from_bytes(content[:_LENGTH_BYTES], "little")
    end = _LENGTH_BYTES + length
    if len(content) < _LENGTH_BYTES or end > len(content) or length > _LARGEST_HEADER:
        raise _damaged(path, "its header is longer than the file, or too long")
    try:
        values = json.loads(content[_LENGTH_BYTES:end], object_pairs_hook=unique_keys)
    except (ValueError, RecursionError) as error:  # text that is not UTF-8 is a ValueError
        raise _damaged(path, f"its header is not JSON: {error}") from None
    if not isinstance(values, dict):
        raise _damaged(path, "its header is not a JSON object")
    return values, memoryview(content)[end:]


def _check_table(path: Path, table: Mapping[str, Any], size: int) -> None:
    """Raise `ModelFileError` unless the tensors fill the `size` bytes of data without gaps or overlaps."""
    places = []
    for name, entry in table.items():
        match entry:
            case {"dtype": str(kind), "shape": list(shape), "data_offsets": [int(begin), int(end)]}:
                pass
            case _:
                raise _damaged(path, f"the header's entry for {name!r} is not in the format of safetensors")
        if kind not in _BYTES or len(entry) != 3 or not all(type(side) is int and side >= 0 for side in shape):
            raise _damaged(path, f"the header's entry for {name!r} has an unknown type or shape")
        if end - begin != _BYTES[kind] * math.prod(shape):
            raise _damaged(path, f"{name!r} has {end - begin} bytes, which do not match its type and shape")
        places.append((begin, end))
    reached = 0
    for begin, end in sorted(places):
        if begin != reached:
            raise _damaged(path, "its tensors overlap or leave gaps")
        reached = end
    if reached != size:
        raise _damaged(path, f"its tensors have {reached:,} bytes, the file has {size:,} for them")


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the dict of a JSON object's pairs; raise `ValueError` if a key occurs twice.

    >>> unique_keys([("a", 1), ("a", 2)])
    Traceback (most recent call last):
        ...
    ValueError: duplicate key 'a'
    """
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"duplicate key {key!r}")
        found[key] = value
    return found


def _damaged(path: Path, reason: str) -> ModelFileError:
    first = next(iter(reason.splitlines()), "")
    return ModelFileError(f"{path}: not a readable safetensors file, damaged or truncated ({first})")
