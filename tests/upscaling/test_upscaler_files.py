"""Image files in and out, checked by Pillow, tifffile, ImageMagick and exiftool."""

import io
import json
import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
import pyvips
import tifffile
from PIL import Image, ImageCms, PngImagePlugin
from skimage import data

from nitido.imaging import ImageFileError, bicubic_upscale
from nitido.imaging.tiff_tags import tiff_tags
from nitido.upscaling.batch import Job, Plan, Settings, run
from nitido.upscaling.images import ImageWithMetadata, check_size, losses, read_header, read_image, write_image
from nitido.upscaling.images.target_size import TargetSize
from nitido.upscaling.upscaler import ImageUpscaler

PHOTO = data.astronaut()[40:100, 180:260]
PHOTO16 = np.random.default_rng(0).integers(0, 65536, (40, 50, 3), dtype=np.uint16)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PROFILE = SRGB.replace(b"s\0R\0G\0B\0 \0b", b"m\0I\0N\0E\0 \0b")  # its name, so that no one takes it for sRGB
assert PROFILE != SRGB
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/" '
    b'tiff:Orientation="6" dc:source="a friend"/></rdf:RDF></x:xmpmeta>'
)
LOSSLESS = {"png": {}, "webp": {"lossless": True}}
ORIENTATIONS = ["TopLeft", "TopRight", "BottomRight", "BottomLeft", "LeftTop", "RightTop", "RightBottom", "LeftBottom"]
"""ImageMagick's words for EXIF's 1 to 8."""


class Silent:
    """A listener that keeps the errors and the notes."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.notes: list[str] = []

    def planned(self, pixels): ...
    def started(self, job, pixels):
        return lambda share: None

    def ended(self, job, outcome, notes):
        self.notes += notes

    def skipped(self, job, pixels): ...
    def failed(self, job, error):
        self.errors.append(str(error))


def upscale(source: Path, target: Path, scale: float = 2) -> Silent:
    listener = Silent()
    failures = run(
        Plan([Job(source, target)], None),
        Settings(ImageUpscaler(None), "bicubic", TargetSize(scale)),
        listener,
        "overwrite",
    )
    assert failures == len(listener.errors)
    return listener


def done(source: Path, target: Path, scale: float = 2) -> Silent:
    listener = upscale(source, target, scale)
    assert not listener.errors
    return listener


def exiftool(path: Path) -> dict[str, object]:
    output = subprocess.run(["exiftool", "-j", "-G1", "-n", "-a", path], capture_output=True, check=True)
    return json.loads(output.stdout)[0]


def identify(path: Path, what: str) -> str:
    return subprocess.run(["identify", "-format", what, path], capture_output=True, text=True, check=True).stdout


def turned_with_exif() -> tuple[Image.Image, Image.Exif]:
    """The photo as a camera held upright stores it: on its side, with orientation 6."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x013B] = 6, "Maker", "An Artist"
    exif.get_ifd(0x8769)[0x9003] = "2020:01:02 03:04:05"
    exif.get_ifd(0x8769)[0x829A] = 0.008
    exif.get_ifd(0x8769)[0x927C] = b"MakerNote\0\1\2\3"
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 30.0, 1.5)})
    return Image.fromarray(PHOTO).transpose(Image.Transpose.ROTATE_90), exif


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_metadata_stays_and_the_orientation_is_applied_once(tmp_path: Path, suffix: str) -> None:
    turned, exif = turned_with_exif()
    source, target = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
    options = {"exif": exif, "icc_profile": PROFILE, "dpi": (300, 300), **LOSSLESS.get(suffix, {})}
    turned.save(source, xmp=XMP, **options)
    assert not done(source, target).notes
    metadata = exiftool(target)
    assert metadata["IFD0:Orientation"] == 1
    assert metadata["IFD0:Make"] == "Maker"
    assert metadata["IFD0:Artist"] == "An Artist"
    assert metadata["ExifIFD:DateTimeOriginal"] == "2020:01:02 03:04:05"
    assert metadata["ExifIFD:ExposureTime"] == 0.008
    assert (metadata["ExifIFD:ExifImageWidth"], metadata["ExifIFD:ExifImageHeight"]) == (160, 120)
    assert metadata["Composite:GPSLatitude"] == pytest.approx(52.500417, abs=1e-6)
    if suffix != "png":  # Pillow writes no XMP into PNG
        assert (metadata["XMP-tiff:Orientation"], metadata["XMP-dc:Source"]) == (1, "a friend")
    with Image.open(target) as result:
        assert result.size == (160, 120)
        assert result.info["icc_profile"] == PROFILE
        upright = bicubic_upscale(PHOTO, 2) if suffix != "jpg" else np.asarray(result.convert("RGB"))
        np.testing.assert_array_equal(np.asarray(result), upright)
        assert np.abs(np.asarray(result).astype(int) - bicubic_upscale(PHOTO, 2)).mean() < 6
        assert result.getexif().get_ifd(0x8769)[0x927C].startswith(b"MakerNote\0\1\2\3")


