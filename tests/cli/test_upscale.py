"""`nitido upscale` on the command line."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

import nitido as nitido_package
from nitido.models import ModelDescriptor, save_model
from tests.architectures.recipes import Recipe

PHOTO = data.astronaut()[40:80, 180:230]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    network = Recipe("srcnn", "debug").build()
    save_model(tmp_path / "run" / "model.safetensors", network, ModelDescriptor.of(network, "srcnn", "tiny"))
    return tmp_path / "run"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.fromarray(PHOTO).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_one_image(nitido, model: Path, photo: Path, tmp_path: Path) -> None:
    done = nitido("upscale", photo, "-o", tmp_path / "b.png", "--model", model)
    assert (done.code, done.out) == (0, "")
    assert done.err == f"{tmp_path / 'b.png'}: 50×40 → 100×80\n"
    np.testing.assert_array_equal(pixels(tmp_path / "b.png"), nitido_package.upscale(PHOTO, model))


def test_sizes_formats_and_the_self_ensemble(call, model: Path, photo: Path, tmp_path: Path) -> None:
    options = {
        "three": (["--scale", "3"], (150, 120)),
        "half": (["--scale", "1.5"], (75, 60)),
        "wide": (["--width", "333"], (333, 266)),
        "high": (["--height", "100"], (125, 100)),
        "ensemble": (["--self-ensemble"], (100, 80)),
        "little_memory": (["--memory", "64mb"], (100, 80)),
        "short_numbers": (["--precision", "bfloat16"], (100, 80)),
    }
    for name, (given, size) in options.items():
        assert call("upscale", photo, "-o", tmp_path / f"{name}.png", "--model", model, *given).code == 0
        assert Image.open(tmp_path / f"{name}.png").size == size
    plain = nitido_package.upscale(PHOTO, model)
    np.testing.assert_array_equal(pixels(tmp_path / "little_memory.png"), plain)
    assert 0 < np.abs(pixels(tmp_path / "ensemble.png").astype(int) - plain).max() < 40
    assert 0 < np.abs(pixels(tmp_path / "short_numbers.png").astype(int) - plain).max() < 10
    assert call("upscale", photo, "-o", tmp_path / "out", "--model", model, "--format", "webp").code == 0
    np.testing.assert_array_equal(pixels(tmp_path / "out" / "a.webp"), plain)


def test_a_preview_is_a_part_of_the_result(call, model: Path, photo: Path, tmp_path: Path) -> None:
    done = call("upscale", photo, "-o", tmp_path / "p.png", "--model", model, "--preview", "10,5,20,8")
    assert done.code == 0, done.err
    size = "×".join(map(str, PHOTO.shape[1::-1]))
    assert f"part 10,5,20,8 of {size} → 40×16" in done.err
    again = call("upscale", photo, "-o", tmp_path / "p.png", "--model", model, "--preview", "10,5,20,8")
    assert "already exists: use --existing skip or overwrite" in again.error_line, "a single result is not remembered"
    expected = nitido_package.upscale(PHOTO, model)[10:26, 20:60]
    assert np.abs(pixels(tmp_path / "p.png").astype(int) - expected).max() <= 1


def test_a_folder_with_a_bad_file(call, model: Path, photo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    photo.rename(folder / "sub" / "a.png")
    (folder / "bad.png").write_text("not an image")
    Image.fromarray(PHOTO).save(folder / "moving.gif")
    Image.fromarray(np.dstack([PHOTO, PHOTO[..., 0]])).save(folder / "clear.png")
    done = call("upscale", folder, "-o", tmp_path / "out", "--model", model)
    assert done.code == 1
    assert "bad.png: not a PNG" in done.error_line
    left_alone = "note: ignored, not readable images: "
    assert f"{left_alone}{folder / 'moving.gif'}\n" in done.err
    assert done.out == f"{tmp_path / 'out'}: 2 of 3 images\n"
    again = call("upscale", folder, "-o", tmp_path / "out", "--model", model)
    assert f"{tmp_path / 'out' / 'sub' / 'a.png'}: finished already" in again.err
    assert Image.open(tmp_path / "out" / "clear.png").mode == "RGBA"


def test_losses_are_reported(call, photo: Path, tmp_path: Path) -> None:
    import tifffile

    tifffile.imwrite(tmp_path / "a.tif", PHOTO.astype(np.uint16) * 257, photometric="rgb")
    done = call("upscale", tmp_path / "a.tif", "-o", tmp_path / "b.jpg", "--model", "bicubic", "--scale", "2")
    assert done.code == 0
    assert f"note: {tmp_path / 'b.jpg'}: JPEG stores 8 bits per sample, not 16" in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.png", "-o", "b.png", "--model", "nowhere"], "nowhere: no such model file"),
        (["a.png", "-o", "b.png", "--model", "bicubic"], "bicubic has no scale of its own"),
        (["a.png", "-o", "b.png", "--model", "bicubic", "--scale", "0.5"], "scale 0.5: it must be greater than 1"),
        (["a.png", "-o", "b.png", "--model", "bicubic", "--scale", "2", "--width", "99"], "scale and width exclude"),
        (["a.png", "-o", "b.png", "--model", "bicubic", "--width", "20"], "a.png: the image is 50 pixels wide"),
        (
            ["a.png", "-o", "b.png", "--model", "bicubic", "--scale", "2", "--self-ensemble"],
            "--self-ensemble: bicubic is not a network",
        ),
        (["a.png", "-o", "b.png", "--model", "bicubic", "--scale", "2", "--preview", "1,2"], "it must be X,Y,W,H"),
        (["a.png", "-o", "b.png", "--model", "bicubic", "--scale", "2", "--precision", "half"], "unknown precision"),
        (
            ["a.png", "-o", "b.png", "--model", "bicubic", "--scale", "2", "--precision", "bfloat16"],
            "--precision: bicubic is not a network",
        ),
        (
            ["a.png", "-o", "b.png", "--model", "bicubic", "--scale", "2", "--preview", "40,0,20,9"],
            "a.png: the part 40,0,20,9 is not within the image of 50×40",
        ),
        (["a.png", "-o", "out", "--model", "bicubic", "--scale", "2", "--format", "pgn"], "did you mean 'png'?"),
        (
            ["a.png", "-o", "b.png", "--model", "bicubic", "--scale", "2", "--format", "webp"],
            "suffix is of another format",
        ),
        (["a.png", "-o", "a.png", "--model", "bicubic", "--scale", "2"], "would overwrite an input image"),
        (["none.png", "-o", "b.png", "--model", "bicubic", "--scale", "2"], "none.png: no such file or folder"),
        (["a.png", "-o", "b.png", "--model", "bicubic", "--scale", "2", "--memory", "plenty"], "such as 512MB or 2GB"),
        (["a.png", "-o", "b.png", "--model", "bicubic", "--scale", "2", "--memory", "1MB"], "at least 64MB are needed"),
    ],
)
def test_wrong_calls_are_one_line(call, photo: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    before = photo.read_bytes()
    done = call("upscale", *arguments)
    assert done.code == 1
    assert message in done.error_line
    assert not (tmp_path / "b.png").exists()
    assert photo.read_bytes() == before


def test_help_has_an_example(call) -> None:
    done = call("upscale", "--help")
    assert done.code == 0
    assert "Example: nitido upscale" in done.out
