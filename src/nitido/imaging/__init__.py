"""Image processing and image files: MATLAB-exact bicubic resizing, BT.601 color, reading and writing."""

from nitido.imaging.color import is_flat, rgb_to_y, rgb_to_ycbcr, ycbcr_to_rgb
from nitido.imaging.files import (
    FORMATS,
    Picture,
    PictureError,
    decoder_versions,
    lost_in_rgb8,
    read_picture,
    read_size,
    write_picture,
)
from nitido.imaging.resize import SCALES, ImagingError, bicubic_downscale, bicubic_upscale, crop_to_multiple
from nitido.imaging.walk import Walk, find_pictures, walk

__all__ = [
    "FORMATS",
    "SCALES",
    "ImagingError",
    "Picture",
    "PictureError",
    "Walk",
    "bicubic_downscale",
    "bicubic_upscale",
    "crop_to_multiple",
    "decoder_versions",
    "find_pictures",
    "is_flat",
    "lost_in_rgb8",
    "read_picture",
    "read_size",
    "rgb_to_y",
    "rgb_to_ycbcr",
    "walk",
    "write_picture",
    "ycbcr_to_rgb",
]
