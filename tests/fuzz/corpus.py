"""Valid files and folders that the mutations begin with, created for each run."""

import io
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

STUDY = """study: fuzzed
question: does it hold?
architecture: srcnn
scale: 2
baseline: a
metrics: [psnr_y, ssim_y]
variants:
  - {name: a, variant: debug}
  - {name: b, variant: debug, config: {residual: false, widths: [3, 5]}, learning_rates: [1.0e-3]}
  - {name: c, variant: debug, pretrained: 'variant:a', hyperparameters: {weight_decay: 0.1, optimizer: adamw}}
profiles:
  demo:
    description: tiny
    data: {train: [images/train], validation: [images/validation], test: [images/test]}
    learning_rates: [1.0e-3]
    seeds: [0]
    config: {kernel_sizes: [3, 1, 3]}
    overrides: {b: {hyperparameters: {batch: 2}}}
    hyperparameters: {steps: 2, batch: 1, patch: 8, validate_every: 2, compile: false, precision: float32}
"""


def build(folder: str) -> None:
    """Write everything below `folder`, which is the working directory, too."""
    from nitido.cli.app import main  # noqa: F401  (its modules are loaded before anything is written)
    from tests.forked.images import make_images
    from tests.forked.server import command

    root = Path(folder)
    make_images(root / "images")
    _write(root / "image", images())
    _write(root / "foreign", foreign(root))
    (root / "studies").mkdir()
    (root / "studies" / "study.yaml").write_text(STUDY)
    os.chdir(root)
    os.environ["NITIDO_CACHE"] = str(root / "other_cache")
    done = [command(["study", "run", "studies/study.yaml", "--out", "study"], None)]
    done.append(command(["upscale", "images/train", "-o", "upscaled", "--model", "bicubic", "--scale", "2"], None))
    os.environ["NITIDO_CACHE"] = str(root / "cache")  # of the test images alone
    done.append(command(["data", "prepare", str(root / "images" / "test"), "--scale", "2"], None))
    assert [one["code"] for one in done] == [0, 0, 0], done
    (root / "model").mkdir()
    run = root / "study" / "runs" / "a"
    model = next(run.glob("*/*/model.safetensors"))
    shutil.copytree(model.parent, root / "run")
    shutil.copy(model, root / "model" / "srcnn.safetensors")
    (root / "onnx").mkdir()
    exported = command(["model", "export", "model/srcnn.safetensors", "-o", "onnx/srcnn.onnx"], None)
    assert exported["code"] == 0, exported
    assert json.loads((root / "study" / "leaderboard.json").read_text())


def _write(folder: Path, files: Iterator[tuple[str, bytes]]) -> None:
    folder.mkdir()
    for name, content in files:
        (folder / name).write_bytes(content)


def images() -> Iterator[tuple[str, bytes]]:
    """Small images of every format and many kinds."""
    import pyvips
    from PIL import Image, ImageCms
    from skimage import data

    rgb = np.ascontiguousarray(data.astronaut()[100:120, 200:226])
    image = Image.fromarray(rgb)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"

    def saved(made: Image.Image, kind: str, **options: object) -> bytes:
        file = io.BytesIO()
        made.save(file, kind, **options)
        return file.getvalue()

    yield "rgb.png", saved(image, "png", icc_profile=profile, exif=exif)
    yield "alpha.png", saved(image.convert("RGBA"), "png")
    yield "palette.png", saved(image.quantize(16), "png", transparency=3)
    yield "bits.png", saved(image.convert("1"), "png")
    yield "grey16.png", saved(Image.fromarray(rgb[..., 0].astype(np.uint16) * 257), "png")
    yield "exif.jpg", saved(image, "jpeg", exif=exif, icc_profile=profile)
    yield "progressive.jpg", saved(image, "jpeg", progressive=True, quality=60)
    yield "grey.jpeg", saved(image.convert("L"), "jpeg")
    yield "cmyk.jpg", saved(image.convert("CMYK"), "jpeg")
    yield "lossy.webp", saved(image.convert("RGBA"), "webp", exif=exif)
    yield "lossless.webp", saved(image, "webp", lossless=True)
    yield "moving.webp", saved(image, "webp", save_all=True, append_images=[image.rotate(90)])
    yield "lzw.tif", saved(image, "tiff", compression="tiff_lzw")
    yield "jpeg.tif", saved(image, "tiff", compression="jpeg")
    yield "rgb.bmp", saved(image, "bmp")
    yield "palette.bmp", saved(image.quantize(16), "bmp")
    yield "still.gif", saved(image.quantize(16), "gif")
    yield "moving.gif", saved(image.quantize(16), "gif", save_all=True, append_images=[image.rotate(90).quantize(8)])
    yield "rgb.ppm", saved(image, "ppm")
    made = pyvips.Image.new_from_array(rgb)
    yield "rgb.avif", made.heifsave_buffer(compression="av1", effort=0)
    deep = (made.cast("ushort") * 257).cast("ushort").copy(interpretation="rgb16")
    yield "deep.png", deep.pngsave_buffer(interlace=True)
    yield "deep.tif", deep.tiffsave_buffer(tile=True, tile_width=16, tile_height=16, compression="deflate")
    yield "float.tif", (made / 255).cast("float").tiffsave_buffer()
    yield "pyramid.tiff", made.tiffsave_buffer(pyramid=True, tile=True, tile_width=16, tile_height=16)


