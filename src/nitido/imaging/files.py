"""Reads and writes image files of 8 or 16 bits: PNG, JPEG, BMP, TIFF, WebP and AVIF.

libvips decodes and encodes, because it supports 16 bits. Pillow handles BMP, which the libvips wheel does not support.
"""

import errno
import io
import mmap
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import PIL
import pyvips
from PIL import BmpImagePlugin, Image

from nitido.base.atomic import replacing
from nitido.base.errors import NitidoError
from nitido.imaging.avif import SEQUENCE, avif_brand, spread_over_16_bits
from nitido.imaging.jpeg_segments import END_OF_IMAGE, jpeg_segments
from nitido.imaging.tiff_tags import EXTRA_SAMPLES, ORIENTATION, TRANSPARENCY, tiff_tags, unsupported_samples
from nitido.imaging.xmp import xmp_orientation

FORMATS = {
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".jpe": "jpeg",
    ".jfif": "jpeg",
    ".bmp": "bmp",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".webp": "webp",
    ".avif": "avif",
}
"""File name suffix (lower case) -> format name, for all formats that can be read and written."""

Pixels = npt.NDArray[np.uint8 | np.uint16]

Empty = Callable[[tuple[int, ...], type[np.uint8] | type[np.uint16]], Pixels]
"""Returns an array of a shape and type with arbitrary content, as `numpy.empty`."""

_HEAD_SIZE = 1 << 16
_LAST_NOT_TRANSPOSED = 4  # of the orientations; 5 to 8 swap rows and columns
_STRIP = 128  # rows per decoded strip
_OF_AN_OUTPUT = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)
_UNSUPPORTED = re.compile(r"unsupported|not supported|unimplemented|not implemented|no support", re.IGNORECASE)
_PILLOW_ERRORS = (OSError, SyntaxError, ValueError, struct.error)


class ImageFileError(NitidoError):
    """An image file or folder that cannot be read or written."""


@dataclass(frozen=True, slots=True, eq=False)
class DecodedImage:
    """A decoded image in upright orientation, with metadata of its file.

    Attributes:
        path: The file.
        format: One of the names in `FORMATS`.
        pixels: `(H, W, C)`, uint8 or uint16 over the full range, C = 1 (gray) or 3 (RGB).
        alpha: `(H, W)` of the same type (0 = transparent), or None for an opaque format.
        icc_profile: Color space of the pixels; None means sRGB (or gray with sRGB's transfer curve).
        notes: What of the file is not in the pixels, and what they were converted from, in words.
        transposed: Whether rows and columns of the file were swapped.
    """

    path: Path
    format: str
    pixels: Pixels
    alpha: Pixels | None = None
    icc_profile: bytes | None = None
    notes: tuple[str, ...] = ()
    transposed: bool = False

    @property
    def height(self) -> int:
        """Number of rows."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Number of columns."""
        return int(self.pixels.shape[1])

    def rgb8(self) -> npt.NDArray[np.uint8]:
        """Return the pixels as uint8 RGB `(H, W, 3)`: 16 bits rounded to 8, gray repeated, alpha dropped."""
        pixels = self.pixels
        if pixels.dtype == np.uint16:
            pixels = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
        return np.broadcast_to(pixels, (*pixels.shape[:2], 3)).astype(np.uint8)


def load_image(path: Path, empty: Empty | None = None, release: Callable[[], None] = lambda: None) -> DecodedImage:
    """Decode the image at `path`. Its content decides the format, not its name.

    Palettes and 1-bit images are expanded. CMYK (by its profile) and CIELAB are converted to sRGB. The orientation of
    EXIF, or else of XMP, is applied. Extra channels of a TIFF that are not marked as transparency are dropped. A JPEG
    that lacks only its end marker is read. AVIF's 10 and 12 bits are rescaled to 16. RGB and gray values stay as
    stored: the ICC profile is returned, not applied. JPEG gives the standard pixels of libjpeg.

    Args:
        path: The file.
        empty: Allocates the array into which samples are decoded strip by strip; `pixels` and `alpha` are then views of
            it with any strides. Without it, they are separate arrays in C order.
        release: Called after every strip, for arrays whose memory can be released.

    Raises:
        ImageFileError: The file does not exist, has none of the six formats, is damaged or truncated, has several
            pages or frames, or its samples are not 8 or 16 bits of gray or color. The message names the file and the
            reason. (JPEG has no checksum: a few wrong bytes in the middle still decode to an image.)
        OSError: `empty` is out of memory or disk space.
    """
    with _opened(path) as (file, kind):
        image = _decode_bmp(path, file) if kind == "bmp" else _decode(path, kind, file, empty or np.empty, release)
    if empty is not None:
        return image
    alpha = None if image.alpha is None else np.ascontiguousarray(image.alpha)
    return replace(image, pixels=np.ascontiguousarray(image.pixels), alpha=alpha)


