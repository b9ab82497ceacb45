"""Lists what an image file contains besides pixels and preserved metadata."""

import mmap
import struct
from pathlib import Path

from nitido.imaging.jpeg_segments import jpeg_segments
from nitido.imaging.tiff_tags import tiff_tags
from nitido.upscaling.images.avif_boxes import avif_lost_parts
from nitido.upscaling.images.png_chunks import lost_chunks, png_chunks

_KNOWN_SEGMENTS = {
    0: (b"",),
    1: (b"Exif\0", b"http://ns.adobe.com/xap/1.0/\0"),
    2: (b"ICC_PROFILE\0",),
    13: (b"Photoshop 3.0\0",),
    14: (b"Adobe",),
}
"""Beginnings of APP segments that are read or only concern the encoding."""

_NAMED_SEGMENTS = {
    b"http://ns.adobe.com/xmp/extension/\0": "its extended XMP",
    b"MPF\0": "the other images in its file",
    b"JP": "its Content Credentials (C2PA)",
}

# Tags of TIFF 6.0, Adobe's supplements and libtiff that describe the encoding, that libvips reads, or that name the
# software and computer that wrote the old file.
_KNOWN_TAGS = {254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 270, 273, 274, 277, 278, 279, 280, 281, 282, 283}
_KNOWN_TAGS |= {284, 288, 289, 290, 291, 292, 293, 296, 297, 317, 320, 321, 322, 323, 324, 325, 338, 339, 340, 341}
_KNOWN_TAGS |= {305, 316, 347, 512, 513, 514, 529, 530, 531, 532, 559, 700, 33723, 34675, 34665, 34853}
_TAG_NAMES = {
    269: "DocumentName",
    271: "Make",
    272: "Model",
    285: "PageName",
    301: "TransferFunction",
    306: "DateTime",
    315: "Artist",
    318: "WhitePoint",
    319: "PrimaryChromaticities",
    330: "SubIFDs",
    33432: "Copyright",
    33550: "ModelPixelScale",
    33922: "ModelTiepoint",
    34377: "Photoshop resources",
    34735: "GeoKeyDirectory",
    37724: "Photoshop layers",
}

_BMP_PROFILES = {b"MBED", b"LINK"}


def unread_parts(path: Path, kind: str) -> list[str]:
    """Return in words what the file at `path`, of the format `kind`, contains and `read_image` does not read."""
    if kind == "jpeg":
        return _of_jpeg(path)
    if kind == "png":
        lost = lost_chunks([kind for kind, _ in png_chunks(path)])
        return [f"PNG's {', '.join(lost)}"] if lost else []
    if kind == "tiff":
        return _of_tiff(path)
    if kind == "avif":
        return avif_lost_parts(path)
    return _of_bmp(path) if kind == "bmp" else []


def _of_jpeg(path: Path) -> list[str]:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        segments = jpeg_segments(content)
        after = b"" if segments.end is None else content[segments.end :]
    parts = []
    for number, head in segments.applications:
        if not head.startswith(_KNOWN_SEGMENTS.get(number, ())):
            named = [name for sign, name in _NAMED_SEGMENTS.items() if head.startswith(sign)]
            parts += named or [f"its segment APP{number}"]
    if segments.comments:
        parts.append("its JPEG comment")
    if after.strip(b"\0"):
        parts.append(f"{len(after)} bytes after the image")
    return parts


def _of_tiff(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            tags = sorted(set(tiff_tags(file)) - _KNOWN_TAGS)
    except struct.error:
        return []
    names = [_TAG_NAMES.get(tag, str(tag)) for tag in tags]
    return [f"TIFF's {', '.join(names)}"] if names else []


def _of_bmp(path: Path) -> list[str]:
    """Return a profile, or primaries and gamma, in a header of version 4 or 5 (Microsoft, BITMAPV5HEADER)."""
    with path.open("rb") as file:
        head = file.read(74)
    if len(head) < 74 or int.from_bytes(head[14:18], "little") < 108:
        return []
    space = head[70:74][::-1]
    if space in _BMP_PROFILES:
        return ["its color profile"]
    return ["its primaries and gamma"] if space == bytes(4) else []
