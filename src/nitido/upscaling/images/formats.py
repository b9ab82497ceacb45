"""What each picture format can hold, known before anything is computed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nitido.base.errors import unknown_name
from nitido.imaging import FORMATS, PictureError


@dataclass(frozen=True)
class FileFormat:
    """A picture format as it is written.

    Attributes:
        name: as libvips calls it.
        largest_side: the most pixels an edge can have.
        bits: the most bits a sample can have.
        alpha: whether it holds transparency.
        exif: whether the writer puts EXIF into it.
        profile: whether it holds ICC profiles and XMP.
        options: how it is written: lossless, or at a quality at which the losses do not show.
    """

    name: str
    largest_side: int
    bits: int = 8
    alpha: bool = True
    exif: bool = True
    profile: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)


# JPEG's and AVIF's own limits are 65,535 and 65,536: these are their encoders'. libvips knows no EXIF in TIFF, neither
# to read nor to write (github.com/libvips/libvips/issues/4518).
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
    """The format that the suffix of `path` stands for; raises `PictureError` for any other suffix."""
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise unknown_name("kind of picture file", suffix or path.name, FORMATS, PictureError)
    return _BY_NAME[FORMATS[suffix]]