def read_size(path: Path) -> tuple[int, int]:
    """Return (width, height) of the upright image at `path`, read from the header only.

    Raises:
        ImageFileError: The header cannot be read.
    """
    with _opened(path) as (file, kind):
        if kind == "bmp":
            return _bitmap(file).size
        image = open_lazily(kind, file)
        transposed = _orientation(kind, image, _tags(path) if kind == "tiff" else {}) > _LAST_NOT_TRANSPOSED
        return (image.height, image.width) if transposed else (image.width, image.height)


def lost_in_rgb8(path: Path) -> list[str]:
    """Return in words what `DecodedImage.rgb8` drops or rounds of the image at `path`, read from the header only.

    Raises:
        ImageFileError: The header cannot be read.
    """
    with _opened(path) as (file, kind):
        if kind == "bmp":
            return []
        image = open_lazily(kind, file)
        cmyk = image.interpretation == "cmyk"
        colors = 1 if image.interpretation in ("b-w", "grey16") else 4 if cmyk else 3
        transparent = _alpha(kind, _tags(path) if kind == "tiff" else {}, colors, image.bands) is not None
        facts = {
            "the alpha channel is ignored, so colors of transparent pixels count": transparent,
            "more than 8 bits per channel are rounded to 8": image.format != "uchar",
            "CMYK is converted to sRGB": cmyk,
            "CIELAB is converted to sRGB": image.interpretation in ("lab", "labs"),
        }
        return [words for words, holds in facts.items() if holds]


def decoder_versions() -> str:
    """Return the versions of the libraries that decode images, as "libvips 8.18.0, Pillow 12.0.0"."""
    return f"libvips {'.'.join(str(pyvips.version(part)) for part in range(3))}, Pillow {PIL.__version__}"


def save_image(path: Path, pixels: Pixels) -> None:
    """Write `pixels` atomically to `path`. The suffix gives the format.

    PNG, TIFF (deflate), WebP and BMP are lossless. JPEG has quality 95 and AVIF 90, both without chroma subsampling.

    Args:
        path: The file.
        pixels: uint8 or uint16, `(H, W)` or `(H, W, C)` with C = 1 (gray) or 3 (RGB). Only PNG and TIFF store uint16.

    Raises:
        ImageFileError: The format does not support the array, or writing fails.
    """
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise ImageFileError(f"{path}: cannot write this kind of file (valid: {', '.join(FORMATS)})")
    samples = pixels if pixels.ndim == 3 else pixels.reshape(*pixels.shape, 1)
    fits = samples.ndim == 3 and samples.shape[2] in (1, 3) and samples.size > 0
    if not fits or samples.dtype not in (np.uint8, np.uint16):
        raise ImageFileError(
            f"{path}: cannot write a {pixels.dtype} array {pixels.shape} as an image: it must be uint8 or uint16, "
            "(H, W), (H, W, 1) or (H, W, 3)"
        )
    if pixels.dtype == np.uint16 and kind not in ("png", "tiff"):
        raise ImageFileError(f"{path}: {kind.upper()} does not support 16 bits: write PNG or TIFF, or convert to uint8")
    try:
        encoded = _encode(kind, samples)
        with replacing(path) as draft:
            draft.write_bytes(encoded)
    except pyvips.Error as error:
        raise ImageFileError(f"{path}: cannot be written: {_condensed(error)}") from None
    except OSError as error:
        raise ImageFileError(f"{path}: cannot be written: {error.strerror or error}") from None


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, str]]:
    """Yield the open file and its format.

    Convert every failure inside to a `ImageFileError` that starts with the path.
    """
    kind, reason = "", ""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_SIZE)
            file.seek(0)
            kind = _recognized(head)
            yield file, kind
    except _UnfitError as error:
        raise ImageFileError(f"{path}: {error}") from None
    except pyvips.Error as error:
        reason = _unsupported(path, kind, error) or f"damaged or incomplete {kind.upper()}: {_condensed(error)}"
        raise ImageFileError(f"{path}: {reason}") from None
    except _PILLOW_ERRORS as error:
        if kind and getattr(error, "errno", None) in _OF_AN_OUTPUT:
            raise  # from `empty`, which may allocate an array in a file
        message = getattr(error, "strerror", None) or error
        reason = f"damaged or incomplete {kind.upper()}: {error}" if kind else str(message)
        raise ImageFileError(f"{path}: {reason}") from None


class _UnfitError(Exception):
    """Why a file cannot be read as an image, without the path, which the caller adds."""


