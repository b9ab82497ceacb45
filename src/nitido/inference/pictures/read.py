"""From a picture file to a `Photo`, its size looked at before anything is decoded."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyvips

from nitido.imaging import PictureError, read_picture, read_size
from nitido.inference.pictures.photo import Metadata, Photo
from nitido.inference.pictures.tiff_tags import EXIF, GPS, tiff_tags
from nitido.inference.workspace import Workspace

LARGEST_PICTURE = 2**28
"""Pixels of the largest picture that is decoded: a small file can claim any size."""

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
        return _read_avif(path)
    picture = read_picture(path, (workspace or Workspace()).empty)
    metadata = Metadata()
    notes: tuple[str, ...] = ()
    if picture.format != "bmp":
        with path.open("rb") as file:
            source = pyvips.Source.new_from_descriptor(file.fileno())
            header = getattr(pyvips.Image, f"{picture.format}load_source")(source, access="sequential")
            metadata = Metadata.of(header)
            notes = ("CMYK has become sRGB",) if header.interpretation == "cmyk" else ()
    if picture.format == "tiff" and tiff_tags(path) & {EXIF, GPS}:
        notes += ("EXIF in a TIFF is not read, so it is not kept",)
    return Photo(picture.pixels, picture.alpha, picture.icc_profile, metadata, notes)


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
    return Photo(np.ascontiguousarray(samples[:, :, :colours]), alpha, profile, Metadata.of(image))


def _damaged(path: Path, error: pyvips.Error) -> PictureError:
    lines = [line.strip() for line in str(error.detail or error.message).splitlines() if line.strip()]
    return PictureError(f"{path}: damaged or incomplete AVIF: {lines[-1] if lines else 'unknown error'}")