def test_xmp_and_resolution_cross_formats(tmp_path: Path) -> None:
    turned, exif = turned_with_exif()
    turned.save(tmp_path / "a.jpg", exif=exif, xmp=XMP, icc_profile=PROFILE, dpi=(300, 300))
    for suffix in ("png", "tif", "webp", "avif"):
        target = tmp_path / f"b.{suffix}"
        notes = done(tmp_path / "a.jpg", target).notes
        assert notes == (["TIFF stores no EXIF"] if suffix == "tif" else [])
        metadata = exiftool(target)
        assert (metadata["XMP-tiff:Orientation"], metadata["XMP-dc:Source"]) == (1, "a friend")
        if suffix != "tif":
            assert (metadata["IFD0:Orientation"], metadata["IFD0:Make"]) == (1, "Maker")
        assert metadata["IFD0:XResolution"] == pytest.approx(300, abs=0.01)
        assert identify(target, "%wx%h") == "160x120"


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_every_orientation_is_the_upright_image_of_imagemagick(tmp_path: Path, suffix: str) -> None:
    for orientation in range(1, 9):
        source, target = tmp_path / f"{orientation}.{suffix}", tmp_path / f"{orientation}.out.{suffix}"
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(PHOTO).save(source, exif=exif, **LOSSLESS.get(suffix, {}))
        upright = tmp_path / f"{orientation}.upright.png"
        options = ["-orient", ORIENTATIONS[orientation - 1]]  # which ImageMagick does not read of every format
        subprocess.run(["convert", source, *options, "-auto-orient", upright], check=True)
        done(source, target)
        assert exiftool(target).get("IFD0:Orientation", 1) == 1
        expected = bicubic_upscale(np.asarray(Image.open(upright)), 2)
        with Image.open(target) as result:
            assert result.size == (expected.shape[1], expected.shape[0])
            assert np.abs(np.asarray(result).astype(int) - expected).mean() < (4 if suffix == "jpg" else 0.01)


def test_an_unknown_resolution_stays_unknown_and_a_known_one_wins(tmp_path: Path) -> None:
    Image.fromarray(PHOTO).save(tmp_path / "plain.jpg")
    nothing_known = ["-Make=Phone", "-IFD0:XResolution=1", "-IFD0:YResolution=1", "-IFD0:ResolutionUnit#=1"]
    known = ["-Make=Phone", "-IFD0:XResolution=300", "-IFD0:YResolution=150", "-IFD0:ResolutionUnit#=2"]
    cases = {
        "unknown": (nothing_known, (72, 72)),  # what EXIF has written where nothing is known
        "known": (known, (300, 150)),
        "turned": ([*known, "-Orientation#=6"], (150, 300)),
    }
    for name, (tags, resolution) in cases.items():
        source = tmp_path / f"{name}.jpg"
        source.write_bytes((tmp_path / "plain.jpg").read_bytes())
        subprocess.run(["exiftool", "-q", "-overwrite_original", *tags, source], check=True)
        for suffix in ("jpg", "png", "webp", "avif"):
            done(source, tmp_path / f"{name}.out.{suffix}")
            metadata = exiftool(tmp_path / f"{name}.out.{suffix}")
            assert (metadata["IFD0:XResolution"], metadata["IFD0:YResolution"]) == pytest.approx(resolution, abs=0.01)
            assert metadata["IFD0:ResolutionUnit"] == 2  # inches
            assert metadata["IFD0:Make"] == "Phone"


