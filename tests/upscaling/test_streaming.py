"""Tests that arrays in files give the same bytes as in memory, with bounded memory."""

import errno
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import pyvips
import tifffile
from PIL import Image
from skimage import data

from nitido.imaging import ImageFileError, load_image
from nitido.upscaling.images import ImageWithMetadata, read_image, write_image
from nitido.upscaling.images.depth import convert_depth
from nitido.upscaling.images.resize_to import resize_to
from nitido.upscaling.upscaler import ImageUpscaler
from nitido.upscaling.workspace import Workspace
from tests.architectures.recipes import Recipe
from tests.forked import ForkServer

PHOTO = data.astronaut()[60:131, 190:293]
NETWORK = Recipe("edsr", "debug").build().eval()


def sources(folder: Path) -> Iterator[Path]:
    exif = Image.Exif()
    for orientation in range(1, 9):
        exif[0x0112] = orientation
        Image.fromarray(PHOTO).save(folder / f"{orientation}.jpg", exif=exif)
    alpha = np.zeros(PHOTO.shape[:2], np.uint8)
    alpha[20:50, 30:90] = np.arange(60)
    Image.fromarray(np.dstack([PHOTO, alpha])).save(folder / "clear.png", exif=exif)
    Image.fromarray(PHOTO[..., 0]).save(folder / "grey.webp", lossless=True)
    Image.fromarray(PHOTO).save(folder / "plain.bmp")
    samples = np.random.default_rng(0).integers(0, 65536, (40, 60, 4), dtype=np.uint16)
    tifffile.imwrite(folder / "deep.tif", samples[..., :3], photometric="rgb")
    tifffile.imwrite(folder / "deep_clear.tif", samples, photometric="rgb", extrasamples=["unassalpha"])
    yield from sorted(folder.iterdir())


def result(source: Path, target: Path, scale: float, model: ImageUpscaler, workspace: Workspace) -> bytes:
    photo = read_image(source, workspace)
    size = (round(photo.pixels.shape[0] * scale), round(photo.pixels.shape[1] * scale))
    pixels, alpha = model.upscale(photo.pixels, photo.alpha, *size, workspace=workspace)
    write_image(target, ImageWithMetadata(pixels, alpha, photo.icc_profile, photo.metadata), workspace)
    return target.read_bytes()


@pytest.mark.parametrize("scale", [2, 1.5, 4])
@pytest.mark.parametrize("network", [None, NETWORK], ids=["bicubic", "network"])
def test_files_and_memory_give_the_same_bytes(tmp_path: Path, scale: float, network: object) -> None:
    model = ImageUpscaler(network, memory=1 << 20)
    scratch = tmp_path / "scratch"
    (tmp_path / "in").mkdir()
    for number, source in enumerate(sources(tmp_path / "in")):
        suffix = (".png", ".tif", ".webp", ".avif")[number % 4]
        plain = result(source, tmp_path / f"plain{suffix}", scale, model, Workspace())
        streamed = result(source, tmp_path / f"streamed{suffix}", scale, model, Workspace(scratch, 0))
        assert streamed == plain
    assert list(scratch.iterdir()) == []


def test_orientation_is_that_of_libvips(tmp_path: Path) -> None:
    for source in sources(tmp_path):
        if source.suffix == ".jpg":
            photo = read_image(source, Workspace(tmp_path / "scratch", 0))
            theirs = pyvips.Image.new_from_file(str(source)).autorot().numpy()
            np.testing.assert_array_equal(photo.pixels, theirs)


def test_images_in_memory_are_in_plain_order(tmp_path: Path) -> None:
    for source in sources(tmp_path):
        image = load_image(source)
        assert image.pixels.flags.c_contiguous
        assert image.alpha is None or image.alpha.flags.c_contiguous


def test_bands_of_a_resized_image_leave_no_seams() -> None:
    tall = np.tile(data.coffee(), (9, 1, 1))  # more rows than a band has
    narrow = tall[:, 100:103]  # one band
    np.testing.assert_array_equal(resize_to(tall, 5400, 600)[:, 100:103], resize_to(narrow, 5400, 3))
    np.testing.assert_array_equal(resize_to(tall, 2500, 600)[:, 100:103], resize_to(narrow, 2500, 3))
    np.testing.assert_array_equal(resize_to(tall, 3600, 330)[50:52], resize_to(tall[50:52], 2, 330))
    deep = convert_depth(tall, 16)
    np.testing.assert_array_equal(deep, tall.astype(np.uint16) * 257)
    np.testing.assert_array_equal(convert_depth(deep, 8), tall)