def _recognized(head: bytes) -> str:
    """Return the format of a file that begins with `head`."""
    if not head:
        raise _UnfitError("the file is empty")
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        if b"acTL" in head.partition(b"IDAT")[0]:
            raise _UnfitError("an animated PNG: only single images can be read")
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "tiff"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith(b"BM"):
        return "bmp"
    brand = avif_brand(head)
    if brand == SEQUENCE:
        raise _UnfitError("an animated or multi-image AVIF: only single images can be read")
    if brand is not None:
        return "avif"
    raise _UnfitError("not a PNG, JPEG, BMP, TIFF, WebP or AVIF image")


def _unsupported(path: Path, kind: str, error: pyvips.Error) -> str | None:
    """Return which feature of a file libvips does not support; None if the file itself is at fault."""
    samples = unsupported_samples(_tags(path)) if kind == "tiff" else None
    if samples is not None:
        return _unsupported_samples(samples)
    said = _condensed(error)
    return f"unsupported {kind.upper()}: {said}" if _UNSUPPORTED.search(said) else None


def _unsupported_samples(samples: str) -> str:
    return f"unsupported: {samples}: only 8 and 16 bits of gray, RGB and CMYK, and CIELAB of 16 bits, can be read"


def _tags(path: Path) -> dict[int, tuple[int, ...]]:
    """Return the tags of a TIFF, or none if they cannot be read.

    The file is opened again because libvips moves its position.
    """
    try:
        with path.open("rb") as file:
            return tiff_tags(file)
    except struct.error:
        return {}


def _condensed(error: pyvips.Error) -> str:
    """Return the last line of a libvips error, which is the most specific one."""
    lines = [line.strip() for line in str(error.detail or error.message).splitlines() if line.strip()]
    return lines[-1] if lines else "unknown error"


def open_lazily(kind: str, file: BinaryIO) -> Any:
    """Return a lazy libvips image of an open file of the format `kind`; only the header is read."""
    # A descriptor instead of a name: libvips parses options in some names and caches files that have since changed.
    source = pyvips.Source.new_from_descriptor(file.fileno())
    if kind == "avif":  # disable libheif's size limit, because callers check the size
        return pyvips.Image.heifload_source(source, access="sequential", fail_on="error", unlimited=True)
    loader = getattr(pyvips.Image, f"{kind}load_source")
    return loader(source, access="sequential", fail_on="error")


def _load_jpeg(file: BinaryIO) -> tuple[Any, list[str]]:
    """Return a lazy libvips image and notes about its file."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        segments = jpeg_segments(content)
        if segments.end is not None or not segments.all_scans:
            return open_lazily("jpeg", file), []
        completed = content[:] + END_OF_IMAGE
    # With the end marker added, libjpeg warns only of missing coded data.
    image = pyvips.Image.jpegload_buffer(completed, access="sequential", fail_on="warning")
    return image, ["its end marker is missing, but no pixels are"]


def _orientation(kind: str, image: Any, tags: dict[int, tuple[int, ...]]) -> int:
    """Return the orientation, 1 to 8, from EXIF or TIFF (whose `tags` are given), or else from XMP. Default: 1."""
    if kind == "avif":  # libheif has applied AVIF's own transformations; EXIF and XMP must be ignored
        return 1
    stated = ORIENTATION in tags if tags else image.get_typeof("orientation")  # libvips sets a default for every TIFF
    if stated:
        return int(image.get("orientation"))
    return (xmp_orientation(bytes(image.get("xmp-data"))) if image.get_typeof("xmp-data") else None) or 1


def _upright(samples: Pixels, orientation: int) -> Pixels:
    """Return a view of `(H, W, C)` samples with EXIF's orientation applied (EXIF 2.3, section 4.6.4)."""
    views = {
        2: samples[:, ::-1],
        3: samples[::-1, ::-1],
        4: samples[::-1],
        5: samples.swapaxes(0, 1),
        6: samples[::-1].swapaxes(0, 1),
        7: samples[::-1, ::-1].swapaxes(0, 1),
        8: samples[:, ::-1].swapaxes(0, 1),
    }
    return views.get(orientation, samples)


def _samples(image: Any, bits: int, empty: Empty, release: Callable[[], None]) -> Pixels:
    """Return the samples of a libvips image, `(H, W, C)`, decoded from top to bottom.

    uint16 samples have `bits` valid bits.
    """
    dtype = np.uint8 if image.format == "uchar" else np.uint16
    samples = empty((image.height, image.width, image.bands), dtype)
    region = pyvips.Region.new(image)
    for top in range(0, image.height, _STRIP):
        strip = samples[top : top + _STRIP]
        read = np.frombuffer(region.fetch(0, top, image.width, len(strip)), dtype).reshape(strip.shape)
        strip[...] = spread_over_16_bits(read, bits) if bits < 16 else read
        release()
    return samples


