"""Tests with exiftool that metadata are preserved, or that one line reports their loss."""

import io
import re
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, PngImagePlugin
from skimage import data

from nitido.imaging import ImageFileError, bicubic_upscale, load_image, read_size
from nitido.imaging.xmp import without_lost_parts, xmp_orientation
from nitido.upscaling.batch import Job, Plan, Settings, run
from nitido.upscaling.images.target_size import TargetSize
from nitido.upscaling.upscaler import ImageUpscaler
from tests.programs import run_program
from tests.upscaling.test_upscaler_files import Silent, done, exiftool, identify, upscale

PHOTO = data.astronaut()[40:100, 180:260]
CHANNEL = np.full(PHOTO.shape[:2], 100, np.uint8)


def xmp(properties: str, inside: str = "") -> bytes:
    namespaces = {
        "tiff": "http://ns.adobe.com/tiff/1.0/",
        "exif": "http://ns.adobe.com/exif/1.0/",
        "dc": "http://purl.org/dc/elements/1.1/",
        "hdrgm": "http://ns.adobe.com/hdr-gain-map/1.0/",
        "Container": "http://ns.google.com/photos/1.0/container/",
        "Item": "http://ns.google.com/photos/1.0/container/item/",
        "GCamera": "http://ns.google.com/photos/1.0/camera/",
        "GPano": "http://ns.google.com/photos/1.0/panorama/",
        "HDRGainMap": "http://ns.apple.com/HDRGainMap/1.0/",
        "xmpNote": "http://ns.adobe.com/xmp/note/",
    }
    declared = " ".join(f'xmlns:{prefix}="{address}"' for prefix, address in namespaces.items())
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" {declared} dc:source="a friend" {properties}>{inside}</rdf:Description>'
        '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def jpeg(pixels: np.ndarray = PHOTO, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90, **options)
    return buffer.getvalue()


GAIN_MAP = xmp(
    'hdrgm:Version="1.0"',
    '<Container:Directory><rdf:Seq><rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="Primary" '
    'Item:Mime="image/jpeg"/></rdf:li><rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="GainMap" '
    'Item:Mime="image/jpeg" Item:Length="1234"/></rdf:li></rdf:Seq></Container:Directory>',
)
MOTION = xmp('GCamera:MicroVideo="1" GCamera:MicroVideoOffset="500" GCamera:MotionPhoto="1" GCamera:BurstID="x"')
APPLE = xmp("", "<HDRGainMap:HDRGainMapVersion>65536</HDRGainMap:HDRGainMapVersion>")


@pytest.mark.parametrize(
    ("packet", "part", "claims"),
    [
        (GAIN_MAP, "its gain map", ("hdrgm", "GContainer", "DirectoryItem")),
        (MOTION, "its motion video", ("MicroVideo", "MotionPhoto")),
        (APPLE, "its gain map", ("HDRGainMap",)),
        (xmp('xmpNote:HasExtendedXMP="0123456789ABCDEF"'), "its extended XMP", ("HasExtendedXMP",)),
    ],
)
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif"])
def test_metadata_of_lost_parts_is_removed(
    tmp_path: Path, packet: bytes, part: str, claims: tuple[str, ...], suffix: str
) -> None:
    source, target = tmp_path / "a.jpg", tmp_path / f"b.{suffix}"
    source.write_bytes(jpeg(xmp=packet) + jpeg(PHOTO[::2, ::2].copy()))
    before = exiftool(source)
    assert [name for name in before if any(claim in name for claim in claims)]
    (note,) = [note for note in done(source, target).notes if note.startswith("not kept: ")]
    assert part in note
    assert "bytes after the image" in note
    after = exiftool(target)
    assert not [name for name in after if any(claim in name for claim in claims)]
    assert after["XMP-dc:Source"] == "a friend"
    assert ("XMP-GCamera:BurstID" in after) == (packet is MOTION)