def test_memory_does_not_grow_with_the_image(fork_server: ForkServer, tmp_path: Path) -> None:
    code = (
        "import resource, sys\nfrom pathlib import Path\nfrom nitido.upscaling.batch import Job, Plan, run\n"
        "from tests.upscaling.test_batch import Diary, bicubic\n"
        "folder = Path(sys.argv[1])\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "plan = lambda name: Plan([Job(folder / name, folder / 'out.jpg')], None)\n"
        "work = lambda name: run(plan(name), bicubic(2), Diary(), 'overwrite')\n"
        "assert work('small.jpg') == 0\nbefore = peak()\nassert work('large.jpg') == 0\nprint(peak() - before)\n"
    )
    Image.fromarray(PHOTO).save(tmp_path / "small.jpg")
    Image.fromarray(np.tile(data.astronaut(), (6, 8, 1))).save(tmp_path / "large.jpg")  # 12.6 megapixels
    ended = fork_server.python(code, tmp_path, cwd=tmp_path)
    source, upscaled = (factor * 4096 * 3072 * 3 // 1024 for factor in (1, 4))
    assert int(ended.out) < source + upscaled // 2 + 50_000  # all at once they are 189 MB, and were 370 and more
    assert sorted(file.name for file in tmp_path.iterdir()) == ["large.jpg", "out.jpg", "small.jpg"]
    with Image.open(tmp_path / "out.jpg") as image:
        assert image.size == (8192, 6144)


def test_memory_of_reading_does_not_grow_with_the_image(fork_server: ForkServer, tmp_path: Path) -> None:
    code = (
        "import resource, sys\nfrom pathlib import Path\nfrom nitido.upscaling.images import read_image\n"
        "from nitido.upscaling.workspace import Workspace\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "folder = Path(sys.argv[1])\n"
        "read_image(folder / 'small.png', Workspace(folder, 0))\nbefore = peak()\n"
        "photo = read_image(folder / 'large.png', Workspace(folder, 0))\nprint(peak() - before)\n"
        "assert photo.pixels.shape == (6144, 6144, 3)\n"
    )
    rows = np.tile(data.astronaut().astype(np.uint16) * 257, (1, 12, 1))
    for name, times in (("small", 1), ("large", 12)):
        image = pyvips.Image.new_from_array(rows, interpretation="rgb16").replicate(1, times)
        image.pngsave(str(tmp_path / f"{name}.png"), compression=1)
    ended = fork_server.python(code, tmp_path, cwd=tmp_path)
    assert int(ended.out) < 80_000  # KiB; all at once the samples are 221,184


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg", "webp", "avif", "bmp"])
def test_a_full_disk_raises_the_original_error(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    target = tmp_path / f"a.{suffix}"
    with files_of_at_most(9000), pytest.raises(OSError, match="File too large") as caught:
        write_image(target, ImageWithMetadata(noise))
    assert caught.value.errno == errno.EFBIG
    assert caught.value.filename == str(target)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_while_reading_is_not_reported_as_damage(tmp_path: Path) -> None:
    source = tmp_path / "a.png"
    Image.fromarray(PHOTO).save(source)
    with files_of_at_most(9000), pytest.raises(OSError, match="File too large"):
        read_image(source, Workspace(tmp_path / "out", 0))
    source.write_bytes(source.read_bytes()[:-500])
    with pytest.raises(ImageFileError, match="damaged or incomplete PNG"):
        read_image(source, Workspace(tmp_path / "out", 0))


class StopError(Exception):
    """Raised by a pulse."""


def test_a_pulse_can_stop_the_writing(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1200, 1000, 3), dtype=np.uint8)

    def stop() -> None:
        raise StopError

    for suffix in ("png", "tif", "jpg"):
        with pytest.raises(StopError):
            write_image(tmp_path / f"a.{suffix}", ImageWithMetadata(noise), pulse=stop)
    assert list(tmp_path.iterdir()) == []
