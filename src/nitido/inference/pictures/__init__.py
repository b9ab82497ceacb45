"""Whole pictures with everything their files say: read and written, for enlarging."""

from nitido.inference.pictures.formats import FileFormat, format_of
from nitido.inference.pictures.photo import Metadata, Photo
from nitido.inference.pictures.read import Header, read_header, read_photo
from nitido.inference.pictures.write import check_size, losses, write_photo

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