def test_a_dropped_second_image_is_reported(tmp_path: Path) -> None:
    first, second = jpeg(), jpeg(PHOTO[::2, ::2].copy())
    (tmp_path / "a.jpg").write_bytes(first + second)
    assert done(tmp_path / "a.jpg", tmp_path / "b.jpg").notes == [f"not kept: {len(second)} bytes after the image"]
    (tmp_path / "padded.jpg").write_bytes(first + bytes(100))
    assert not done(tmp_path / "padded.jpg", tmp_path / "c.jpg").notes


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_orientation_in_xmp_is_applied_like_exif(tmp_path: Path, suffix: str, orientation: int) -> None:
    """What EXIF's orientation does is known from ImageMagick; XMP's has the same values (XMP part 2, TIFF schema)."""
    packet = tmp_path / "packet.xmp"
    packet.write_bytes(xmp(f'tiff:Orientation="{orientation}"'))
    by_xmp, by_exif = tmp_path / f"xmp.{suffix}", tmp_path / "exif.png"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PHOTO).save(by_exif, exif=exif)
    Image.fromarray(PHOTO).save(by_xmp, **({"lossless": True} if suffix == "webp" else {}))
    if suffix == "webp":
        Image.fromarray(PHOTO).save(by_xmp, lossless=True, xmp=packet.read_bytes())
    elif suffix == "tif":
        tifffile.imwrite(by_xmp, PHOTO, photometric="rgb", extratags=[(700, 1, None, packet.read_bytes(), True)])
    else:
        run_program("exiftool", "-q", "-overwrite_original", f"-XMP<={packet}", by_xmp)
    done(by_xmp, tmp_path / f"b.{suffix}")
    done(by_exif, tmp_path / "c.png")
    metadata = exiftool(tmp_path / f"b.{suffix}")
    assert metadata["XMP-tiff:Orientation"] == 1
    assert metadata.get("IFD0:Orientation", 1) == 1
    assert (metadata["XMP-dc:Source"]) == "a friend"
    mine, theirs = (np.asarray(Image.open(tmp_path / name)).astype(int) for name in (f"b.{suffix}", "c.png"))
    assert mine.shape == theirs.shape
    assert np.abs(mine - theirs).mean() < (4 if suffix == "jpg" else 0.01)
    assert read_size(by_xmp) == (60, 80) if orientation > 4 else (80, 60)


