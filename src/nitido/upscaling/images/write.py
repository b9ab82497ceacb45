"""Writes an `ImageWithMetadata` to a file atomically."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyvips
from PIL import ExifTags, Image

from nitido.base.atomic import replacing, write_bytes
from nitido.imaging import ImageFileError
from nitido.imaging.files import Pixels
from nitido.imaging.tiff_tags import MAKER_NOTE, exif_tags, maker_note
from nitido.upscaling.images.avif_boxes import with_code_points
from nitido.upscaling.images.depth import convert_depth
from nitido.upscaling.images.formats import FileFormat, format_of
from nitido.upscaling.images.icc_profile import rgb_profile
from nitido.upscaling.images.image_with_metadata import ImageWithMetadata
from nitido.upscaling.images.png_chunks import SIGNATURE_AND_HEADER, png_chunk
from nitido.upscaling.images.stream import write_stream
from nitido.upscaling.workspace import Workspace

LARGEST_RESULT = 2**30
"""Maximum number of pixels of a result."""

_NAMED = 5  # maximum number of listed metadata
_EXIF_LEFT_OUT = {0xEA1C, 0x9214, 0xA214, 0x0201, 0x0202}  # padding; positions and previews of the old pixels
_MATRIX = 6  # BT.601 (ITU-T H.273, table 4), libheif's default for luma and chroma
_SRGB_SPACE = ((0.3127, 0.3290), ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06)), (2.2,))
_SMALL_TIFF = 2**32 - 2**24  # maximum bytes of samples for which TIFF's limit of 4 GB is not exceeded


def check_size(path: Path, width: int, height: int) -> None:
    """Raise `ImageFileError` if the format of `path` does not support `width` × `height`, or it exceeds the limit."""
    kind = format_of(path)
    if max(width, height) > kind.largest_side:
        raise ImageFileError(
            f"{path}: {kind.name.upper()} supports at most {kind.largest_side:,} pixels per side, "
            f"but the result is {width}×{height}: write PNG or TIFF"
        )
    if width * height > LARGEST_RESULT:
        raise ImageFileError(
            f"{path}: the result is {width}×{height}, more than {LARGEST_RESULT / 1e6:.0f} million pixels: "
            "use a smaller scale, or upscale a part"
        )


def losses(photo: ImageWithMetadata, path: Path) -> list[str]:
    """Return in words what reading `photo` changed and what the format of `path` cannot store.

    Raises:
        ImageFileError: The format does not support the image's transparency.
    """
    kind = format_of(path)
    name = kind.name.upper()
    if photo.alpha is not None and not kind.alpha:
        raise ImageFileError(
            f"{path}: {name} does not support this image's transparency: write PNG, TIFF, WebP or AVIF, "
            "or choose a background color: --background white"
        )
    lost = list(photo.notes)
    if photo.bits > kind.bits:
        lost.append(f"{name} stores {kind.bits} bits per sample, not {photo.bits}")
    if "exif-data" in photo.metadata.blobs and not kind.exif:
        lost.append(f"{name} stores no EXIF")
    texts = [content.partition(b"\0")[0].decode("latin-1") for _, content in photo.metadata.png_texts]
    if texts and kind.name != "png":
        lost.append(f"{name} stores no PNG texts: {', '.join(_shortly(texts))}")
    if not _keeps_iptc(photo, kind):
        lost.append("IPTC is only copied from JPEG to JPEG")
    if photo.icc_profile is not None and not kind.profile:
        lost.append(f"{name} stores no color profile")
    if "xmp-data" in photo.metadata.blobs and not kind.profile:
        lost.append(f"{name} stores no XMP")
    return lost + _color_losses(photo, kind)


def _color_losses(photo: ImageWithMetadata, kind: FileFormat) -> list[str]:
    """Return what the format cannot store of a color space without an ICC profile."""
    color, name = photo.color, kind.name.upper()
    if color is None or color.name == "sRGB" or (photo.icc_profile is not None and color.code_points is None):
        return []
    if color.icc_profile is not None:
        return [] if kind.profile else [f"{name} stores no color profile: the colors ({color.name}) will look wrong"]
    if kind.name not in ("png", "avif"):
        return [f"{name} does not support the color space {color.name}: colors will look wrong (use PNG or AVIF)"]
    lost = [chunk.decode("latin-1") for chunk, _ in color.png_chunks if chunk.lower() in (b"mdcv", b"clli")]
    return [f"{', '.join(lost)} of the PNG are not copied to AVIF"] if lost and kind.name == "avif" else []


def write_image(
    path: Path,
    photo: ImageWithMetadata,
    workspace: Workspace | None = None,
    pulse: Callable[[], None] = lambda: None,
    before: Callable[[Path], None] | None = None,
) -> list[str]:
    """Write `photo` atomically in the format of the suffix of `path`; return in words which metadata were not written.

    PNG, TIFF, WebP and BMP are lossless. JPEG has quality 95 and AVIF 90, both without chroma subsampling. Samples with
    too many bits are rounded.

    Args:
        path: The file.
        photo: The image.
        workspace: Allocates intermediate arrays.
        pulse: Called during writing, possibly in another thread; an exception stops the writing.
        before: Called with the complete draft before it replaces `path`.

    Raises:
        ImageFileError: The format does not support the image.
        OSError: The disk is full or read-only.
    """
    workspace = workspace or Workspace()
    kind = format_of(path)
    check_size(path, photo.pixels.shape[1], photo.pixels.shape[0])
    losses(photo, path)
    try:
        if kind.name == "bmp":
            _write_bmp(path, photo.pixels, before)
        else:
            _write(path, kind, photo, workspace, pulse, before)
    except pyvips.Error as error:
        reason = " ".join(str(error.detail or error.message).split())
        raise ImageFileError(f"{path}: cannot be written: {reason}") from None
    return _not_taken(path, kind, photo)


def _not_taken(path: Path, kind: FileFormat, photo: ImageWithMetadata) -> list[str]:
    """Return in words which metadata are not in the written file, because encoders drop metadata that is too long."""
    if not kind.exif and not kind.profile:
        return []
    with path.open("rb") as file:
        source = pyvips.Source.new_from_descriptor(file.fileno())
        written = getattr(pyvips.Image, f"{_libvips_name(kind)}load_source")(source)
        names = set(written.get_fields())
        exif = bytes(written.get("exif-data")) if "exif-data" in names else b""
    lost = _lost_exif(photo, exif, kind) if kind.exif else []
    if "xmp-data" in photo.metadata.blobs and kind.profile and "xmp-data" not in names:
        lost.append(f"the XMP was not written to {kind.name.upper()}")
    if photo.icc_profile is not None and kind.profile and "icc-profile-data" not in names:
        lost.append(f"the color profile was not written to {kind.name.upper()}")
    return lost


def _lost_exif(photo: ImageWithMetadata, written: bytes, kind: FileFormat) -> list[str]:
    """Return in words which EXIF tags of `photo` were not written."""
    given = photo.metadata.blobs.get("exif-data")
    if given is None:
        return []
    try:
        before, note = exif_tags(given), maker_note(given)
    except struct.error:
        return ["its EXIF is damaged and was not copied completely"]
    missing = before - exif_tags(written) - _EXIF_LEFT_OUT
    if maker_note(written) != note:  # libexif rewrites the maker notes that it supports
        missing.add(MAKER_NOTE)
    names = [str(ExifTags.TAGS.get(tag, f"0x{tag:04X}")) for tag in sorted(missing)]
    return [f"EXIF's {', '.join(_shortly(names))} were not written to {kind.name.upper()}"] if names else []


def _shortly(names: list[str]) -> list[str]:
    """Return the first few of `names`, and the number of others."""
    return names[:_NAMED] + ([f"{len(names) - _NAMED} more"] if len(names) > _NAMED else [])


def _libvips_name(kind: FileFormat) -> str:
    return "heif" if kind.name == "avif" else kind.name


def _keeps_iptc(photo: ImageWithMetadata, kind: FileFormat) -> bool:
    """Return whether there is no IPTC or it has the format's own wrapping, because libvips copies it unchanged."""
    iptc = photo.metadata.blobs.get("iptc-data")
    return iptc is None or (kind.name == "jpeg" and iptc.startswith(b"Photoshop 3.0"))


