"""`nitido model export` and `nitido upscale --backend` on the command line."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from nitido.models import ModelDescriptor, save_model
from tests.architectures.recipes import Recipe

PHOTO = data.chelsea()[30:190, 80:310]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an image, `a.png`, and a model for it, `tiny.safetensors`; tests add `tiny.onnx`."""
    folder = tmp_path_factory.mktemp("onnx")
    network = Recipe("vdsr", "debug", {"upsampler": "pixel_shuffle", "residual": False}).build()
    save_model(folder / "tiny.safetensors", network, ModelDescriptor.of(network, "vdsr", "tiny"))
    Image.fromarray(PHOTO).save(folder / "a.png")
    return folder


@pytest.fixture(scope="module")
def plain(folder: Path) -> np.ndarray:
    """What PyTorch makes of the image."""
    import nitido

    return nitido.upscale(PHOTO, folder / "tiny.safetensors").astype(int)


def difference(path: Path, plain: np.ndarray) -> int:
    return int(np.abs(np.asarray(Image.open(path)) - plain).max())


def test_export_and_use_the_file(nitido, folder: Path, plain: np.ndarray, tmp_path: Path) -> None:
    done = nitido("model", "export", folder / "tiny.safetensors", "-o", tmp_path / "tiny.onnx")
    assert done.code == 0, done.err
    assert done.out.startswith(f"{tmp_path / 'tiny.onnx'}: vdsr ×2, ")
    assert "(17×23, 32×48, 5×61, 1×2)" in done.out
    assert done.err == ""
    for name, option in {"default": [], "onnx": ["--backend", "onnx"]}.items():
        target = tmp_path / f"{name}.png"
        used = nitido("upscale", folder / "a.png", "-o", target, "--model", tmp_path / "tiny.onnx", *option)
        assert used.code == 0, used.err
        assert used.err == f"{target}: 230×160 → 460×320\n"
        assert difference(target, plain) <= 1
    (tmp_path / "tiny.onnx").rename(tmp_path / "tiny.ONNX")
    upper = nitido("upscale", folder / "a.png", "-o", tmp_path / "upper.png", "--model", tmp_path / "tiny.ONNX")
    assert upper.code == 0, upper.err
    (tmp_path / "tiny.ONNX").rename(tmp_path / "tiny.onnx")
    wrong = nitido("upscale", folder / "a.png", "-o", "b.png", "--model", tmp_path / "tiny.onnx", "--backend", "torch")
    assert wrong.code == 1
    assert "tiny.onnx is for ONNX Runtime" in wrong.error_line


def test_a_model_file_by_the_other_backends(call, folder: Path, plain: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    command = ["upscale", folder / "a.png", "-o", tmp_path / "out", "--model", folder / "tiny.safetensors"]
    done = call(*command, "--backend", "onnx")
    assert done.code == 0, done.err
    assert difference(tmp_path / "out" / "a.png", plain) <= 1
    again = call(*command, "--backend", "auto")
    choice, image = again.err.splitlines()
    # Two pieces; the network sees 4 pixels of the other one, and the second piece begins at an even pixel.
    piece = f"{230 // 2 + 4 + 1}×160 pixels"
    assert choice.startswith((f"backend: torch ({piece}: torch ", f"backend: onnx ({piece}: torch "))
    assert image == f"{tmp_path / 'out' / 'a.png'}: finished already"
    short = call(*command, "--backend", "auto", "--precision", "bfloat16")
    assert short.code == 0, short.err
    assert short.err.startswith("backend: torch, the only one that computes in bfloat16\n")
    assert 0 < difference(tmp_path / "out" / "a.png", plain) < 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "tiny.safetensors", "--backend", "onx"], "unknown backend 'onx': did you mean 'onnx'?"),
        (["--model", "bicubic", "--scale", "2", "--backend", "auto"], "bicubic is not a network: leave the option out"),
        (["--model", "none.onnx"], "none.onnx: no such model file"),
        (["--model", "a.onnx"], "a.onnx: not a readable ONNX file"),
        (
            ["--model", "tiny.safetensors", "--backend", "onnx", "--precision", "bfloat16"],
            "--backend onnx --precision bfloat16: ONNX Runtime computes in float32: leave one of them out",
        ),
        (["--model", "a.onnx", "--precision", "bfloat16"], "a.onnx is for ONNX Runtime, which computes in float32"),
    ],
)
def test_wrong_calls_are_one_line(call, folder: Path, tmp_path: Path, options: list[str], message: str) -> None:
    (tmp_path / "a.onnx").write_text("not a model")
    done = call("upscale", folder / "a.png", "-o", "b.png", *options)
    assert done.code == 1
    assert message in done.error_line
    assert not (tmp_path / "b.png").exists()


def test_help_has_an_example(call) -> None:
    done = call("model", "export", "--help")
    assert done.code == 0
    assert "Example: nitido model export" in done.out
