"""Pixels in, larger pixels of the same kind out: against the network itself, PyTorch's resampling, and formulas."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from torch import Tensor
from torch.nn.functional import interpolate

import nitido
from nitido.architectures import SuperResolutionNetwork
from nitido.base.errors import NitidoError
from nitido.imaging import bicubic_downscale, bicubic_upscale, rgb_to_ycbcr, ycbcr_to_rgb
from nitido.models.working_memory import bytes_per_pixel
from nitido.upscaling.images.resize_to import resize_to
from nitido.upscaling.images.target_size import TargetSize, UpscaleError
from nitido.upscaling.upscaler import ImageUpscaler
from tests.architectures.recipes import Recipe

NETWORKS = {
    "color": Recipe("srcnn", "debug").build().eval(),
    "luma": Recipe("srcnn", "debug", {"channels": 1}).build().eval(),
    "edsr": Recipe("edsr", "debug", {"scale": 3}).build().eval(),
}
PHOTO = data.astronaut()[60:99, 190:241]
LITTLE_MEMORY = 1 << 17


def by_hand(network: SuperResolutionNetwork, pixels: np.ndarray) -> np.ndarray:
    """The whole image through the network in one go: `(h, w, C)` to float `(k·h, k·w, C)` in units of the type."""
    largest = np.iinfo(pixels.dtype).max
    with torch.no_grad():
        lr = torch.from_numpy(pixels.astype(np.float64) / largest).float().permute(2, 0, 1)[None]
        return network(lr)[0].permute(1, 2, 0).double().numpy().clip(0, 1) * largest


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("name", ["color", "edsr"])
def test_rgb_is_the_output_of_the_network_at_full_depth(name: str, depth: type) -> None:
    network = NETWORKS[name]
    pixels = PHOTO if depth == np.uint8 else np.random.default_rng(0).integers(0, 65536, (21, 33, 3), dtype=np.uint16)
    upscaled = nitido.upscale(pixels, network)
    assert upscaled.dtype == depth
    tolerance = 0.51 if depth == np.uint8 else 0.6  # half a unit of rounding; float32 has 24 bits
    assert np.abs(upscaled - by_hand(network, pixels)).max() <= tolerance


def test_tiles_leave_no_seam() -> None:
    network = NETWORKS["edsr"]
    size = (3 * PHOTO.shape[0], 3 * PHOTO.shape[1])
    shares: list[float] = []
    tiles, _ = ImageUpscaler(network, memory=LITTLE_MEMORY).upscale(PHOTO, None, *size, shares.append)
    assert len(shares) > 4
    assert sum(shares) == pytest.approx(1)
    assert np.abs(tiles - by_hand(network, PHOTO)).max() <= 0.51


def test_grey_stays_grey() -> None:
    grey = PHOTO[..., 1]
    through_color = nitido.upscale(grey, NETWORKS["color"])
    weights = np.array([0.299, 0.587, 0.114])
    assert through_color.shape == (78, 102)
    assert np.abs(through_color - by_hand(NETWORKS["color"], np.dstack([grey] * 3)) @ weights).max() <= 0.51
    through_luma = nitido.upscale(grey, NETWORKS["luma"])
    assert np.abs(through_luma - by_hand(NETWORKS["luma"], grey[..., None])[..., 0]).max() <= 0.51


def test_a_luma_network_gets_y_and_chroma_is_bicubic() -> None:
    lr = torch.from_numpy(PHOTO / 255).float().permute(2, 0, 1)[None]
    ycbcr = rgb_to_ycbcr(lr)
    with torch.no_grad():
        y = NETWORKS["luma"](ycbcr[:, :1])
    expected = ycbcr_to_rgb(torch.cat([y, bicubic_upscale(ycbcr[:, 1:], 2)], dim=1))[0].permute(1, 2, 0).numpy()
    for memory in (1 << 30, LITTLE_MEMORY):
        upscaled, _ = ImageUpscaler(NETWORKS["luma"], memory=memory).upscale(PHOTO, None, 78, 102)
        assert np.abs(upscaled - expected.clip(0, 1) * 255).max() <= 0.51


@pytest.mark.parametrize("model", ["bicubic", NETWORKS["color"]], ids=["bicubic", "network"])
def test_transparency_leaves_no_fringe(model: object) -> None:
    rows, columns = np.mgrid[:40, :40]
    inside = np.hypot(rows - 20, columns - 20) < 12
    image = np.zeros((40, 40, 4), np.uint8)
    image[inside] = (200, 40, 60, 255)  # everything else: transparent black
    upscaled = nitido.upscale(image, model, 2)
    plain = nitido.upscale(np.full((40, 40, 3), (200, 40, 60), np.uint8), model, 2)
    np.testing.assert_array_equal(upscaled[..., :3], plain)  # no trace of black, and not premultiplied
    np.testing.assert_array_equal(upscaled[..., 3], bicubic_upscale(image[..., 3], 2))


def test_hidden_colors_are_no_reason_to_lose_visible_ones() -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (9, 11, 4), dtype=np.uint8)
    image[..., 3] = 255
    np.testing.assert_array_equal(nitido.upscale(image, "bicubic", 2)[..., :3], bicubic_upscale(image[..., :3], 2))
    image[..., 3] = 0
    assert nitido.upscale(image, "bicubic", 2)[..., 3].max() == 0


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16"])
def test_pil_images_keep_their_mode_and_profile(mode: str) -> None:
    image = Image.fromarray(PHOTO).convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    image.info["icc_profile"] = b"profile"
    upscaled = nitido.upscale(image, "bicubic", 2)
    assert (upscaled.mode, upscaled.size, upscaled.info) == (mode, (102, 78), {"icc_profile": b"profile"})
    expected = bicubic_upscale(np.asarray(image), 2)
    np.testing.assert_array_equal(np.asarray(upscaled), expected)


@pytest.mark.parametrize(("mode", "color"), [("L", 5), ("RGB", (5, 6, 7))])
def test_the_transparent_color_of_a_png_becomes_alpha(mode: str, color: object, tmp_path: Path) -> None:
    """PIL keeps a tRNS chunk beside the pixels: an upscaled color would not be that color any more."""
    image = Image.fromarray(PHOTO).convert(mode)
    image.paste(color, (10, 10, 30, 30))
    image.save(tmp_path / "a.png", transparency=color)
    with Image.open(tmp_path / "a.png") as opened:
        assert opened.mode == mode
        upscaled = nitido.upscale(opened, "bicubic", 2)
    assert upscaled.mode == ("LA" if mode == "L" else "RGBA")
    alpha = np.asarray(upscaled)[..., -1]
    assert alpha[40, 40] == 0
    assert alpha[2, 2] == 255


class Doubling(SuperResolutionNetwork):
    """Nearest-neighbor upsampling ×2 as a network, whose output is easy to compute independently."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__(NETWORKS["color"].config, 0)
        self.factor = factor

    def forward(self, lr: Tensor) -> Tensor:
        return interpolate(lr, scale_factor=2, mode="nearest") * self.factor