def test_iptc_stays_in_jpeg(tmp_path: Path) -> None:
    Image.fromarray(PHOTO).save(tmp_path / "a.jpg")
    subprocess.run(["exiftool", "-q", "-overwrite_original", "-IPTC:City=Rome", tmp_path / "a.jpg"], check=True)
    assert not done(tmp_path / "a.jpg", tmp_path / "b.jpg").notes
    assert exiftool(tmp_path / "b.jpg")["IPTC:City"] == "Rome"
    for suffix in ("tif", "png", "webp", "avif"):
        notes = done(tmp_path / "a.jpg", tmp_path / f"c.{suffix}").notes
        assert notes[-1] == "IPTC is only copied from JPEG to JPEG"
        assert not [name for name in exiftool(tmp_path / f"c.{suffix}") if "IPTC" in name]


def test_png_texts_stay(tmp_path: Path) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Title", "Eileen Collins")
    Image.fromarray(PHOTO).save(tmp_path / "a.png", pnginfo=texts)
    done(tmp_path / "a.png", tmp_path / "b.png")
    assert Image.open(tmp_path / "b.png").text["Title"] == "Eileen Collins"


def test_the_thumbnail_is_dropped(tmp_path: Path) -> None:
    thumbnail = io.BytesIO()
    Image.fromarray(PHOTO).resize((16, 12)).save(thumbnail, "JPEG")
    (tmp_path / "t.jpg").write_bytes(thumbnail.getvalue())
    turned, exif = turned_with_exif()
    turned.save(tmp_path / "a.jpg", exif=exif)
    subprocess.run(
        ["exiftool", "-q", "-overwrite_original", f"-ThumbnailImage<={tmp_path / 't.jpg'}", tmp_path / "a.jpg"],
        check=True,
    )
    assert "IFD1:ThumbnailLength" in exiftool(tmp_path / "a.jpg")
    done(tmp_path / "a.jpg", tmp_path / "b.jpg")
    assert not [name for name in exiftool(tmp_path / "b.jpg") if name.startswith("IFD1")]


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bits_stay_16_bits(tmp_path: Path, suffix: str, channels: int) -> None:
    samples = np.dstack([PHOTO16, PHOTO16[::-1, :, :1] | 1])[..., :channels]
    source, target = tmp_path / "a.tif", tmp_path / f"b.{suffix}"
    kind = {1: {}, 3: {}, 4: {"extrasamples": ["unassalpha"]}}[channels]
    photometric = "minisblack" if channels == 1 else "rgb"
    profile = {} if channels == 1 else {"iccprofile": PROFILE}
    tifffile.imwrite(source, samples.squeeze(), photometric=photometric, **profile, **kind)
    assert not done(source, target).notes
    metadata = exiftool(target)
    assert metadata.get("PNG:BitDepth", str(metadata.get("IFD0:BitsPerSample")).split()[0]) in (16, "16")
    assert metadata.get("ICC_Profile:ProfileDescription") == (None if channels == 1 else "mINE built-in")
    assert identify(target, "%z %A").split()[0] == "16"
    expected = bicubic_upscale(samples, 2)
    if suffix == "tif":
        np.testing.assert_array_equal(tifffile.imread(target).reshape(expected.shape), expected)
        assert len(tifffile.TiffFile(target).pages[0].extrasamples) == (channels == 4)
    else:
        # Pillow reads 16-bit color as 8 bits; ImageMagick writes its samples plainly.
        letters = {1: "gray", 3: "rgb", 4: "rgba"}[channels]
        plain = subprocess.run(
            ["convert", target, "-depth", "16", "-endian", "LSB", f"{letters}:-"], capture_output=True, check=True
        ).stdout
        np.testing.assert_array_equal(np.frombuffer(plain, "<u2").reshape(expected.shape), expected)