def foreign(root: Path) -> Iterator[tuple[str, bytes]]:
    """Small weights in other people's layouts."""
    import h5py
    import torch
    from safetensors.torch import save

    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator) * 0.1

    width, edsr = 4, {}
    names = {"head.0": 3, "body.0.body.0": width, "body.0.body.2": width, "body.1": width}
    for name, inputs in names.items():
        edsr[f"{name}.weight"], edsr[f"{name}.bias"] = draw(width, inputs, 3, 3), draw(width)
    edsr["tail.0.0.weight"], edsr["tail.0.0.bias"] = draw(4 * width, width, 3, 3), draw(4 * width)
    edsr["tail.1.weight"], edsr["tail.1.bias"] = draw(3, width, 3, 3), draw(3)
    for sign, name in ((-1, "sub_mean"), (1, "add_mean")):
        edsr[f"{name}.weight"] = torch.eye(3)[:, :, None, None]
        edsr[f"{name}.bias"] = sign * 255 * torch.tensor([0.4488, 0.4371, 0.4040])
    for name, value in {"edsr.pth": edsr, "wrapped.pt": {"params_ema": edsr, "epoch": 3}}.items():
        file = io.BytesIO()
        torch.save(value, file)
        yield name, file.getvalue()
    file = io.BytesIO()
    torch.save(edsr, file, _use_new_zipfile_serialization=False)
    yield "legacy.pth", file.getvalue()
    yield "edsr.safetensors", save(edsr)

    widths = [1, *[64] * 19, 1]
    vdsr = {}
    for n in range(1, 21):
        vdsr[f"conv{n}.weight"] = draw(widths[n], widths[n - 1], 3, 3).numpy()
        vdsr[f"conv{n}.bias"] = draw(widths[n]).numpy()
    file = io.BytesIO()
    np.savez_compressed(file, **{name: np.round(value, 1) for name, value in vdsr.items()})
    yield "vdsr.npz", file.getvalue()
    file = io.BytesIO()
    np.savez(file, **{name: value[(slice(2),) * min(2, value.ndim)] for name, value in vdsr.items()})
    yield "small.npz", file.getvalue()

    path = root / "weights.h5"
    with h5py.File(path, "w") as written:
        layers = {"conv2d": (9, 1, 8), "conv2d_1": (3, 8, 4), "conv2d_2": (5, 4, 1)}
        written.attrs["layer_names"] = [name.encode() for name in layers]
        for name, (size, inputs, outputs) in layers.items():
            group = written.create_group(name)
            group.attrs["weight_names"] = [f"{name}/kernel:0".encode(), f"{name}/bias:0".encode()]
            group[f"{name}/kernel:0"] = draw(size, size, inputs, outputs).numpy()
            group.create_dataset(f"{name}/bias:0", data=draw(outputs).numpy(), compression="gzip")
    yield "srcnn.h5", path.read_bytes()