def test_exif_wins_over_xmp(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 1
    Image.fromarray(PHOTO).save(tmp_path / "a.jpg", exif=exif, xmp=xmp('tiff:Orientation="6"'))
    done(tmp_path / "a.jpg", tmp_path / "b.jpg")
    assert identify(tmp_path / "b.jpg", "%wx%h") == "160x120"
    assert exiftool(tmp_path / "b.jpg")["XMP-tiff:Orientation"] == 1


def test_xmp_by_other_prefixes_and_as_elements_is_understood() -> None:
    packet = b'<a xmlns:t="http://ns.adobe.com/tiff/1.0/"><t:Orientation> 8 </t:Orientation></a>'
    assert xmp_orientation(packet) == 8
    assert without_lost_parts(packet)[0].count(b">1<") == 1
    for damaged in (b"", b"\0\0", b"<a", b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", b"<a>" * 3000 + b"</a>" * 3000):
        assert xmp_orientation(damaged) is None
        assert without_lost_parts(damaged) == (damaged, [])


def test_sizes_in_metadata_are_those_of_the_result(tmp_path: Path) -> None:
    packet = xmp(
        'exif:PixelXDimension="80" exif:PixelYDimension="60" tiff:ImageWidth="80" tiff:ImageLength="60" '
        'GPano:FullPanoWidthPixels="800" GPano:FullPanoHeightPixels="400" GPano:CroppedAreaLeftPixels="10"'
    )
    exif = Image.Exif()
    exif[0x0100], exif[0x0101] = 80, 60
    exif.get_ifd(0x8769).update({0xA002: 80, 0xA003: 60, 0x9214: (10, 10, 5, 5)})
    Image.fromarray(PHOTO).save(tmp_path / "a.jpg", exif=exif, xmp=packet)
    for suffix in ("jpg", "png", "webp", "avif"):
        notes = done(tmp_path / "a.jpg", tmp_path / f"b.{suffix}", 3).notes
        assert notes == ["not kept: EXIF SubjectArea"]
        metadata = exiftool(tmp_path / f"b.{suffix}")
        assert (metadata["ExifIFD:ExifImageWidth"], metadata["ExifIFD:ExifImageHeight"]) == (240, 180)
        assert (metadata["IFD0:ImageWidth"], metadata["IFD0:ImageHeight"]) == (240, 180)
        assert (metadata["XMP-exif:ExifImageWidth"], metadata["XMP-exif:ExifImageHeight"]) == (240, 180)
        assert (metadata["XMP-tiff:ImageWidth"], metadata["XMP-tiff:ImageHeight"]) == (240, 180)
        assert (metadata["XMP-GPano:FullPanoWidthPixels"], metadata["XMP-GPano:FullPanoHeightPixels"]) == (2400, 1200)
        assert metadata["XMP-GPano:CroppedAreaLeftPixels"] == 30
        assert "ExifIFD:SubjectArea" not in metadata


def test_other_parts_of_a_jpeg_are_reported(tmp_path: Path) -> None:
    content = jpeg(comment=b"a remark")
    segments = {
        "its extended XMP": (1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(40)),
        "its Content Credentials (C2PA)": (11, b"JP\0\1" + bytes(20)),
        "its segment APP12": (12, b"Ducky" + bytes(10)),
        "the other images in its file": (2, b"MPF\0" + bytes(20)),
    }
    for number, body in segments.values():
        content = content[:2] + struct.pack(">BBH", 0xFF, 0xE0 + number, len(body) + 2) + body + content[2:]
    (tmp_path / "a.jpg").write_bytes(content)
    (note,) = [note for note in done(tmp_path / "a.jpg", tmp_path / "b.png").notes if note.startswith("not kept: ")]
    for part in (*segments, "its JPEG comment"):
        assert part in note


def test_texts_and_chunks_of_a_png_are_kept_or_named(tmp_path: Path) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Title", "Eileen Collins")
    texts.add_itxt("Caption", "Grüße", "de", "Titel")
    texts.add(b"bKGD", bytes(6))
    Image.fromarray(PHOTO).save(tmp_path / "a.png", pnginfo=texts)
    assert done(tmp_path / "a.png", tmp_path / "b.png").notes == ["not kept: PNG's bKGD"]
    assert Image.open(tmp_path / "b.png").text == {"Title": "Eileen Collins", "Caption": "Grüße"}
    assert done(tmp_path / "a.png", tmp_path / "b.jpg").notes == [
        "not kept: PNG's bKGD",
        "JPEG stores no PNG texts: Title, Caption",
    ]


def test_dropped_tags_of_a_tiff_are_reported(tmp_path: Path) -> None:
    tags = [(315, "s", 0, "An Artist", True), (33432, "s", 0, "Mine", True), (33550, "d", 3, (1.0, 1.0, 0.0), True)]
    tifffile.imwrite(tmp_path / "a.tif", PHOTO, photometric="rgb", extratags=tags)
    (note,) = done(tmp_path / "a.tif", tmp_path / "b.tif").notes
    assert note == "not kept: TIFF's Artist, Copyright, ModelPixelScale"


def test_exif_dropped_by_an_encoder_is_reported(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "x" * 200_000
    Image.fromarray(PHOTO).save(tmp_path / "a.png", exif=exif)
    for suffix in ("png", "jpg", "webp", "avif"):
        (note,) = done(tmp_path / "a.png", tmp_path / f"b.{suffix}").notes
        assert note.startswith("EXIF's ImageDescription")


@pytest.mark.parametrize("garbage", [b"garbage", b"II*\0\xff\xff\xff\x7f" + bytes(range(256)), b"", b"MM\0*\0\0\0\x08"])
def test_damaged_exif_is_reported(tmp_path: Path, garbage: bytes) -> None:
    Image.fromarray(PHOTO).save(tmp_path / "a.jpg", exif=b"Exif\0\0" + garbage)
    assert done(tmp_path / "a.jpg", tmp_path / "b.jpg").notes == ["its EXIF is damaged and was not copied completely"]


def test_an_unspecified_channel_is_not_transparency(tmp_path: Path) -> None:
    """TIFF 6.0, section 18: ExtraSamples 0 is unspecified data."""
    for name, channels, photometric in (("rgb", [PHOTO, CHANNEL], "rgb"), ("grey", [CHANNEL, CHANNEL], "minisblack")):
        for meaning in ("unspecified", None):
            source = tmp_path / f"{name}.{meaning}.tif"
            samples = np.dstack(channels)
            tifffile.imwrite(
                source, samples, photometric=photometric, planarconfig="contig", extrasamples=[meaning or "unspecified"]
            )
            if meaning is None:  # a file that says nothing at all: the entry becomes one of an unknown tag
                content = source.read_bytes()
                entry = struct.pack("<HHI", 338, 3, 1)
                assert content.count(entry) == 1
                source.write_bytes(content.replace(entry, struct.pack("<HHI", 337, 3, 1)))
                assert "IFD0:ExtraSamples" not in exiftool(source)
            if meaning is None and name == "grey":
                continue  # libtiff itself refuses some of these
            for suffix in ("png", "tif", "jpg"):
                note = done(source, tmp_path / f"b.{suffix}").notes[0]
                assert "not marked as transparency" in note
                colors = 3 if name == "rgb" else 1
                assert len(Image.open(tmp_path / f"b.{suffix}").getbands()) == colors
            expected = bicubic_upscale(samples[..., :colors], 2)
            np.testing.assert_array_equal(np.atleast_3d(np.asarray(Image.open(tmp_path / "b.png"))), expected)


@pytest.mark.parametrize("meaning", ["unassalpha", "assocalpha"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_transparency_channel_stays_transparency(tmp_path: Path, meaning: str, dtype: type) -> None:
    pixels = np.dstack([PHOTO // 3, CHANNEL]).astype(dtype) * (257 if dtype == np.uint16 else 1)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", extrasamples=[meaning])
    assert not done(tmp_path / "a.tif", tmp_path / "b.tif").notes
    with tifffile.TiffFile(tmp_path / "b.tif") as result:
        assert result.pages[0].extrasamples == (2,)
        np.testing.assert_array_equal(result.asarray()[..., 3], bicubic_upscale(pixels[..., 3], 2))


@pytest.mark.parametrize("photometric", [8, 9, 32845])
def test_unsupported_colors_are_not_called_damaged(tmp_path: Path, photometric: int) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PHOTO, photometric=photometric)
    (error,) = upscale(tmp_path / "a.tif", tmp_path / "b.png").errors
    assert error.startswith(f"{tmp_path / 'a.tif'}: unsupported: ")
    assert "damaged" not in error


def test_cielab_of_16_bits_is_what_imagemagick_sees(tmp_path: Path) -> None:
    grid = np.mgrid[0:16, 0:16, 0:1].reshape(3, 16, 16)
    lightness, a, b = 20 + 4.0 * grid[0], 2.0 * (grid[1] - 8), 2.0 * (8 - grid[0])
    coded = np.dstack([lightness / 100 * 65535, (a * 256).astype(np.int16).view(np.uint16), b * 256 % 65536])
    tifffile.imwrite(tmp_path / "a.tif", np.round(coded).astype(np.uint16), photometric="cielab")
    assert done(tmp_path / "a.tif", tmp_path / "b.tif").notes == ["CIELAB was converted to sRGB"]
    from skimage.color import lab2rgb

    theirs = np.clip(lab2rgb(np.dstack([lightness, a, b]), illuminant="D50"), 0, 1) * 65535
    ours = load_image(tmp_path / "a.tif").pixels
    assert ours.dtype == np.uint16
    # skimage does not adapt D50 to sRGB's D65: neutral colors and lightness are what both agree on.
    assert np.abs(ours.mean(axis=2) - theirs.mean(axis=2)).mean() < 2500


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_without_end_marker_is_read_with_a_note(tmp_path: Path, progressive: bool) -> None:
    whole = jpeg(progressive=progressive)
    assert whole.endswith(b"\xff\xd9")
    (tmp_path / "whole.jpg").write_bytes(whole)
    (tmp_path / "a.jpg").write_bytes(whole[:-2])
    (tmp_path / "half.jpg").write_bytes(whole[:-1])
    for name in ("a.jpg", "half.jpg"):
        assert done(tmp_path / name, tmp_path / "b.png").notes == ["its end marker is missing, but no pixels are"]
        np.testing.assert_array_equal(load_image(tmp_path / name).pixels, load_image(tmp_path / "whole.jpg").pixels)
    assert identify(tmp_path / "b.png", "%wx%h") == "160x120"


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_that_lacks_pixels_is_refused(tmp_path: Path, progressive: bool) -> None:
    whole = jpeg(progressive=progressive)
    cuts = [len(whole) - 6, len(whole) - 60, len(whole) // 2]
    scans = [place for place in range(len(whole)) if whole[place : place + 2] == b"\xff\xda"]
    cuts += scans[1:]  # between two scans nothing is cut short, yet details are missing
    for cut in cuts:
        for ending in (b"", b"\xff\xd9" if cut not in scans else b""):
            (tmp_path / "a.jpg").write_bytes(whole[:cut] + ending)
            if ending:
                continue  # an end marker says that the file is as it was made
            with pytest.raises(ImageFileError, match="damaged or incomplete JPEG"):
                load_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("suffix", ["jpg", "bmp"])
@pytest.mark.parametrize("background", [(255, 255, 255), (10, 20, 200)])
def test_transparent_images_are_blended_with_the_background(
    tmp_path: Path, suffix: str, background: tuple[int, int, int]
) -> None:
    alpha = np.zeros(PHOTO.shape[:2], np.uint8)
    alpha[20:40], alpha[40:] = 128, 255
    Image.fromarray(np.dstack([PHOTO, alpha])).save(tmp_path / "a.png")
    color = "#" + bytes(background).hex()
    listener, settings = Silent(), Settings(ImageUpscaler(None), "bicubic", TargetSize(2), background=background)
    assert run(Plan([Job(tmp_path / "a.png", tmp_path / f"b.{suffix}")], None), settings, listener) == 0
    assert listener.notes == [f"transparent parts were blended with {color}"]
    theirs = tmp_path / "theirs.png"
    run_program("convert", tmp_path / "a.png", "-background", color, "-flatten", theirs)
    expected = bicubic_upscale(np.asarray(Image.open(theirs).convert("RGB")), 2).astype(int)
    result = np.asarray(Image.open(tmp_path / f"b.{suffix}").convert("RGB")).astype(int)
    assert np.abs(result - expected).mean() < (4 if suffix == "jpg" else 0.6)
    # A format with transparency keeps it.
    assert run(Plan([Job(tmp_path / "a.png", tmp_path / "c.webp")], None), settings, listener) == 0
    assert Image.open(tmp_path / "c.webp").mode == "RGBA"


@pytest.mark.parametrize("background", [None, (255, 255, 255)])
def test_an_opaque_image_with_an_alpha_channel_becomes_jpeg_without_a_note(
    tmp_path: Path, background: tuple[int, int, int] | None
) -> None:
    opaque = np.full(PHOTO.shape[:2], 255, np.uint8)
    Image.fromarray(np.dstack([PHOTO, opaque])).save(tmp_path / "a.png")
    Image.fromarray(PHOTO).save(tmp_path / "plain.png")
    listener, settings = Silent(), Settings(ImageUpscaler(None), "bicubic", TargetSize(2), background=background)
    jobs = [Job(tmp_path / f"{name}.png", tmp_path / f"{name}.bmp") for name in ("a", "plain")]
    assert run(Plan(jobs, None), settings, listener) == 0
    assert listener.notes == []
    assert np.array_equal(*(np.asarray(Image.open(job.target)) for job in jobs))


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "avif"])
def test_an_image_without_color_information_is_not_called_uncalibrated(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    Image.fromarray(PHOTO).save(tmp_path / "plain.png")
    Image.fromarray(PHOTO).save(tmp_path / "exif.jpg", exif=exif)
    for source in ("plain.png", "exif.jpg"):
        done(tmp_path / source, tmp_path / f"b.{suffix}")
        assert exiftool(tmp_path / f"b.{suffix}")["ExifIFD:ColorSpace"] == 1, source
    exif.get_ifd(0x8769)[0xA001] = 65535
    Image.fromarray(PHOTO).save(tmp_path / "adobe.jpg", exif=exif)
    done(tmp_path / "adobe.jpg", tmp_path / f"c.{suffix}")
    assert exiftool(tmp_path / f"c.{suffix}")["ExifIFD:ColorSpace"] == 65535, "what the source says stays"


@pytest.mark.parametrize(("maker", "kept"), [("Canon", False), ("Somebody", True)])
def test_a_maker_note_that_the_encoder_rewrites_is_reported(tmp_path: Path, maker: str, kept: bool) -> None:
    note = struct.pack("<HHHIIHHIII", 2, 0x10, 4, 1, 0x80000001, 0x8, 4, 1, 1234567, 0)
    exif = Image.Exif()
    exif[0x010F] = maker
    exif.get_ifd(0x8769)[0x927C] = note
    Image.fromarray(PHOTO).save(tmp_path / "a.jpg", exif=exif.tobytes())
    listener, settings = Silent(), Settings(ImageUpscaler(None), "bicubic", TargetSize(2))
    assert run(Plan([Job(tmp_path / "a.jpg", tmp_path / "b.jpg")], None), settings, listener) == 0
    assert (note in (tmp_path / "b.jpg").read_bytes()) is kept
    assert listener.notes == ([] if kept else ["EXIF's MakerNote were not written to JPEG"])


TINY = [(1, 1), (1, 7), (7, 1), (2, 3)]
NARROW = [(1, 20_000), (20_000, 1)]  # WebP supports at most 16,383 pixels per side


@pytest.mark.parametrize(
    ("suffix", "shape"),
    [
        *((suffix, shape) for suffix in ("png", "jpg", "tif", "bmp") for shape in (*TINY, *NARROW)),
        *(("webp", shape) for shape in TINY),
    ],
)
def test_tiny_and_narrow_images(tmp_path: Path, suffix: str, shape: tuple[int, int]) -> None:
    pixels = np.resize(PHOTO, (*shape, 3))
    Image.fromarray(pixels).save(tmp_path / f"a.{suffix}", **({"lossless": True} if suffix == "webp" else {}))
    assert not done(tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}").notes
    assert Image.open(tmp_path / f"b.{suffix}").size == (2 * shape[1], 2 * shape[0])


@pytest.mark.parametrize("samples", [np.float32, np.float64, np.float16, np.uint32, np.int16, np.int8])
def test_other_samples_than_8_and_16_bits_are_one_line(tmp_path: Path, samples: type) -> None:
    values = (PHOTO.astype(float) / 100 - 0.5).astype(samples)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb")
    (error,) = upscale(tmp_path / "a.tif", tmp_path / "b.png").errors
    assert "damaged" not in error
    assert re.search("samples.*: only 8 and 16 bit", error)
    assert "\n" not in error