def test_data_that_a_format_cannot_store_is_reported(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PHOTO16, photometric="rgb", iccprofile=PROFILE)
    assert done(tmp_path / "a.tif", tmp_path / "b.jpg").notes == ["JPEG stores 8 bits per sample, not 16"]
    assert done(tmp_path / "a.tif", tmp_path / "b.avif").notes == ["AVIF stores 12 bits per sample, not 16"]
    notes = done(tmp_path / "a.tif", tmp_path / "b.bmp").notes
    assert notes == ["BMP stores 8 bits per sample, not 16", "BMP stores no color profile"]
    expected = np.round(bicubic_upscale(PHOTO16, 2) / 257)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "b.bmp")), expected)


@pytest.mark.parametrize("suffix", ["png", "webp", "tif", "avif"])
def test_transparency_stays(tmp_path: Path, suffix: str) -> None:
    alpha = np.linspace(1, 255, PHOTO.shape[0] * PHOTO.shape[1]).reshape(PHOTO.shape[:2]).astype(np.uint8)
    Image.fromarray(np.dstack([PHOTO, alpha])).save(tmp_path / "a.png")
    done(tmp_path / "a.png", tmp_path / f"b.{suffix}")
    with Image.open(tmp_path / f"b.{suffix}") as result:
        assert result.mode == "RGBA"
        off = np.abs(np.asarray(result).astype(int) - bicubic_upscale(np.dstack([PHOTO, alpha]), 2))
    assert off[..., 3].max() <= (3 if suffix == "avif" else 0)
    assert off[..., :3].max() <= 0 or suffix == "avif"
    for name in ("c.jpg", "c.bmp"):
        (error,) = upscale(tmp_path / "a.png", tmp_path / name).errors
        assert "does not support this image's transparency: write PNG" in error
        assert not (tmp_path / name).exists()


@pytest.mark.parametrize("big", [False, True])
def test_dropped_exif_of_a_tiff_is_reported(tmp_path: Path, big: bool) -> None:
    source = tmp_path / "a.tif"
    tifffile.imwrite(source, PHOTO16, photometric="rgb", bigtiff=big, byteorder=">" if big else "<")
    with source.open("rb") as file:
        assert set(tiff_tags(file)) == {tag.code for tag in tifffile.TiffFile(source).pages[0].tags}
    assert not done(source, tmp_path / "b.tif").notes
    if not big:
        subprocess.run(["exiftool", "-q", "-overwrite_original", "-ExposureTime=0.008", source], check=True)
        assert done(source, tmp_path / "c.tif").notes == ["EXIF in a TIFF is not supported and was dropped"]


