"""From a `Photo` to a picture file that is whole or not there."""

import io
from pathlib import Path

import numpy as np
import pyvips
from PIL import Image

from nitido.atomic import write_bytes
from nitido.imaging import PictureError
from nitido.imaging.files import Pixels
from nitido.inference.pictures.formats import FileFormat, format_of
from nitido.inference.pictures.photo import Photo

LARGEST_RESULT = 2**30
"""Pixels of the largest picture that is made: it lies in memory before it is written."""

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


def write_photo(path: Path, photo: Photo) -> None:
    """Write `photo` atomically; the suffix of `path` gives the format.

    PNG, TIFF, WebP and BMP are lossless, JPEG has quality 95 and AVIF 90, both without chroma subsampling. Samples of
    too many bits are rounded. Raises `PictureError` when the format cannot hold the picture, OSError as the disk does.
    """
    kind = format_of(path)
    check_size(path, photo.pixels.shape[1], photo.pixels.shape[0])
    losses(photo, path)
    try:
        encoded = _encode_bmp(photo.pixels) if kind.name == "bmp" else _encode(kind, photo)
    except pyvips.Error as error:
        reason = " ".join(str(error.detail or error.message).split())
        raise PictureError(f"{path}: cannot be written: {reason}") from None
    write_bytes(path, encoded)


def to_bits(samples: Pixels, bits: int) -> Pixels:
    """Samples of 8 or 16 bits as 8 or 16 bits, rounded; both full ranges correspond.

    >>> to_bits(np.array([0, 128, 129, 65535], dtype=np.uint16), 8).tolist()
    [0, 0, 1, 255]
    """
    if samples.dtype.itemsize * 8 == bits:
        return samples
    if bits == 16:
        return samples.astype(np.uint16) * np.uint16(257)
    return ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _keeps_iptc(photo: Photo, kind: FileFormat) -> bool:
    """Whether there is no IPTC, or it has the wrapping of the format: libvips copies its bytes as they are."""
    iptc = photo.metadata.blobs.get("iptc-data")
    return iptc is None or (kind.name == "jpeg" and iptc.startswith(b"Photoshop 3.0"))


def _encode_bmp(pixels: Pixels) -> bytes:
    samples = to_bits(pixels, 8)
    buffer = io.BytesIO()
    Image.fromarray(samples[:, :, 0] if samples.shape[2] == 1 else samples).save(buffer, format="BMP")
    return buffer.getvalue()


def _encode(kind: FileFormat, photo: Photo) -> bytes:
    samples = photo.pixels if photo.alpha is None else np.dstack([photo.pixels, photo.alpha])
    options = dict(kind.options)
    if kind.bits == 8:
        samples = to_bits(samples, 8)
    if kind.name == "avif" and samples.dtype == np.uint16:
        options["bitdepth"] = kind.bits
        samples = ((samples.astype(np.uint32) * 4095 + 32767) // 65535 << 4).astype(np.uint16)  # libvips shifts back
    if kind.name == "tiff" and samples.nbytes > _SMALL_TIFF:
        options["bigtiff"] = True
    grey, colour = ("b-w", "srgb") if samples.dtype == np.uint8 else ("grey16", "rgb16")
    image = pyvips.Image.new_from_array(samples, interpretation=grey if samples.shape[2] < 3 else colour)
    image = photo.metadata.put_on(image)
    if not _keeps_iptc(photo, kind):
        image.remove("iptc-data")
    if photo.icc_profile is not None:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", photo.icc_profile)
    encoded: bytes = getattr(image, f"{'heif' if kind.name == 'avif' else kind.name}save_buffer")(**options)
    return encoded
