"""An image in memory with all metadata of its file."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyvips

from nitido.imaging.files import Pixels
from nitido.imaging.tiff_tags import COLOR_SPACE, exif_tags
from nitido.imaging.xmp import with_size, without_lost_parts
from nitido.upscaling.images.color_signal import ColorSignal

_EXIF_HEAD = b"Exif\0\0"
_BLOBS = ("exif-data", "xmp-data", "iptc-data")
_TEXTS = ("exif-ifd", "image-description")
_OF_THE_OLD_PIXELS = ("exif-ifd0-Orientation", "exif-ifd1-")  # ifd1 is the thumbnail's
_PLACES = ("exif-ifd2-SubjectArea", "exif-ifd2-SubjectLocation")  # in pixels of the old image
_WIDTHS = ("exif-ifd0-ImageWidth", "exif-ifd4-RelatedImageWidth")
_HEIGHTS = ("exif-ifd0-ImageLength", "exif-ifd4-RelatedImageLength")

_UNKNOWN_RESOLUTION = (72 / 25.4, 72 / 25.4)
"""The value that EXIF 2.3 specifies for an unknown resolution: 72 pixels per inch."""


@dataclass(frozen=True)
class Metadata:
    """The metadata of a file, for upright pixels.

    Attributes:
        blobs: Binary metadata (EXIF, XMP, IPTC) by libvips' names; the thumbnail is removed.
        texts: Text metadata by libvips' names; the orientation is reset.
        resolution: Pixels per millimeter, horizontal and vertical.
        resolution_unit: The unit in the file.
        size: The (width, height) to which the metadata refer.
        lost: In words, what the metadata describe that is not preserved.
        png_texts: The text chunks of a PNG.
    """

    blobs: Mapping[str, bytes] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    resolution: tuple[float, float] = _UNKNOWN_RESOLUTION
    resolution_unit: str | None = None
    size: tuple[int, int] = (1, 1)
    lost: tuple[str, ...] = ()
    png_texts: tuple[tuple[bytes, bytes], ...] = ()

    @classmethod
    def of(cls, image: Any, transposed: bool) -> "Metadata":
        """Return the metadata of a libvips image, of which only the header is read.

        `transposed` says whether rows and columns are swapped when the image is made upright.
        """
        names = image.get_fields()
        blobs = {name: bytes(image.get(name)) for name in _BLOBS if name in names}
        if "exif-data" in blobs:
            blobs["exif-data"] = _without_thumbnail(blobs["exif-data"])
        lost: list[str] = []
        if "xmp-data" in blobs:
            blobs["xmp-data"], lost = without_lost_parts(blobs["xmp-data"])
        texts = {
            name: str(image.get(name))
            for name in names
            if name.startswith(_TEXTS) and not name.startswith((*_OF_THE_OLD_PIXELS, *_PLACES))
        }
        lost += [f"EXIF {name.rpartition('-')[2]}" for name in _PLACES if name in names]
        resolution = (float(image.xres), float(image.yres))
        if resolution == (1.0, 1.0):  # unknown in libvips
            resolution = _UNKNOWN_RESOLUTION
        size = (int(image.width), int(image.height))
        if transposed:
            resolution, size = resolution[::-1], size[::-1]
        unit = str(image.get("resolution-unit")) if "resolution-unit" in names else None
        return cls(blobs, texts, resolution, unit, size, tuple(lost))

    @property
    def states_color_space(self) -> bool:
        """Whether the EXIF has a tag for the color space; true for a damaged one, which is not corrected."""
        try:
            return COLOR_SPACE in exif_tags(self.blobs["exif-data"]) if "exif-data" in self.blobs else False
        except struct.error:
            return True

    def put_on(self, image: Any) -> Any:
        """Return a copy of a libvips image with the metadata, updated to the size of `image`.

        libvips itself updates EXIF's PixelXDimension and PixelYDimension when it saves.
        """
        carrier = image.copy()
        for name, blob in self.blobs.items():
            if name == "xmp-data":
                blob = with_size(blob, self.size, (image.width, image.height))
            carrier.set_type(pyvips.GValue.blob_type, name, blob)
        across, down = self.resolution
        carrier = carrier.copy(xres=across, yres=down)  # after EXIF, whose resolution would override the image's
        for name, text in self.texts.items():
            if name in _WIDTHS + _HEIGHTS:
                text = str(image.width if name in _WIDTHS else image.height)
            carrier.set_type(pyvips.GValue.gstr_type, name, text)
        for name in carrier.get_fields():
            if name.startswith(_PLACES):
                carrier.remove(name)
        if self.resolution_unit is not None:
            carrier.set_type(pyvips.GValue.gstr_type, "resolution-unit", self.resolution_unit)
        carrier.set_type(pyvips.GValue.gint_type, "orientation", 1)  # last, because EXIF contains its own
        return carrier


def _without_thumbnail(exif: bytes) -> bytes:
    """Return EXIF without its second directory, which is the thumbnail's (EXIF 2.3, section 4.5.2)."""
    start = len(_EXIF_HEAD) if exif.startswith(_EXIF_HEAD) else 0
    order = {b"II": "<", b"MM": ">"}.get(exif[start : start + 2])
    try:
        if order is None:
            return exif
        (directory,) = struct.unpack_from(f"{order}I", exif, start + 4)
        (entries,) = struct.unpack_from(f"{order}H", exif, start + directory)
        link = start + directory + 2 + 12 * entries
        struct.unpack_from(f"{order}I", exif, link)
    except struct.error:  # truncated; libvips reads what it can
        return exif
    return exif[:link] + bytes(4) + exif[link + 4 :]


@dataclass(frozen=True, slots=True, eq=False)
class ImageWithMetadata:
    """An upright image with its metadata: `pixels`, `alpha` and `icc_profile` as in `nitido.imaging.DecodedImage`.

    RGB and gray values are those of the file, in the color space of `icc_profile`, and are not converted for the
    network. Conversion to sRGB and back would lose colors outside sRGB and add rounding errors, without a benefit:
    sharpening edges is the same task in every RGB space with a transfer curve like sRGB's. CMYK is converted to sRGB;
    `notes` report this.

    Attributes:
        color: A color space that the file specifies without an ICC profile.
    """

    pixels: Pixels
    alpha: Pixels | None = None
    icc_profile: bytes | None = None
    metadata: Metadata = field(default_factory=Metadata)
    notes: tuple[str, ...] = ()
    color: ColorSignal | None = None

    @property
    def bits(self) -> int:
        """Bits per sample: 8 or 16."""
        return self.pixels.dtype.itemsize * 8
