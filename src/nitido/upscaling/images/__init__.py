"""Whole pictures with everything their files say: read and written, for enlarging."""

from nitido.upscaling.images.formats import FileFormat, format_of
from nitido.upscaling.images.photo import Metadata, Photo
from nitido.upscaling.images.read import Header, read_header, read_photo
from nitido.upscaling.images.write import check_size, losses, write_photo

__all__ = [
    "FileFormat",
    "Header",
    "Metadata",
    "Photo",
    "check_size",
    "format_of",
    "losses",
    "read_header",
    "read_photo",
    "write_photo",
]
