"""Safetensors files read with care: bounded, complete, and, where nitido wrote them, with a checksum.

The layout (huggingface/safetensors): eight bytes that say how long the header is, the header in JSON, then the bytes of
all tensors one behind the other.
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
"""Where the checksum is stored in a file's metadata."""

LARGEST_WEIGHTS = 1 << 30
"""Bytes of tensors above which no file of weights is read: ten times the largest published networks of this kind."""

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
    """A model file is missing, foreign, damaged, or does not fit its own descriptor.

    Names from foreign files stand in messages: what would act on a terminal is escaped.
    """

    def __init__(self, message: str) -> None:
        """Take the message for the user."""
        super().__init__(printable(message))


@dataclass(frozen=True)
class TensorFile:
    """The content of a safetensors file whose header is consistent with its size.

    Attributes:
        path: the file, for errors.
        metadata: text by key, the checksum included.
        table: name -> dtype, shape and place of each tensor, as in the header.
        content: the whole file.
    """

    path: Path
    metadata: Mapping[str, str]
    table: Mapping[str, Mapping[str, Any]]
    content: bytes

    @property
    def elements(self) -> int:
        """The number of values in all tensors."""
        return sum(math.prod(entry["shape"]) for entry in self.table.values())

    def tensors(self) -> dict[str, Tensor]:
        """All tensors by name, copied; raises `ModelFileError`."""
        try:
            return load(self.content)
        except (SafetensorError, KeyError, ValueError) as error:  # KeyError: a type that torch does not have
            raise _damaged(self.path, str(error)) from None


def read_weights(path: Path) -> bytes:
    """Return the content of the file of weights at `path`.

    Raises `ModelFileError` when it is missing, a folder, too large or cannot be read.
    """
    if not path.is_file():
        raise ModelFileError(f"{path}: a folder, not a model file" if path.is_dir() else f"{path}: no such model file")
    check_size(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"{path}: could not be read ({error.strerror or error})") from None


def check_size(path: Path) -> None:
    """Raise `ModelFileError` for a file with more bytes than weights may have."""
    size = path.stat().st_size
    if size > LARGEST_WEIGHTS:
        raise ModelFileError(f"{path}: {size:,} bytes are more than weights may have ({LARGEST_WEIGHTS:,})")


def read_tensor_file(path: Path) -> TensorFile:
    """Read the safetensors file at `path` and verify its checksum if it has one.

    Raises `ModelFileError` when it is missing, too large, damaged, not a safetensors file, or changed since nitido
    wrote it.
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
            f"{path} is damaged or was changed (its content does not match its checksum): "
            "get it again from where it came from, or train it again"
        )
    return TensorFile(path, metadata, table, content)


def with_checksum(content: bytes) -> bytes:
    """The safetensors file `content` with a checksum of everything else in its metadata; its tensors stay as they are.

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
    """SHA-256 of the tensors' table, the metadata without the checksum, and the tensors' bytes."""
    rest = {key: value for key, value in metadata.items() if key != CHECKSUM_KEY}
    digest = hashlib.sha256(json.dumps([table, rest], sort_keys=True, separators=(",", ":")).encode())
    digest.update(data)
    return "sha256:" + digest.hexdigest()


def _split(path: Path, content: bytes) -> tuple[dict[str, Any], memoryview]:
    """The header's values and the bytes behind it."""
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
    """Raise `ModelFileError` unless the tensors fill the `size` bytes of data without gaps and overlaps."""
    places = []
    for name, entry in table.items():
        match entry:
            case {"dtype": str(kind), "shape": list(shape), "data_offsets": [int(begin), int(end)]}:
                pass
            case _:
                raise _damaged(path, f"the header's entry for {name!r} has another form than safetensors'")
        if kind not in _BYTES or len(entry) != 3 or not all(type(side) is int and side >= 0 for side in shape):
            raise _damaged(path, f"the header's entry for {name!r} has an unknown type or shape")
        if end - begin != _BYTES[kind] * math.prod(shape):
            raise _damaged(path, f"{name!r} has {end - begin} bytes, which its type and shape do not fit")
        places.append((begin, end))
    reached = 0
    for begin, end in sorted(places):
        if begin != reached:
            raise _damaged(path, "its tensors overlap or leave gaps")
        reached = end
    if reached != size:
        raise _damaged(path, f"its tensors have {reached:,} bytes, the file has {size:,} for them")


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The dict of a JSON object's pairs; raises `ValueError` when a key stands there twice.

    >>> unique_keys([("a", 1), ("a", 2)])
    Traceback (most recent call last):
        ...
    ValueError: 'a' stands there twice
    """
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{key!r} stands there twice")
        found[key] = value
    return found


def _damaged(path: Path, reason: str) -> ModelFileError:
    first = next(iter(reason.splitlines()), "")
    return ModelFileError(f"{path}: not a readable safetensors file, damaged or cut short ({first})")
