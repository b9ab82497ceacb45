"""Reads the tags of a TIFF's first directory that libvips does not report."""

import struct
from io import BytesIO
from typing import BinaryIO

EXIF, GPS = 34665, 34853
"""Tags whose values are offsets of EXIF directories (EXIF 2.3, section 4.6.3)."""

MAKER_NOTE, COLOR_SPACE = 37500, 40961
"""Tags of the camera's directory: bytes in the maker's own format, and 1 for sRGB (EXIF 2.3, section 4.6.5)."""

BITS, PHOTOMETRIC, ORIENTATION, EXTRA_SAMPLES = 258, 262, 274, 338
"""Bits per sample; the meaning of a pixel's samples and of its extra samples (TIFF 6.0, sections 8 and 18)."""

TRANSPARENCY = (1, 2)
"""Values of EXTRA_SAMPLES for transparency, premultiplied or not. 0 is an unspecified sample."""

_FIELDS = {1: "B", 3: "H", 4: "I", 16: "Q"}  # integer types of TIFF 6.0, section 2, and of BigTIFF
_MOST_BITS = 32  # per sample that libvips loads
_LARGEST_OFFSET = 2**62  # to which a file can seek
_MOST_VALUES = 1 << 10  # per tag; no tag that is used here has more

_UNSUPPORTED = {
    4: "a transparency mask",
    8: "CIELAB with 8 bits per sample",
    9: "ICCLAB",
    10: "ITULAB",
    32803: "raw camera sensor data",
    32844: "LogL high dynamic range",
    32845: "LogLuv high dynamic range",
    34892: "linear raw camera data",
}


def tiff_tags(file: BinaryIO) -> dict[int, tuple[int, ...]]:
    """Return the tags in the first directory of a TIFF or BigTIFF that libvips can read.

    Returns:
        The values of integer tags by tag number; `()` for all other tags.

    Raises:
        struct.error: The file ends too early.
    """
    order, big, first = _head(file)
    return _directory(file, order, big, first)


def exif_tags(exif: bytes) -> set[int]:
    """Return the tag numbers of EXIF's main, camera and GPS directories, without the thumbnail's.

    Raises:
        struct.error: The data end too early or are not EXIF.
    """
    file = BytesIO(exif.removeprefix(b"Exif\0\0"))
    order, big, first = _head(file)
    tags = _directory(file, order, big, first)
    found = set(tags)
    for pointer in (EXIF, GPS):
        if tags.get(pointer):
            found |= set(_directory(file, order, big, tags[pointer][0]))
    return found


def maker_note(exif: bytes) -> bytes:
    """Return the maker note of EXIF; empty if it has none. Raises `struct.error` as `exif_tags` does."""
    file = BytesIO(exif.removeprefix(b"Exif\0\0"))
    order, big, first = _head(file)
    places = _directory(file, order, big, first).get(EXIF)
    for tag, _, length, content in _entries(file, order, big, places[0]) if places else ():
        if tag == MAKER_NOTE:
            if length <= len(content):
                return content[:length]
            file.seek(min(struct.unpack(f"{order}{'Q' if big else 'I'}", content)[0], _LARGEST_OFFSET))
            return file.read(min(length, len(exif)))
    return b""


def _head(file: BinaryIO) -> tuple[str, bool, int]:
    """Return the byte order, whether it is a BigTIFF, and the offset of the first directory."""
    file.seek(0)
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None:
        raise struct.error("no byte order")
    (version,) = struct.unpack_from(f"{order}H", head, 2)
    big = version == 43
    return order, big, struct.unpack_from(f"{order}Q" if big else f"{order}I", head, 8 if big else 4)[0]


def _entries(file: BinaryIO, order: str, big: bool, place: int) -> list[tuple[int, int, int, bytes]]:
    """Return tag, type, number of values and the last bytes, values or their offset, of each entry of a directory."""
    # TIFF 6.0, section 2; BigTIFF: offset and count have 8 bytes, an entry 20.
    offset, count, size = ("Q", "Q", 20) if big else ("I", "H", 12)
    file.seek(min(place, _LARGEST_OFFSET))
    (entries,) = struct.unpack(f"{order}{count}", file.read(struct.calcsize(count)))
    layout = f"{order}HH{offset}"
    found = [file.read(size) for _ in range(min(entries, 1 << 16))]
    return [(*struct.unpack_from(layout, entry), entry[struct.calcsize(layout) :]) for entry in found]


def _directory(file: BinaryIO, order: str, big: bool, place: int) -> dict[int, tuple[int, ...]]:
    offset = "Q" if big else "I"
    tags: dict[int, tuple[int, ...]] = {}
    for tag, kind, length, content in _entries(file, order, big, place):
        tags[tag] = ()
        if kind in _FIELDS and length <= _MOST_VALUES:
            layout = f"{order}{length}{_FIELDS[kind]}"
            if struct.calcsize(layout) > len(content):
                file.seek(min(struct.unpack(f"{order}{offset}", content)[0], _LARGEST_OFFSET))
                content = file.read(struct.calcsize(layout))
            tags[tag] = struct.unpack_from(layout, content)
    return tags


def unsupported_samples(tags: dict[int, tuple[int, ...]]) -> str | None:
    """Return in words which kind of unsupported samples a TIFF has, or None."""
    bits = max(tags.get(BITS) or (0,))
    if bits > _MOST_BITS:
        return f"samples of {bits} bits"
    photometric = tags.get(PHOTOMETRIC) or (None,)
    return _UNSUPPORTED.get(photometric[0]) if photometric[0] is not None else None
