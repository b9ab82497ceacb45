"""From a `Photo` to a picture file that is whole or not there."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyvips
from PIL import Image

from nitido.atomic import replacing
from nitido.imaging import PictureError
from nitido.imaging.files import Pixels
from nitido.inference.pictures.depth import to_bits
from nitido.inference.pictures.formats import FileFormat, format_of
from nitido.inference.pictures.photo import Photo
from nitido.inference.pictures.stream import write_stream
from nitido.inference.workspace import Workspace

LARGEST_RESULT = 2**30
"""Pixels of the largest picture that is made."""

_SMALL_TIFF = 2**32 - 2**24  # bytes of samples that surely fit below TIFF's 4 GB


def check_size(path: Path, width: int, height: int) -> None:
    """Raise `PictureError` when the format of `path` cannot hold `width` × `height`, or nothing here could."""
    kind = format_of(path)
    if max(width, height) > kind.largest_side:
        raise PictureError(
            f"{path}: {kind.name.upper()} holds at most {kind.largest_side:,} pixels a side, "
            f"the result is {width}×{height}: write PNG or TIFF"
        )
    if width * height > LARGEST_RESULT:
        raise PictureError(
            f"{path}: the result is {width}×{height}, more than {LARGEST_RESULT / 1e6:.0f} million pixels: "
            "enlarge less, or a part"
        )


def losses(photo: Photo, path: Path) -> list[str]:
    """What reading `photo` changed and the format of `path` cannot keep of it, in words.

    Raises `PictureError` when it is the transparency: that would be another picture.
    """
    kind = format_of(path)
    name = kind.name.upper()
    if photo.alpha is not None and not kind.alpha:
        raise PictureError(f"{path}: {name} cannot hold this picture's transparency: write PNG, TIFF, WebP or AVIF")
    lost = list(photo.notes)
    if photo.bits > kind.bits:
        lost.append(f"{name} holds {kind.bits} bits a sample, not {photo.bits}")
    if "exif-data" in photo.metadata.blobs and not kind.exif:
        lost.append(f"EXIF is not kept in {name}")
    if not _keeps_iptc(photo, kind):
        lost.append("IPTC is only kept from JPEG to JPEG")
    if photo.icc_profile is not None and not kind.profile:
        lost.append(f"{name} holds no colour profile")
    if "xmp-data" in photo.metadata.blobs and not kind.profile:
        lost.append(f"{name} holds no XMP")
    return lost


def write_photo(
    path: Path, photo: Photo, workspace: Workspace | None = None, pulse: Callable[[], None] = lambda: None
) -> None:
    """Write `photo` atomically; the suffix of `path` gives the format.

    PNG, TIFF, WebP and BMP are lossless, JPEG has quality 95 and AVIF 90, both without chroma subsampling. Samples of
    too many bits are rounded, into an array of `workspace`. `pulse` is called while a file grows, maybe by another
    thread, and may stop the writing by an exception. Raises that, `PictureError` when the format cannot hold the
    picture, OSError as the disk does.
    """
    workspace = workspace or Workspace()
    kind = format_of(path)
    check_size(path, photo.pixels.shape[1], photo.pixels.shape[0])
    losses(photo, path)
    try:
        if kind.name == "bmp":
            _write_bmp(path, photo.pixels)
        else:
            _write(path, kind, photo, workspace, pulse)
    except pyvips.Error as error:
        reason = " ".join(str(error.detail or error.message).split())
        raise PictureError(f"{path}: cannot be written: {reason}") from None


def _keeps_iptc(photo: Photo, kind: FileFormat) -> bool:
    """Whether there is no IPTC, or it has the wrapping of the format: libvips copies its bytes as they are."""
    iptc = photo.metadata.blobs.get("iptc-data")
    return iptc is None or (kind.name == "jpeg" and iptc.startswith(b"Photoshop 3.0"))


def _write_bmp(path: Path, pixels: Pixels) -> None:
    samples = to_bits(pixels, 8)
    with replacing(path) as draft:
        Image.fromarray(samples[:, :, 0] if samples.shape[2] == 1 else samples).save(draft, format="BMP")


def _write(path: Path, kind: FileFormat, photo: Photo, workspace: Workspace, pulse: Callable[[], None]) -> None:
    options = dict(kind.options)
    bits = min(photo.bits, 8 if kind.bits == 8 else 16)
    planes = [to_bits(plane, bits, workspace) for plane in (photo.pixels, photo.alpha) if plane is not None]
    if kind.name == "avif" and bits == 16:
        options["bitdepth"] = kind.bits
        # libvips shifts back
        planes = [((plane.astype(np.uint32) * 4095 + 32767) // 65535 << 4).astype(np.uint16) for plane in planes]
    if kind.name == "tiff" and sum(plane.nbytes for plane in planes) > _SMALL_TIFF:
        options["bigtiff"] = True
    grey, colour = ("b-w", "srgb") if bits == 8 else ("grey16", "rgb16")
    space = grey if photo.pixels.shape[2] == 1 else colour
    image, *alpha = (pyvips.Image.new_from_array(plane, interpretation=space) for plane in planes)
    image = photo.metadata.put_on(image.bandjoin(alpha) if alpha else image)
    if not _keeps_iptc(photo, kind):
        image.remove("iptc-data")
    if photo.icc_profile is not None:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", photo.icc_profile)
    save = getattr(image, f"{'heif' if kind.name == 'avif' else kind.name}save_target")

    def pulsed() -> None:
        workspace.release()
        pulse()

    write_stream(path, lambda target: save(target, **options), pulsed)
