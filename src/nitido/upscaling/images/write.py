"""From a `ImageWithMetadata` to a picture file that is whole or not there."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyvips
from PIL import ExifTags, Image

from nitido.base.atomic import replacing, write_bytes
from nitido.imaging import PictureError
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
"""Pixels of the largest picture that is made."""

_NAMED = 5  # metadata that a format did not take and that are named
_EXIF_LEFT_OUT = {0xEA1C, 0x9214, 0xA214, 0x0201, 0x0202}  # padding; places and previews of the old pixels
_MATRIX = 6  # BT.601 (ITU-T H.273, table 4): by which libheif makes luma and chroma where it is told nothing
_SRGB_SPACE = ((0.3127, 0.3290), ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06)), (2.2,))
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


def losses(photo: ImageWithMetadata, path: Path) -> list[str]:
    """What reading `photo` changed and the format of `path` cannot keep of it, in words.

    Raises `PictureError` when it is the transparency: that would be another picture.
    """
    kind = format_of(path)
    name = kind.name.upper()
    if photo.alpha is not None and not kind.alpha:
        raise PictureError(
            f"{path}: {name} cannot hold this picture's transparency: write PNG, TIFF, WebP or AVIF, "
            "or put a color under it: --background white"
        )
    lost = list(photo.notes)
    if photo.bits > kind.bits:
        lost.append(f"{name} holds {kind.bits} bits a sample, not {photo.bits}")
    if "exif-data" in photo.metadata.blobs and not kind.exif:
        lost.append(f"EXIF is not kept in {name}")
    texts = [content.partition(b"\0")[0].decode("latin-1") for _, content in photo.metadata.png_texts]
    if texts and kind.name != "png":
        lost.append(f"{name} holds no texts of PNG: {', '.join(_shortly(texts))}")
    if not _keeps_iptc(photo, kind):
        lost.append("IPTC is only kept from JPEG to JPEG")
    if photo.icc_profile is not None and not kind.profile:
        lost.append(f"{name} holds no colour profile")
    if "xmp-data" in photo.metadata.blobs and not kind.profile:
        lost.append(f"{name} holds no XMP")
    return lost + _color_losses(photo, kind)


def _color_losses(photo: ImageWithMetadata, kind: FileFormat) -> list[str]:
    """What the format cannot keep of a colour space that is named without an ICC profile."""
    color, name = photo.color, kind.name.upper()
    if color is None or color.name == "sRGB" or (photo.icc_profile is not None and color.code_points is None):
        return []
    if color.icc_profile is not None:
        return [] if kind.profile else [f"{name} holds no colour profile: the colours ({color.name}) will look wrong"]
    if kind.name not in ("png", "avif"):
        return [f"{name} cannot say that the colours are {color.name}: they will look wrong (PNG and AVIF can)"]
    lost = [chunk.decode("latin-1") for chunk, _ in color.png_chunks if chunk.lower() in (b"mdcv", b"clli")]
    return [f"AVIF gets no {', '.join(lost)} of the PNG"] if lost and kind.name == "avif" else []


def write_image(
    path: Path,
    photo: ImageWithMetadata,
    workspace: Workspace | None = None,
    pulse: Callable[[], None] = lambda: None,
    before: Callable[[Path], None] | None = None,
) -> list[str]:
    """Write `photo` atomically in the format of the suffix of `path`; return in words which metadata it did not take.

    PNG, TIFF, WebP and BMP are lossless, JPEG has quality 95 and AVIF 90, both without chroma subsampling. Samples of
    too many bits are rounded, into an array of `workspace`. `pulse` is called while a file grows, maybe by another
    thread, and may stop the writing by an exception. `before` receives the finished draft before it becomes `path`.
    Raises what these raise, `PictureError` when the format cannot hold the picture, OSError as the disk does.
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
        raise PictureError(f"{path}: cannot be written: {reason}") from None
    return _not_taken(path, kind, photo)


def _not_taken(path: Path, kind: FileFormat, photo: ImageWithMetadata) -> list[str]:
    """What of the metadata is not in the file that was written, in words: encoders leave out what is too long."""
    if not kind.exif and not kind.profile:
        return []
    with path.open("rb") as file:
        source = pyvips.Source.new_from_descriptor(file.fileno())
        written = getattr(pyvips.Image, f"{_libvips_name(kind)}load_source")(source)
        names = set(written.get_fields())
        exif = bytes(written.get("exif-data")) if "exif-data" in names else b""
    lost = _lost_exif(photo, exif, kind) if kind.exif else []
    if "xmp-data" in photo.metadata.blobs and kind.profile and "xmp-data" not in names:
        lost.append(f"{kind.name.upper()} did not take the XMP")
    if photo.icc_profile is not None and kind.profile and "icc-profile-data" not in names:
        lost.append(f"{kind.name.upper()} did not take the colour profile")
    return lost


def _lost_exif(photo: ImageWithMetadata, written: bytes, kind: FileFormat) -> list[str]:
    """Which tags of the EXIF of `photo` are not in the EXIF that was written, in words."""
    given = photo.metadata.blobs.get("exif-data")
    if given is None:
        return []
    try:
        before, note = exif_tags(given), maker_note(given)
    except struct.error:
        return ["its EXIF is damaged: not all of it is kept"]
    missing = before - exif_tags(written) - _EXIF_LEFT_OUT
    if maker_note(written) != note:  # libexif writes the notes of makers that it knows in its own way
        missing.add(MAKER_NOTE)
    names = [str(ExifTags.TAGS.get(tag, f"0x{tag:04X}")) for tag in sorted(missing)]
    return [f"{kind.name.upper()} did not take EXIF's {', '.join(_shortly(names))}"] if names else []


def _shortly(names: list[str]) -> list[str]:
    """The first few of `names`, and how many more there are."""
    return names[:_NAMED] + ([f"{len(names) - _NAMED} more"] if len(names) > _NAMED else [])


def _libvips_name(kind: FileFormat) -> str:
    return "heif" if kind.name == "avif" else kind.name


def _keeps_iptc(photo: ImageWithMetadata, kind: FileFormat) -> bool:
    """Whether there is no IPTC, or it has the wrapping of the format: libvips copies its bytes as they are."""
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
    grey, colour = ("b-w", "srgb") if bits == 8 else ("grey16", "rgb16")
    space = grey if photo.pixels.shape[2] == 1 else colour
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
