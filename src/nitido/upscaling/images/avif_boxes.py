"""Boxes of an AVIF file that libvips neither reads nor writes: the color space as code points (`nclx`)."""

import struct
from collections.abc import Iterator
from pathlib import Path

_PROFILE, _CODE_POINTS = b"prof", b"nclx"
_LARGEST_META = 1 << 24
_FULL_RANGE = 0x80
_AUXILIARY = {b"tmap": "its gain map", b"hdrgainmap": "its gain map", b"auxid:2": "its depth map"}

Box = tuple[bytes, int, int]
"""Type, start and stop of the content, without size and type."""


def avif_code_points(path: Path) -> tuple[int, int] | None:
    """Return color primaries and transfer function (ITU-T H.273) of an AVIF's image, or None."""
    meta = _meta_of(path)
    properties, associated = _properties(meta)
    for index, (kind, start, stop) in enumerate(properties, start=1):
        if kind == b"colr" and meta[start : start + 4] == _CODE_POINTS and stop - start >= 8 and index in associated:
            primaries, transfer = struct.unpack_from(">HH", meta, start + 4)
            return primaries, transfer
    return None


def avif_lost_parts(path: Path) -> list[str]:
    """Return in words what an AVIF contains besides its image that is not read."""
    meta = _meta_of(path)
    return list(dict.fromkeys(part for sign, part in _AUXILIARY.items() if sign in meta))


def with_code_points(avif: bytes, primaries: int, transfer: int, matrix: int) -> bytes:
    """Return `avif`, which has an ICC profile, with color code points instead (ISO/IEC 14496-12, 12.1.5).

    The pixels are not moved: a free box after the metadata takes up the space of the profile.
    """
    boxes = {kind: (start, stop) for kind, start, stop in _boxes(avif, 0, len(avif))}
    start, stop = boxes[b"meta"]
    path = [(start - 8, stop)]
    inside = start + 4  # after version and flags
    for wanted in (b"iprp", b"ipco", b"colr"):
        found = next(box for box in _boxes(avif, inside, stop) if box[0] == wanted)
        inside, stop = found[1:]
        path.append((inside - 8, stop))
    place, end = path.pop()
    color = b"colr" + _CODE_POINTS + struct.pack(">HHHB", primaries, transfer, matrix, _FULL_RANGE)
    color = struct.pack(">I", len(color) + 4) + color
    spare = end - place - len(color)
    content = bytearray(avif)
    for outer, outer_stop in path:
        content[outer : outer + 4] = struct.pack(">I", outer_stop - outer - spare)
    after_meta = path[0][1]
    free = struct.pack(">I4s", spare, b"free") + bytes(spare - 8)
    return bytes(content[:place]) + color + bytes(content[end:after_meta]) + free + bytes(content[after_meta:])


def _meta_of(path: Path) -> bytes:
    """Return the content of the file's metadata box; empty if there is none."""
    with path.open("rb") as file:
        while len(head := file.read(8)) == 8:
            size, kind = struct.unpack(">I4s", head)
            if kind == b"meta" and 8 < size <= _LARGEST_META:
                return file.read(size - 8)[4:]  # after version and flags
            if size < 8:
                return b""
            file.seek(size - 8, 1)
    return b""


def _boxes(content: bytes, start: int, stop: int) -> Iterator[Box]:
    while start + 8 <= stop:
        size, kind = struct.unpack_from(">I4s", content, start)
        if size < 8 or start + size > stop:
            return
        yield kind, start + 8, start + size
        start += size


def _properties(meta: bytes) -> tuple[list[Box], set[int]]:
    """Return the item properties, and the numbers, from 1, of those of the primary item (ISO/IEC 23008-12, 9.3)."""
    primary, properties, associated = 0, list[Box](), set[int]()
    for kind, start, stop in _boxes(meta, 0, len(meta)):
        if kind == b"pitm":
            primary = int.from_bytes(meta[start + 4 : stop], "big")
        elif kind == b"iprp":
            for inner, inner_start, inner_stop in _boxes(meta, start, stop):
                if inner == b"ipco":
                    properties = list(_boxes(meta, inner_start, inner_stop))
                elif inner == b"ipma":
                    associated |= _associated(meta[inner_start:inner_stop], primary)
    return properties, associated


def _associated(box: bytes, item: int) -> set[int]:
    found: set[int] = set()
    version, wide = box[0], box[3] & 1
    (entries,) = struct.unpack_from(">I", box, 4)
    place, number = 8, ">I" if version else ">H"
    for _ in range(entries):
        if place + struct.calcsize(number) >= len(box):
            break
        (owner,) = struct.unpack_from(number, box, place)
        place += struct.calcsize(number)
        count, place = box[place], place + 1
        for _ in range(count):
            size = 2 if wide else 1
            index = int.from_bytes(box[place : place + size], "big") & (0x7FFF if wide else 0x7F)
            place += size
            if owner == item:
                found.add(index)
    return found
