"""Image processing and image files: MATLAB-exact bicubic resizing, BT.601 color, reading and writing."""

from nitido.imaging.color import is_flat, rgb_to_y, rgb_to_ycbcr, ycbcr_to_rgb
from nitido.imaging.files import (
    FORMATS,
    DecodedImage,
    ImageFileError,
    decoder_versions,
    load_image,
    lost_in_rgb8,
    read_size,
    save_image,
)
from nitido.imaging.resize import SCALES, ImagingError, bicubic_downscale, bicubic_upscale, crop_to_multiple
from nitido.imaging.walk import Walk, find_images, walk

__all__ = [
    "FORMATS",
    "SCALES",
    "DecodedImage",
    "ImageFileError",
    "ImagingError",
    "Walk",
    "bicubic_downscale",
    "bicubic_upscale",
    "crop_to_multiple",
    "decoder_versions",
    "find_images",
    "is_flat",
    "load_image",
    "lost_in_rgb8",
    "read_size",
    "rgb_to_y",
    "rgb_to_ycbcr",
    "save_image",
    "walk",
    "ycbcr_to_rgb",
]
