"""The limits of each image format, checked before any computation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nitido.base.errors import unknown_name
from nitido.imaging import FORMATS, ImageFileError


@dataclass(frozen=True)
class FileFormat:
    """An image format as it is written.

    Attributes:
        name: Name in libvips.
        largest_side: Maximum pixels per side.
        bits: Maximum bits per sample.
        alpha: Whether it supports transparency.
        exif: Whether the writer stores EXIF.
        profile: Whether it supports ICC profiles and XMP.
        options: Options of the encoder: lossless, or a quality at which losses are invisible.
    """

    name: str
    largest_side: int
    bits: int = 8
    alpha: bool = True
    exif: bool = True
    profile: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)


# The limits of JPEG and AVIF are 65,535 and 65,536; these are the limits of the encoders. libvips neither reads nor
# writes EXIF in TIFF (github.com/libvips/libvips/issues/4518).
_KNOWN = [
    FileFormat("png", 2**31 - 1, bits=16),
    FileFormat("jpeg", 65_500, alpha=False, options={"Q": 95, "subsample_mode": "off"}),
    FileFormat("tiff", 2**31 - 1, bits=16, exif=False, options={"compression": "deflate"}),
    FileFormat("webp", 16_383, options={"lossless": True}),
    FileFormat("avif", 16_384, bits=12, options={"compression": "av1", "Q": 90, "subsample_mode": "off"}),
    FileFormat("bmp", 2**31 - 1, alpha=False, exif=False, profile=False),
]
_BY_NAME = {known.name: known for known in _KNOWN}


def format_of(path: Path) -> FileFormat:
    """Return the format for the suffix of `path`; raise `ImageFileError` for an unknown one."""
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise unknown_name("kind of image file", suffix or path.name, FORMATS, ImageFileError)
    return _BY_NAME[FORMATS[suffix]]