def test_any_scale_is_reached_by_repetition_and_downscaling() -> None:
    four = PHOTO.repeat(4, axis=0).repeat(4, axis=1)
    np.testing.assert_array_equal(nitido.upscale(PHOTO, Doubling(), 4), four)
    np.testing.assert_array_equal(nitido.upscale(PHOTO, Doubling(), 2), four[::2, ::2])
    three = nitido.upscale(PHOTO, Doubling(), 3)
    assert three.shape == (117, 153, 3)
    np.testing.assert_array_equal(three, np.round(resize_to(four.astype(np.uint16) * 257, 117, 153) / 257))
    half = nitido.upscale(PHOTO, Doubling(), 1.5)
    assert half.shape == (59, 77, 3)  # MATLAB's ceil(1.5 · 39), ceil(1.5 · 51)


def test_between_two_runs_nothing_is_rounded_to_8_bits() -> None:
    grey = np.full((20, 20), 98, np.uint8)
    twice = nitido.upscale(np.dstack([grey] * 3), Doubling(0.75), 4)
    assert twice[0, 0, 0] == round(98 * 0.75 * 0.75)  # 55; by way of 74 it would be 56


def test_resize_to_is_the_resizer_of_the_benchmarks_and_of_pytorch() -> None:
    image = data.coffee()[:120, :160]
    np.testing.assert_array_equal(resize_to(image, 60, 80), bicubic_downscale(image, 2))
    np.testing.assert_array_equal(resize_to(image, 240, 320), bicubic_upscale(image, 2))
    given = torch.from_numpy(image).permute(2, 0, 1)[None].double()
    theirs = interpolate(given, (90, 120), mode="bicubic", antialias=True)[0].permute(1, 2, 0).numpy()
    ours = resize_to(image, 90, 120).astype(float)
    inner = slice(4, -4)  # PyTorch knows no mirror beyond the border
    assert np.abs(ours - theirs.clip(0, 255))[inner, inner].max() <= 1.5  # two roundings of half a unit, enlarged


