"""The chunks of a PNG, most of which libvips does not report."""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

SIGNATURE_AND_HEADER = 33
"""Bytes of a PNG up to and including its IHDR chunk."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_LARGEST = 1 << 24  # maximum bytes of a chunk
COLOR_CHUNKS = (b"cICP", b"sRGB", b"gAMA", b"cHRM", b"mDCV", b"cLLI", b"mDCv", b"cLLi")
"""Chunks that specify the color space of a PNG (PNG 3rd edition, section 11.3.2)."""

_XMP = b"XML:com.adobe.xmp\0"
_KEPT = {
    b"IHDR",
    b"PLTE",
    b"tRNS",
    b"IDAT",
    b"IEND",
    b"tEXt",
    b"zTXt",
    b"iTXt",
    b"eXIf",
    b"iCCP",
    b"pHYs",
    *COLOR_CHUNKS,
}
_OF_THE_OLD_PIXELS = {b"tIME", b"sBIT", b"hIST", b"sPLT"}


def png_chunks(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Yield type and content of a PNG's chunks up to its end or damage; pixels and huge chunks have no content."""
    with path.open("rb") as file:
        if file.read(len(_SIGNATURE)) != _SIGNATURE:
            return
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if length <= _LARGEST and kind != b"IDAT":
                content = file.read(length)
                file.seek(4, 1)
            else:
                content = b""
                file.seek(length + 4, 1)
            yield kind, content
            if kind == b"IEND":
                return


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """Return a chunk with its length and its checksum (PNG 3rd edition, section 5.3)."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def is_text(kind: bytes, content: bytes) -> bool:
    r"""Return whether a chunk is a text for people, which XMP is not.

    >>> is_text(b"tEXt", b"Title\0A photo"), is_text(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0"), is_text(b"gAMA", b"")
    (True, False, False)
    """
    return kind in (b"tEXt", b"zTXt", b"iTXt") and b"\0" in content and not content.startswith(_XMP)


def lost_chunks(kinds: list[bytes]) -> list[str]:
    """Return the names of chunks that are not copied to another PNG, except for those that describe the old pixels.

    >>> lost_chunks([b"IHDR", b"tIME", b"bKGD", b"oFFs"])
    ['bKGD', 'oFFs']
    """
    lost = [kind for kind in kinds if kind not in _KEPT.union(COLOR_CHUNKS, _OF_THE_OLD_PIXELS)]
    return list(dict.fromkeys(kind.decode("latin-1") for kind in lost if kind.isalpha()))