def _decode(path: Path, kind: str, file: BinaryIO, empty: Empty, release: Callable[[], None]) -> DecodedImage:
    tags = _tags(path) if kind == "tiff" else {}
    image, notes = _load_jpeg(file) if kind == "jpeg" else (open_lazily(kind, file), [])
    pages = image.get("n-pages") if image.get_typeof("n-pages") else 1
    if pages > 1:
        raise _UnfitError(f"{pages} pages or frames: only single images can be read")
    orientation = _orientation(kind, image, tags)
    profile = bytes(image.get("icc-profile-data")) if image.get_typeof("icc-profile-data") else None
    if image.interpretation in ("lab", "labs") and image.bands == 3:
        # TIFF's CIELAB is relative to D50, as is ICC's (TIFF Technical Note 5, Adobe Photoshop).
        image = image.icc_export(output_profile="srgb", depth=16, intent="relative")
        profile = None
        notes.append("CIELAB was converted to sRGB")
    if image.format not in ("uchar", "ushort"):
        raise _UnfitError(f"{image.format} samples: only 8 and 16 bit images can be read")
    if image.interpretation == "cmyk" and image.bands == 4:
        depth = 16 if image.format == "ushort" else 8
        image = image.icc_transform("srgb", embedded=True, input_profile="cmyk", depth=depth)
        profile = None
        notes.append("CMYK was converted to sRGB")
    if image.interpretation not in ("b-w", "grey16", "srgb", "rgb16") or image.bands > 4:
        samples = unsupported_samples(tags)
        if samples is not None:
            raise _UnfitError(_unsupported_samples(samples))
        raise _UnfitError(f"{image.bands} channels of {image.interpretation}: only gray, RGB and CMYK can be read")
    first_extra = 1 if image.interpretation in ("b-w", "grey16") else 3
    alpha = _alpha(kind, tags, first_extra, image.bands)
    left_out = image.bands - first_extra - (alpha is not None)
    if left_out:
        channels = "a fourth channel" if (first_extra, image.bands) == (3, 4) else "channels"
        notes.append(f"dropped {channels} besides the colors, not marked as transparency")
    bits = int(image.get("bits-per-sample")) if kind == "avif" and image.format == "ushort" else 16
    upright = _upright(_samples(image, bits, empty, release), orientation)
    transparency = None if alpha is None else upright[:, :, alpha]
    transposed = orientation > _LAST_NOT_TRANSPOSED
    return DecodedImage(path, kind, upright[:, :, :first_extra], transparency, profile, tuple(notes), transposed)


def _alpha(kind: str, tags: dict[int, tuple[int, ...]], first_extra: int, bands: int) -> int | None:
    """Return which of the `bands` is the transparency; `first_extra` is the first band after the colors."""
    extra = range(first_extra, bands)
    if kind != "tiff":
        return extra[0] if extra else None
    said = tags.get(EXTRA_SAMPLES, ())
    found = [band for band, meaning in zip(extra, said, strict=False) if meaning in TRANSPARENCY]
    if found and len(extra) > 1 and 1 in said:
        raise _UnfitError(f"unsupported: premultiplied transparency among {len(extra)} extra channels")
    return found[0] if found else None


def _decode_bmp(path: Path, file: BinaryIO) -> DecodedImage:
    bitmap = _bitmap(file)
    samples = np.array(bitmap.convert({"1": "L", "P": "RGB"}.get(bitmap.mode, bitmap.mode)))
    samples = samples if samples.ndim == 3 else samples[:, :, None]
    alpha = samples[:, :, 3] if samples.shape[2] == 4 else None
    return DecodedImage(path, "bmp", samples[:, :, :3], alpha)


def _bitmap(file: BinaryIO) -> Image.Image:
    """Return a lazy BMP of any size; `Image.open` would warn of large ones and refuse larger ones."""
    return BmpImagePlugin.BmpImageFile(file)


def _encode(kind: str, pixels: Pixels) -> bytes:
    """Return the content of a file of this kind with `(H, W, C)` pixels."""
    if kind == "bmp":
        buffer = io.BytesIO()
        Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels).save(buffer, format="BMP")
        return buffer.getvalue()
    grey, color = ("b-w", "srgb") if pixels.dtype == np.uint8 else ("grey16", "rgb16")
    image = pyvips.Image.new_from_array(pixels, interpretation=grey if pixels.shape[2] == 1 else color)
    options: dict[str, dict[str, Any]] = {
        "png": {},
        "jpeg": {"Q": 95, "subsample_mode": "off"},
        "tiff": {"compression": "deflate"},
        "webp": {"lossless": True},
        "avif": {"compression": "av1", "Q": 90, "subsample_mode": "off"},
    }
    writer = "heif" if kind == "avif" else kind
    encoded: bytes = getattr(image, f"{writer}save_buffer")(**options[kind])
    return encoded
