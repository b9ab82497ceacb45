"""From a picture file to a `Photo`, its size looked at before anything is decoded."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyvips

from nitido.imaging import PictureError, read_picture, read_size
from nitido.imaging.tiff_tags import EXIF, GPS, tiff_tags
from nitido.inference.pictures.avif_boxes import avif_code_points
from nitido.inference.pictures.color_signal import code_point_signal, png_color_signal
from nitido.inference.pictures.icc_profile import profile_channels
from nitido.inference.pictures.photo import Metadata, Photo
from nitido.inference.pictures.png_chunks import is_text, png_chunks
from nitido.inference.pictures.unread import unread_parts
from nitido.inference.workspace import Workspace

LARGEST_PICTURE = 2**28
"""Pixels of the largest picture that is decoded: a small file can claim any size."""

_BAD_PROFILE = "its colour profile is damaged: left out"
_AVIF, _MOVING_AVIF = b"avif", b"avis"


@dataclass(frozen=True)
class Header:
    """The size of an upright picture, by its file's header."""

    width: int
    height: int


def read_header(path: Path) -> Header:
    """The size of the picture at `path`, without decoding it.

    Raises `PictureError`, in one line, when it is no picture, or claims more than `LARGEST_PICTURE` pixels.
    """
    if _brand(path):
        image = _avif(path)
        header = Header(image.width, image.height)
    else:
        header = Header(*read_size(path))
    if header.width * header.height > LARGEST_PICTURE:
        raise PictureError(
            f"{path}: claims to be {header.width}×{header.height}, more than {LARGEST_PICTURE / 1e6:.0f} million "
            "pixels: refused unread"
        )
    return header


def read_photo(path: Path, workspace: Workspace | None = None) -> Photo:
    """Decode the picture at `path` with its profile and metadata: PNG, JPEG, WebP, TIFF, AVIF or BMP, by its content.

    Upright, and the orientation tag is reset. AVIF's 10 and 12 bits are spread over 16. `workspace` makes the arrays,
    except of an AVIF, which libheif decodes as a whole. Raises `PictureError` as `read_header` and
    `nitido.imaging.read_picture` do, OSError when `workspace` has no room.
    """
    read_header(path)
    if _brand(path):
        return _finished(path, "avif", _read_avif(path))
    workspace = workspace or Workspace()
    picture = read_picture(path, workspace.empty, workspace.release)
    metadata = Metadata(size=(picture.width, picture.height))
    notes = picture.notes
    if picture.format != "bmp":
        with path.open("rb") as file:
            source = pyvips.Source.new_from_descriptor(file.fileno())
            header = getattr(pyvips.Image, f"{picture.format}load_source")(source, access="sequential")
            metadata = Metadata.of(header, picture.turned)
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
    photo = Photo(picture.pixels, picture.alpha, picture.icc_profile, metadata, notes, color)
    return _finished(path, picture.format, photo)


def _finished(path: Path, kind: str, photo: Photo) -> Photo:
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


def _brand(path: Path) -> bytes | None:
    """The brand of the AVIF at `path`, for still or for moving pictures; None when it is no AVIF."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise PictureError(f"{path}: {error.strerror or error}") from None
    if head[4:8] != b"ftyp":
        return None
    brands = [head[start : start + 4] for start in range(8, min(int.from_bytes(head[:4], "big"), len(head)), 4)]
    if brands[0] == _MOVING_AVIF:
        return _MOVING_AVIF
    return _AVIF if _AVIF in brands else None


def _avif(path: Path) -> Any:
    """The lazy image of a still AVIF."""
    try:
        with path.open("rb") as file:
            source = pyvips.Source.new_from_descriptor(file.fileno())
            image = pyvips.Image.heifload_source(source, fail_on="error", unlimited=True)
            pages = int(image.get("n-pages"))
    except pyvips.Error as error:
        raise _damaged(path, error) from None
    if _brand(path) == _MOVING_AVIF or pages > 1:
        raise PictureError(f"{path}: an animated or multi-picture AVIF: only still pictures can be read")
    return image


def _read_avif(path: Path) -> Photo:
    image = _avif(path)  # libheif applies the turns that AVIF itself knows; EXIF's orientation says nothing in it
    try:
        samples = image.numpy()
    except pyvips.Error as error:
        raise _damaged(path, error) from None
    if samples.dtype == np.uint16:
        bits = int(image.get("bits-per-sample"))
        largest = (1 << bits) - 1
        samples = ((samples >> (16 - bits)).astype(np.uint32) * 65535 + largest // 2) // largest
        samples = samples.astype(np.uint16)
    samples = np.atleast_3d(samples)
    colours = 1 if samples.shape[2] < 3 else 3
    alpha = samples[:, :, colours].copy() if samples.shape[2] > colours else None
    profile = bytes(image.get("icc-profile-data")) if image.get_typeof("icc-profile-data") else None
    points = avif_code_points(path)
    color = None if points is None else code_point_signal(*points, colours)
    turned = bool(image.get_typeof("orientation")) and int(image.get("orientation")) > 4  # 5 to 8 swap rows and columns
    metadata = Metadata.of(image, turned)
    return Photo(np.ascontiguousarray(samples[:, :, :colours]), alpha, profile, metadata, (), color)


def _damaged(path: Path, error: pyvips.Error) -> PictureError:
    lines = [line.strip() for line in str(error.detail or error.message).splitlines() if line.strip()]
    return PictureError(f"{path}: damaged or incomplete AVIF: {lines[-1] if lines else 'unknown error'}")
