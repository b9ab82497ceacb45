"""Reads an image file as `ImageWithMetadata`, with a size limit that is checked before decoding."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nitido.imaging import ImageFileError, load_image, read_size
from nitido.imaging.files import open_lazily
from nitido.imaging.tiff_tags import EXIF, GPS, tiff_tags
from nitido.upscaling.images.avif_boxes import avif_code_points
from nitido.upscaling.images.color_signal import code_point_signal, png_color_signal
from nitido.upscaling.images.icc_profile import profile_channels
from nitido.upscaling.images.image_with_metadata import ImageWithMetadata, Metadata
from nitido.upscaling.images.png_chunks import is_text, png_chunks
from nitido.upscaling.images.unread import unread_parts
from nitido.upscaling.workspace import Workspace

LARGEST_IMAGE = 2**28
"""Maximum number of pixels of a decoded image, because a small file can claim any size."""

_BAD_PROFILE = "its color profile is damaged and was dropped"


@dataclass(frozen=True)
class Header:
    """The size of an upright image, from its file's header."""

    width: int
    height: int


def read_header(path: Path) -> Header:
    """Return the size of the image at `path` without decoding it.

    Raises:
        ImageFileError: It is not an image, or claims more than `LARGEST_IMAGE` pixels.
    """
    header = Header(*read_size(path))
    if header.width * header.height > LARGEST_IMAGE:
        raise ImageFileError(
            f"{path}: its header states {header.width}×{header.height}, more than {LARGEST_IMAGE / 1e6:.0f} million "
            "pixels: refused"
        )
    return header


def read_image(path: Path, workspace: Workspace | None = None) -> ImageWithMetadata:
    """Decode the PNG, JPEG, WebP, TIFF, AVIF or BMP at `path` with its profile and metadata.

    Its content decides the format, not its name. The image is upright and its orientation tag is reset. `workspace`
    allocates the arrays; libheif decodes an AVIF as a whole first.

    Raises:
        ImageFileError: As `read_header` and `nitido.imaging.load_image`.
        OSError: `workspace` is out of memory or disk space.
    """
    read_header(path)
    workspace = workspace or Workspace()
    image = load_image(path, workspace.empty, workspace.release)
    metadata = Metadata(size=(image.width, image.height))
    notes = image.notes
    if image.format != "bmp":
        with path.open("rb") as file:
            header = open_lazily(image.format, file)
            metadata = Metadata.of(header, image.transposed or _states_transposed(image.format, header))
    color = None
    if image.format == "png":
        all_chunks = list(png_chunks(path))
        chunks = dict(all_chunks)
        metadata = replace(metadata, png_texts=tuple(text for text in all_chunks if is_text(*text)))
        color = png_color_signal(chunks, image.pixels.shape[2])
        if b"iCCP" in chunks and image.icc_profile is None:
            notes += ("its color profile is damaged or for another color space, and was dropped",)
    if image.format == "tiff":
        with path.open("rb") as file:
            if set(tiff_tags(file)) & {EXIF, GPS}:
                notes += ("EXIF in a TIFF is not supported and was dropped",)
    if image.format == "avif" and (points := avif_code_points(path)) is not None:
        color = code_point_signal(*points, image.pixels.shape[2])
    photo = ImageWithMetadata(image.pixels, image.alpha, image.icc_profile, metadata, notes, color)
    return _finished(path, image.format, photo)


def _finished(path: Path, kind: str, photo: ImageWithMetadata) -> ImageWithMetadata:
    """Return the image with its profile if it is valid, and notes about everything that is not preserved."""
    notes, profile = photo.notes, photo.icc_profile
    channels = None if profile is None else profile_channels(profile)
    if profile is not None and channels != photo.pixels.shape[2]:
        space = {1: "gray", 3: "RGB", 4: "CMYK"}.get(channels or 0)
        notes += (_BAD_PROFILE if space is None else f"its color profile is for {space} images and was dropped",)
        profile = None
    lost = list(dict.fromkeys([*photo.metadata.lost, *unread_parts(path, kind)]))
    if lost:
        notes += (f"not kept: {', '.join(lost)}",)
    return replace(photo, icc_profile=profile, notes=notes)


def _states_transposed(kind: str, header: Any) -> bool:
    """Return whether the EXIF of an AVIF states swapped rows and columns, which libheif has already corrected."""
    return kind == "avif" and bool(header.get_typeof("orientation")) and int(header.get("orientation")) > 4