def _write_bmp(path: Path, pixels: Pixels, before: Callable[[Path], None] | None) -> None:
    samples = convert_depth(pixels, 8)
    with replacing(path, before) as draft:
        Image.fromarray(samples[:, :, 0] if samples.shape[2] == 1 else samples).save(draft, format="BMP")


def _write(
    path: Path,
    kind: FileFormat,
    photo: ImageWithMetadata,
    workspace: Workspace,
    pulse: Callable[[], None],
    before: Callable[[Path], None] | None,
) -> None:
    options = dict(kind.options)
    bits = min(photo.bits, 8 if kind.bits == 8 else 16)
    planes = [convert_depth(plane, bits, workspace) for plane in (photo.pixels, photo.alpha) if plane is not None]
    if kind.name == "avif" and bits == 16:
        options["bitdepth"] = kind.bits
        # libvips shifts back
        planes = [((plane.astype(np.uint32) * 4095 + 32767) // 65535 << 4).astype(np.uint16) for plane in planes]
    if kind.name == "tiff" and sum(plane.nbytes for plane in planes) > _SMALL_TIFF:
        options["bigtiff"] = True
    grey, color = ("b-w", "srgb") if bits == 8 else ("grey16", "rgb16")
    space = grey if photo.pixels.shape[2] == 1 else color
    image, *alpha = (pyvips.Image.new_from_array(plane, interpretation=space) for plane in planes)
    image = photo.metadata.put_on(image.bandjoin(alpha) if alpha else image)
    if not _keeps_iptc(photo, kind):
        image.remove("iptc-data")
    profile, points = photo.icc_profile, None
    chunks = photo.color.chunks if photo.color is not None and kind.name == "png" else ()
    if photo.color is not None and not chunks and profile is None:
        profile = photo.color.icc_profile
        points = photo.color.code_points if kind.name == "avif" else None
    if kind.name == "png":
        chunks += photo.metadata.png_texts
    if points is not None:
        profile = rgb_profile("room for code points", *_SRGB_SPACE)
    if (
        profile is None
        and (photo.color is None or photo.color.name == "sRGB")
        and not photo.metadata.states_color_space
    ):
        image.set_type(pyvips.GValue.gstr_type, "exif-ifd2-ColorSpace", "1")  # sRGB; libexif would say "uncalibrated"
    if profile is not None:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)

    def pulsed() -> None:
        workspace.release()
        pulse()

    if points is not None:
        avif = image.heifsave_buffer(**options)
        write_bytes(path, with_code_points(avif, *points, _MATRIX), before)
        return
    save = getattr(image, f"{_libvips_name(kind)}save_target")
    insert = (SIGNATURE_AND_HEADER, b"".join(png_chunk(*chunk) for chunk in chunks))
    write_stream(path, lambda target: save(target, **options), pulsed, insert, before)