def test_a_part_has_the_pixels_of_the_whole() -> None:
    whole = nitido.upscale(PHOTO, NETWORKS["edsr"])
    part, _ = ImageUpscaler(NETWORKS["edsr"]).upscale_part(PHOTO, None, 117, 153, (20, 11, 9, 7))
    assert np.abs(part.astype(int) - whole[33:54, 60:87]).max() <= 1
    twice = nitido.upscale(PHOTO, NETWORKS["color"], 4)
    part, _ = ImageUpscaler(NETWORKS["color"]).upscale_part(PHOTO, None, 156, 204, (20, 11, 9, 7))
    assert np.abs(part.astype(int) - twice[44:72, 80:116]).max() <= 1
    with pytest.raises(UpscaleError, match="the part 50,0,9,7 is not within the image of 51×39"):
        ImageUpscaler(None).upscale_part(PHOTO, None, 78, 102, (50, 0, 9, 7))


def test_the_self_ensemble_is_the_mean_of_the_symmetries() -> None:
    upscaled, _ = ImageUpscaler(NETWORKS["edsr"], self_ensemble=True).upscale(PHOTO, None, 117, 153)
    scale_schedule = [by_hand(NETWORKS["edsr"], np.ascontiguousarray(np.rot90(PHOTO, n))) for n in range(4)]
    mirrored = [by_hand(NETWORKS["edsr"], np.ascontiguousarray(np.rot90(PHOTO[:, ::-1], n))) for n in range(4)]
    looks = [np.rot90(look, -n) for n, look in enumerate(scale_schedule)]
    looks += [np.rot90(look, -n)[:, ::-1] for n, look in enumerate(mirrored)]
    inside = np.all([(look > 0) & (look < 255) for look in looks], axis=0)  # by hand each look was clipped
    assert inside.mean() > 0.5
    assert np.abs(upscaled - np.mean(looks, axis=0))[inside].max() <= 0.51


def test_working_memory_counts_what_is_alive_at_once() -> None:
    class Chain(Doubling):
        def forward(self, lr: Tensor) -> Tensor:
            for _ in range(3):
                lr = lr + 1  # two of three channels' planes are alive, however long the chain
            return lr

    needed = bytes_per_pixel(Chain()) / 1.5
    assert needed == pytest.approx(2 * 3 * 4, rel=0.01)