def test_premultiplied_tiffs_are_understood(tmp_path: Path) -> None:
    alpha = np.full(PHOTO.shape[:2], 128, np.uint8)
    darkened = np.round(PHOTO * (128 / 255)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", np.dstack([darkened, alpha]), photometric="rgb", extrasamples=["assocalpha"])
    photo = read_image(tmp_path / "a.tif")
    assert np.abs(photo.pixels.astype(int) - PHOTO).max() <= 1


def test_avif_depth_and_turn(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 64).astype(np.uint16)
    smooth = np.dstack([np.broadcast_to(ramp, (48, 64))] * 3)
    write_image(tmp_path / "a.avif", ImageWithMetadata(smooth))
    assert exiftool(tmp_path / "a.avif")["QuickTime:ImagePixelDepth"] == "12 12 12"
    photo = read_image(tmp_path / "a.avif")
    assert photo.bits == 16
    assert np.abs(photo.pixels.astype(int) - smooth).max() < 600
    white = pyvips.Image.new_from_array(np.full((16, 16, 3), 1023 << 6, np.uint16), interpretation="rgb16")
    white.heifsave(str(tmp_path / "w.avif"), compression="av1", bitdepth=10, lossless=True)
    assert read_image(tmp_path / "w.avif").pixels.min() == 65535  # 10 bits are spread over 16
    turned, exif = turned_with_exif()
    turned.save(tmp_path / "t.avif", exif=exif, quality=95)
    assert (read_header(tmp_path / "t.avif").width, read_header(tmp_path / "t.avif").height) == (80, 60)
    done(tmp_path / "t.avif", tmp_path / "u.png")
    assert exiftool(tmp_path / "u.png").get("IFD0:Orientation", 1) == 1
    assert np.abs(np.asarray(Image.open(tmp_path / "u.png")).astype(int) - bicubic_upscale(PHOTO, 2)).mean() < 6


def test_cmyk_becomes_srgb_without_the_cmyk_profile(tmp_path: Path) -> None:
    Image.fromarray(PHOTO).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    assert done(tmp_path / "a.jpg", tmp_path / "b.jpg").notes == ["CMYK was converted to sRGB"]
    assert identify(tmp_path / "b.jpg", "%[colorspace]") == "sRGB"
    assert "icc_profile" not in Image.open(tmp_path / "b.jpg").info


def inks(name: str = "Odd inks") -> bytes:
    """A CMYK profile (ICC.1:2001-04) of artificial inks: cyan is red, magenta green, yellow blue, black gray."""

    def tag(kind: bytes, content: bytes) -> bytes:
        return kind + bytes(4) + content + bytes(-len(content) % 4)

    def lab(lightness: float, a: float, b: float) -> bytes:
        return bytes([round(lightness * 2.55), round(a + 128), round(b + 128)])

    grid = b"".join(
        lab(100 - 25 * (c + m + y) - 20 * k, 50 * c - 50 * m, 40 * c + 40 * m - 60 * y)
        for c in (0, 1)
        for m in (0, 1)
        for y in (0, 1)
        for k in (0, 1)
    )
    ramp = bytes(range(256))
    identity = struct.pack(">9i", *[65536 if n % 4 == 0 else 0 for n in range(9)])
    text = name.encode() + b"\0"
    tags = {
        b"desc": tag(b"desc", struct.pack(">I", len(text)) + text + bytes(8 + 3 + 67)),
        b"cprt": tag(b"text", b"CC0\0"),
        b"wtpt": tag(b"XYZ ", struct.pack(">3i", 63190, 65536, 54061)),
        b"A2B0": tag(b"mft1", bytes([4, 3, 2, 0]) + identity + 4 * ramp + grid + 3 * ramp),
    }
    place, directory, body = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for signature, content in tags.items():
        directory += signature + struct.pack(">II", place + len(body), len(content))
        body += content
    header = struct.pack(">I4sI4s4s4s", place + len(body), bytes(4), 0x02400000, b"prtr", b"CMYK", b"Lab ")
    header += struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + directory + body


def test_cmyk_is_converted_by_its_own_profile(tmp_path: Path) -> None:
    Image.fromarray(PHOTO).convert("CMYK").save(tmp_path / "a.tif", icc_profile=inks())
    (tmp_path / "srgb.icc").write_bytes(SRGB)
    # ImageMagick, with the rendering intent that libvips takes.
    command = ["convert", tmp_path / "a.tif", "-intent", "Relative", "-profile", tmp_path / "srgb.icc"]
    subprocess.run([*command, "-depth", "8", tmp_path / "theirs.png"], check=True)
    theirs = np.asarray(Image.open(tmp_path / "theirs.png").convert("RGB"))
    assert np.abs(theirs.astype(int) - PHOTO).mean() > 30  # the odd inks are seen
    assert done(tmp_path / "a.tif", tmp_path / "b.png").notes == ["CMYK was converted to sRGB"]
    with Image.open(tmp_path / "b.png") as result:
        assert np.abs(np.asarray(result).astype(int) - bicubic_upscale(theirs, 2)).max() <= 4
        assert "icc_profile" not in result.info


def test_grey_files_stay_grey(tmp_path: Path) -> None:
    Image.fromarray(PHOTO[..., 0]).save(tmp_path / "a.jpg")
    for suffix in ("jpg", "png", "tif", "bmp"):
        done(tmp_path / "a.jpg", tmp_path / f"b.{suffix}")
        assert Image.open(tmp_path / f"b.{suffix}").mode == "L"


def bomb(path: Path, side: int) -> Path:
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


@pytest.mark.parametrize("suffix", ["jpg", "tif", "bmp"])
def test_a_claimed_size_is_refused_before_decoding(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"bomb.{suffix}"
    Image.new("L", (40, 30)).save(path)
    content = bytearray(path.read_bytes())
    if suffix == "jpg":  # the frame's header: length, bits, height, width (ITU-T T.81, B.2.2)
        place = content.index(b"\xff\xc0") + 5
        content[place : place + 4] = struct.pack(">HH", 40_000, 40_000)
    elif suffix == "bmp":
        content[18:26] = struct.pack("<ii", 40_000, 40_000)
    else:  # TIFF 6.0, section 2: an entry is tag, type, count, value
        for tag in (256, 257):
            place = content.index(struct.pack("<HHI", tag, 4, 1))
            content[place + 8 : place + 12] = struct.pack("<I", 40_000)
    path.write_bytes(content)
    (error,) = upscale(path, tmp_path / "out.png").errors
    assert error == f"{path}: its header states 40000×40000, more than 268 million pixels: refused"


def test_bad_files_give_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image at all")
    (tmp_path / "empty.jpg").touch()
    frames = [Image.fromarray(PHOTO), Image.fromarray(PHOTO[::-1].copy())]
    frames[0].save(tmp_path / "moving.webp", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "moving.avif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "pages.tif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "whole.avif")
    (tmp_path / "half.avif").write_bytes((tmp_path / "whole.avif").read_bytes()[:-400])
    bomb(tmp_path / "bomb.png", 60_000)
    expected = {
        "text.png": "not a PNG, JPEG",
        "empty.jpg": "the file is empty",
        "moving.webp": "2 pages or frames",
        "moving.avif": "animated or multi-image AVIF",
        "pages.tif": "2 pages or frames",
        "half.avif": "damaged or incomplete AVIF",
        "bomb.png": "its header states 60000×60000, more than 268 million pixels",
        "nowhere.png": "No such file or directory",
    }
    for name, reason in expected.items():
        (error,) = upscale(tmp_path / name, tmp_path / "out.png").errors
        assert error.startswith(str(tmp_path / name))
        assert reason in error
        assert "\n" not in error
        assert not (tmp_path / "out.png").exists()


def test_limits_are_known_before_anything_is_computed(tmp_path: Path) -> None:
    Image.new("L", (8192, 1)).save(tmp_path / "wide.png")
    (error,) = upscale(tmp_path / "wide.png", tmp_path / "b.webp").errors
    assert "WEBP supports at most 16,383 pixels per side, but the result is 16384×2" in error
    (error,) = upscale(tmp_path / "wide.png", tmp_path / "b.jpg", 8).errors
    assert "JPEG supports at most 65,500 pixels per side, but the result is 65536×8" in error
    done(tmp_path / "wide.png", tmp_path / "b.avif")  # the last size each of them does take
    done(tmp_path / "wide.png", tmp_path / "b.jpg", 65500 / 8192)
    done(tmp_path / "wide.png", tmp_path / "b.webp", 16383 / 8192)
    assert Image.open(tmp_path / "b.jpg").width == 65_500
    with pytest.raises(ImageFileError, match="more than 1074 million pixels"):
        check_size(tmp_path / "b.png", 40_000, 40_000)


def test_an_empty_loss_is_refused() -> None:
    assert losses(ImageWithMetadata(PHOTO), Path("a.bmp")) == []
