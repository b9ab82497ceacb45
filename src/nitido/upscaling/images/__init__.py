"""Image files with all their metadata: reading and writing, for upscaling."""

from nitido.upscaling.images.formats import FileFormat, format_of
from nitido.upscaling.images.image_with_metadata import ImageWithMetadata, Metadata
from nitido.upscaling.images.read import Header, read_header, read_image
from nitido.upscaling.images.write import check_size, losses, write_image

__all__ = [
    "FileFormat",
    "Header",
    "ImageWithMetadata",
    "Metadata",
    "check_size",
    "format_of",
    "losses",
    "read_header",
    "read_image",
    "write_image",
]
