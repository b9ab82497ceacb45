"""The segments of a JPEG file: which data it contains besides the image, and whether the image is complete."""

import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass

_SOI, _EOI, _SOS, _APP0, _COM = 0xD8, 0xD9, 0xDA, 0xE0, 0xFE
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD8)}
_FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # a marker within coded data (ITU-T T.81, B.1.1.5)
_APPLICATION_BYTES = 64  # returned bytes per application segment
_COEFFICIENTS = 64

END_OF_IMAGE = bytes([0xFF, _EOI])


@dataclass(frozen=True)
class JpegSegments:
    """The contents of a JPEG file.

    Attributes:
        applications: Number (0 to 15) and first bytes of each APP segment.
        comments: Number of comments.
        end: Number of bytes up to and including the end marker; None if the file has none.
        all_scans: Whether the scans contain all coefficients of all components, according to their headers.
    """

    applications: tuple[tuple[int, bytes], ...]
    comments: int
    end: int | None
    all_scans: bool


def jpeg_segments(content: bytes | mmap.mmap) -> JpegSegments:
    """Return the segments of the first image in `content`, a JPEG file (ITU-T T.81). Reading stops at damage."""
    applications: list[tuple[int, bytes]] = []
    comments, end = 0, None
    missing: dict[int, set[int]] = {}
    for marker, start, stop in _segments(content):
        if marker == _EOI:
            end = start
        elif _APP0 <= marker < _APP0 + 16:
            applications.append((marker - _APP0, content[start : min(stop, start + _APPLICATION_BYTES)]))
        elif marker == _COM:
            comments += 1
        elif marker in _FRAMES and stop - start >= 6:
            parts = content[start:stop][6::3][: content[start + 5]]
            missing = {part: set(range(_COEFFICIENTS)) for part in parts}
        elif marker == _SOS and stop > start:
            _remove_completed(missing, content[start:stop])
    return JpegSegments(tuple(applications), comments, end, bool(missing) and not any(missing.values()))


def _segments(content: bytes | mmap.mmap) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and stop of the content of each segment; skip coded data."""
    place = 2
    while place + 1 < len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        place += 1
        if marker == 0xFF:  # fill byte
            continue
        place += 1
        if marker == _EOI:
            yield marker, place, place
            return
        if marker in _WITHOUT_LENGTH:
            continue
        stop = place + int.from_bytes(content[place : place + 2], "big")
        if stop < place + 2 or stop > len(content):
            return
        yield marker, place + 2, stop
        place = stop
        if marker == _SOS:
            found = _MARKER.search(content, place)
            if found is None:
                return
            place = found.start()


def _remove_completed(missing: dict[int, set[int]], header: bytes) -> None:
    """Remove the coefficients that a scan with this header completes to all bits (ITU-T T.81, B.2.3 and G.1.1.1)."""
    count = header[0]
    if len(header) < 4 + 2 * count:
        return
    first, last, bits = header[1 + 2 * count : 4 + 2 * count]
    if bits & 15 == 0:
        for part in header[1 : 1 + 2 * count : 2]:
            missing.get(part, set()).difference_update(range(first, last + 1))
