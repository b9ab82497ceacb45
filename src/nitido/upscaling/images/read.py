"""From a picture file to a `ImageWithMetadata`, its size looked at before anything is decoded."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nitido.imaging import PictureError, read_picture, read_size
from nitido.imaging.files import open_lazily
from nitido.imaging.tiff_tags import EXIF, GPS, tiff_tags
from nitido.upscaling.images.avif_boxes import avif_code_points
from nitido.upscaling.images.color_signal import code_point_signal, png_color_signal
from nitido.upscaling.images.icc_profile import profile_channels
from nitido.upscaling.images.image_with_metadata import ImageWithMetadata, Metadata
from nitido.upscaling.images.png_chunks import is_text, png_chunks
from nitido.upscaling.images.unread import unread_parts
from nitido.upscaling.workspace import Workspace

LARGEST_PICTURE = 2**28
"""Pixels of the largest picture that is decoded: a small file can claim any size."""

_BAD_PROFILE = "its colour profile is damaged: left out"


@dataclass(frozen=True)
class Header:
    """The size of an upright picture, by its file's header."""

    width: int
    height: int


def read_header(path: Path) -> Header:
    """The size of the picture at `path`, without decoding it.

    Raises `PictureError`, in one line, when it is no picture, or claims more than `LARGEST_PICTURE` pixels.
    """
    header = Header(*read_size(path))
    if header.width * header.height > LARGEST_PICTURE:
        raise PictureError(
            f"{path}: claims to be {header.width}×{header.height}, more than {LARGEST_PICTURE / 1e6:.0f} million "
            "pixels: refused unread"
        )
    return header


def read_image(path: Path, workspace: Workspace | None = None) -> ImageWithMetadata:
    """Decode the picture at `path` with its profile and metadata: PNG, JPEG, WebP, TIFF, AVIF or BMP, by its content.

    Upright, and the orientation tag is reset. `workspace` makes the arrays; an AVIF is decoded by libheif as a whole
    before. Raises `PictureError` as `read_header` and
    `nitido.imaging.read_picture` do, OSError when `workspace` has no room.
    """
    read_header(path)
    workspace = workspace or Workspace()
    picture = read_picture(path, workspace.empty, workspace.release)
    metadata = Metadata(size=(picture.width, picture.height))
    notes = picture.notes
    if picture.format != "bmp":
        with path.open("rb") as file:
            header = open_lazily(picture.format, file)
            metadata = Metadata.of(header, picture.turned or _says_turned(picture.format, header))
    color = None
    if picture.format == "png":
        all_chunks = list(png_chunks(path))
        chunks = dict(all_chunks)
        metadata = replace(metadata, png_texts=tuple(text for text in all_chunks if is_text(*text)))
        color = png_color_signal(chunks, picture.pixels.shape[2])
        if b"iCCP" in chunks and picture.icc_profile is None:
            notes += ("its colour profile is damaged, or for other colours than the picture's: left out",)
    if picture.format == "tiff":
        with path.open("rb") as file:
            if set(tiff_tags(file)) & {EXIF, GPS}:
                notes += ("EXIF in a TIFF is not read, so it is not kept",)
    if picture.format == "avif" and (points := avif_code_points(path)) is not None:
        color = code_point_signal(*points, picture.pixels.shape[2])
    photo = ImageWithMetadata(picture.pixels, picture.alpha, picture.icc_profile, metadata, notes, color)
    return _finished(path, picture.format, photo)


def _finished(path: Path, kind: str, photo: ImageWithMetadata) -> ImageWithMetadata:
    """The photo with a profile that fits it, or none, and notes of everything that does not come along."""
    notes, profile = photo.notes, photo.icc_profile
    channels = None if profile is None else profile_channels(profile)
    if profile is not None and channels != photo.pixels.shape[2]:
        space = {1: "grey", 3: "RGB", 4: "CMYK"}.get(channels or 0)
        notes += (_BAD_PROFILE if space is None else f"its colour profile is for {space} pictures: left out",)
        profile = None
    lost = list(dict.fromkeys([*photo.metadata.lost, *unread_parts(path, kind)]))
    if lost:
        notes += (f"not kept: {', '.join(lost)}",)
    return replace(photo, icc_profile=profile, notes=notes)


def _says_turned(kind: str, header: Any) -> bool:
    """Whether the EXIF of an AVIF speaks of swapped rows and columns, which libheif has put right already."""
    return kind == "avif" and bool(header.get_typeof("orientation")) and int(header.get("orientation")) > 4