@pytest.mark.parametrize(
    ("image", "model", "scale", "message"),
    [
        (np.zeros((4, 4), np.float32), "bicubic", 2, r"a float32 array \(4, 4\): it must be uint8 or uint16"),
        (np.zeros((4, 4, 2), np.uint8), "bicubic", 2, r"a uint8 array \(4, 4, 2\): it must be"),
        (np.zeros((0, 4, 3), np.uint8), "bicubic", 2, r"a uint8 array \(0, 4, 3\)"),
        (Image.new("P", (4, 4)), "bicubic", 2, "a PIL image of mode P"),
        ([[0, 1]], "bicubic", 2, "a list: it must be a NumPy array or a PIL image"),
        (None, "bicubic", 2, "a NoneType: it must be"),
        (PHOTO, "bicubic", "2", "scale '2': it must be a number"),
        (PHOTO, 5, 2, "model 5: it must be a name, a path or a network"),
        (PHOTO, "bicubic", None, "bicubic has no scale of its own"),
        (PHOTO, "bicubic", 1, "scale 1: it must be greater than 1 and at most 16"),
        (PHOTO, "bicubic", float("nan"), "scale nan: it must be"),
        (PHOTO, "no/such.safetensors", 2, "no/such.safetensors: no such model file"),
        (PHOTO, Doubling(float("nan")), 2, "the model's output for this image is NaN"),
    ],
)
def test_impossible_requests_give_one_line(image: object, model: object, scale: float | None, message: str) -> None:
    with pytest.raises(NitidoError, match=message) as caught:
        nitido.upscale(image, model, scale)
    assert "\n" not in str(caught.value)


def test_a_network_that_needs_the_whole_image_reports_missing_memory() -> None:
    blind = Doubling()
    blind.receptive_field_radius = None
    assert ImageUpscaler(blind).upscale(PHOTO, None, 78, 102)[0].shape == (78, 102, 3)
    with pytest.raises(UpscaleError, match=r"must process the whole image at once: 51×39 needs about \d+ MB of memory"):
        ImageUpscaler(blind, memory=1000).upscale(PHOTO, None, 78, 102)


def test_target_sizes() -> None:
    assert TargetSize(height=300).of(150, 100, 2) == (300, 200)
    with pytest.raises(UpscaleError, match="scale and width exclude each other"):
        TargetSize(scale=2, width=100)
    with pytest.raises(UpscaleError, match="the image is 100 pixels wide: the result may have 101 to 1600, not 90"):
        TargetSize(width=90).of(150, 100, 2)


SEVERAL = ImageUpscaler(NETWORKS["color"], scales=(2, 4, 3))


@pytest.mark.parametrize(("factor", "own"), [(2, 2), (3, 3), (4, 4), (1.5, 2), (2.5, 3), (3.2, 4)])
def test_a_network_for_several_scales_is_used_at_the_nearest_that_reaches_the_size(factor: float, own: int) -> None:
    height, width = (round(side * factor) for side in PHOTO.shape[:2])
    upscaled, _ = SEVERAL.upscale(PHOTO, None, height, width)
    alone, _ = ImageUpscaler(NETWORKS["color"].at_scale(own)).upscale(PHOTO, None, height, width)
    assert np.array_equal(upscaled, alone)
    others = [scale for scale in (2, 3, 4) if scale != own]
    for other in others:
        different, _ = ImageUpscaler(NETWORKS["color"].at_scale(other)).upscale(PHOTO, None, height, width)
        assert not np.array_equal(upscaled, different)


def test_beyond_its_largest_scale_a_network_is_repeated() -> None:
    size = (6 * PHOTO.shape[0], 6 * PHOTO.shape[1])
    upscaled, _ = SEVERAL.upscale(PHOTO, None, *size)
    repeated, _ = ImageUpscaler(NETWORKS["color"].at_scale(4)).upscale(PHOTO, None, *size)
    assert np.array_equal(upscaled, repeated)


def test_the_first_of_several_scales_is_the_models_own() -> None:
    assert SEVERAL.own_scale == 2
    luma = ImageUpscaler(NETWORKS["luma"], scales=(2, 3), self_ensemble=True)
    alone = ImageUpscaler(NETWORKS["luma"].at_scale(3), self_ensemble=True)
    size = (3 * PHOTO.shape[0], 3 * PHOTO.shape[1])
    assert np.array_equal(luma.upscale(PHOTO, None, *size)[0], alone.upscale(PHOTO, None, *size)[0])


def test_a_part_is_upscaled_at_the_scale_of_the_whole() -> None:
    size = (3 * PHOTO.shape[0], 3 * PHOTO.shape[1])
    whole, _ = SEVERAL.upscale(PHOTO, None, *size)
    part, _ = SEVERAL.upscale_part(PHOTO, None, *size, (20, 10, 9, 8))
    assert np.array_equal(part, whole[30:54, 60:87])
