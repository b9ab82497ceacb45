"""ONNX files as bytes, without the ONNX package: metadata, checksum and permitted content.

A file is a Protocol Buffers message (onnx/onnx.proto). The numbers below are those of its fields.
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from nitido.models.model_file import ModelFileError
from nitido.models.tensor_file import CHECKSUM_KEY, read_weights

_GRAPH, _METADATA, _TRAINING, _FUNCTIONS = 7, 14, 20, 25
_KEY, _VALUE = 1, 2
_NODE, _INITIALIZER, _SPARSE_INITIALIZER = 1, 5, 15
_ATTRIBUTE, _OPERATOR, _DOMAIN = 5, 4, 7
_TENSOR, _SUBGRAPH, _TENSORS, _SUBGRAPHS, _SPARSE_TENSOR = 5, 6, 10, 11, 22
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14

_PREFIX = b"sha256:"
_HEX_DIGITS = 64
_TAIL_BYTES = 2 + 2 + len(CHECKSUM_KEY) + 2 + len(_PREFIX) + _HEX_DIGITS
_MOST_NODES = 100_000
_DOMAINS = (b"", b"ai.onnx")

Bytes = bytes | memoryview


def with_checksum(content: bytes) -> bytes:
    """Return the ONNX model `content` with its SHA-256 appended as a metadata entry."""
    return content + _entry(CHECKSUM_KEY.encode(), _PREFIX + hashlib.sha256(content).hexdigest().encode())


def read_onnx_file(path: Path) -> tuple[bytes, dict[str, str]]:
    """Return the content and the metadata of the ONNX file at `path`, checked before ONNX Runtime reads it.

    Raises:
        ModelFileError: It is missing, too large, damaged or modified since nitido wrote it, or its graph contains
            something that an exported network never has: control flow, functions, operators of other domains, or
            external weights.
    """
    content = read_weights(path)
    try:
        metadata = _metadata(content)
        unusual = next(_unusual(content), None)
    except (ValueError, IndexError) as error:  # text that is not UTF-8 is a ValueError
        raise ModelFileError(f"{path}: not a readable ONNX file, damaged or truncated ({error})") from None
    if not _is_intact(content, metadata):
        raise ModelFileError(
            f"{path} is damaged or modified (its content does not match its checksum): export the model again"
        )
    if unusual is not None:
        raise ModelFileError(f"{path}: its graph has {unusual}, which nitido never exports: refused")
    return content, metadata


def _is_intact(content: bytes, metadata: Mapping[str, str]) -> bool:
    """Return whether the checksum at the end of the file is correct; files of earlier versions have none.

    A flipped bit in the key or tag of the checksum must not make it a file without checksum. A file has a checksum if
    any part of the last entry is as expected.
    """
    found, expected = content[-_TAIL_BYTES:], with_checksum(content[:-_TAIL_BYTES])[-_TAIL_BYTES:]
    parts = slice(None, -_HEX_DIGITS), slice(-_HEX_DIGITS, None)
    has_checksum = CHECKSUM_KEY in metadata or any(found[part] == expected[part] for part in parts)
    return found == expected or not has_checksum


def _metadata(content: bytes) -> dict[str, str]:
    found = {}
    for number, value in _fields(content):
        if number == _METADATA:
            entry: Mapping[int, Bytes | int] = dict(_fields(_message(value)))
            found[str(_message(entry.get(_KEY, b"")), "utf-8")] = str(_message(entry.get(_VALUE, b"")), "utf-8")
    return found


def _unusual(content: bytes) -> Iterator[str]:
    """Yield in words what the model contains that exported networks never do."""
    nodes = 0
    for number, value in _fields(content):
        if number in (_TRAINING, _FUNCTIONS):
            yield "functions"
        elif number == _GRAPH:
            for part, inner in _fields(_message(value)):
                if part == _NODE:
                    nodes += 1
                    if nodes > _MOST_NODES:
                        yield f"more than {_MOST_NODES:,} operators"
                    yield from _unusual_node(_message(inner))
                elif part == _INITIALIZER:
                    yield from _unusual_tensor(_message(inner))
                elif part == _SPARSE_INITIALIZER:
                    yield "sparse weights"


def _unusual_node(node: Bytes) -> Iterator[str]:
    for number, value in _fields(node):
        if number == _DOMAIN and bytes(_message(value)) not in _DOMAINS:
            yield "operators that are not ONNX's own"
        elif number == _ATTRIBUTE:
            for part, inner in _fields(_message(value)):
                if part in (_SUBGRAPH, _SUBGRAPHS):
                    yield "control flow"
                elif part == _SPARSE_TENSOR:
                    yield "sparse weights"
                elif part in (_TENSOR, _TENSORS):
                    yield from _unusual_tensor(_message(inner))
        elif number == _OPERATOR and bytes(_message(value)) in (b"Loop", b"If", b"Scan", b"SequenceMap"):
            yield "control flow"


def _unusual_tensor(tensor: Bytes) -> Iterator[str]:
    for number, value in _fields(tensor):
        if number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0):
            yield "weights in another file"


def _entry(key: bytes, value: bytes) -> bytes:
    inner = _field(_KEY, key) + _field(_VALUE, value)
    return _field(_METADATA, inner)


def _field(number: int, content: bytes) -> bytes:
    assert number < 16  # one byte for the number
    assert len(content) < 128  # and one for the length
    return bytes([number << 3 | 2, len(content)]) + content


def _fields(message: Bytes) -> Iterator[tuple[int, memoryview | int]]:
    """Yield the numbers and values of a message's fields; raise `ValueError` or `IndexError` if it is invalid."""
    view, place = memoryview(message), 0
    while place < len(view):
        key, place = _varint(view, place)
        kind = key & 7
        if kind == 0:
            value, place = _varint(view, place)
            yield key >> 3, value
            continue
        if kind == 2:
            length, place = _varint(view, place)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"invalid Protocol Buffers message at byte {place}")
        if length > len(view) - place:
            raise ValueError(f"it ends within the field at byte {place}")
        yield key >> 3, view[place : place + length]
        place += length


def _varint(view: memoryview, place: int) -> tuple[int, int]:
    """Return the number that starts at `place`, of at most ten bytes, and its end."""
    value = 0
    for shift in range(0, 70, 7):
        byte = view[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError(f"invalid number at byte {place}")


def _message(value: Bytes | int) -> Bytes:
    if isinstance(value, int):
        raise ValueError("a number, but a message is required")
    return value
