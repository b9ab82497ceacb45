from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from nitido.imaging import bicubic_downscale, bicubic_upscale
from nitido.study.report import ReportError
from nitido.study.report.comparison import COLUMN, Panel, draw_comparison, error_limit, error_maps, magnify
from nitido.study.report.crop import Box


def drawn(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.mode == "RGB"
        return np.asarray(image)


def versions(reference: np.ndarray, count: int) -> list[Panel]:
    """The reference, and `count - 1` mixtures of it with bicubic that get worse."""
    blurred = bicubic_upscale(bicubic_downscale(reference, 2), 2).astype(np.float64)
    panels = [Panel("HR", reference, None, None)]
    for place in range(1, count):
        share = place / (count - 1)
        mixed = (reference * (1 - share) + blurred * share).round().astype(np.uint8)
        panels.append(Panel(f"{place}. variant", mixed, 40.0 - place, 0.99 - place / 100))
    return panels


def contains(image: np.ndarray, part: np.ndarray) -> bool:
    """Whether `part` stands somewhere in `image`, pixel by pixel."""
    height, width = part.shape[:2]
    corner = image[: image.shape[0] - height + 1, : image.shape[1] - width + 1]
    opposite = image[height - 1 :, width - 1 :]
    candidates = np.argwhere((corner == part[0, 0]).all(axis=2) & (opposite == part[-1, -1]).all(axis=2))
    return any(np.array_equal(image[y : y + height, x : x + width], part) for y, x in candidates)


def test_eight_panels_of_a_photograph_stay_small_and_show_original_pixels(tmp_path: Path) -> None:
    reference = data.astronaut()
    panels = versions(reference, 8)
    box = Box(200, 60, 72, 72)
    path = tmp_path / "figure.png"
    draw_comparison(panels, path, reference=reference, heading="astronaut", box=box)
    image = drawn(path)
    assert path.stat().st_size < 3_000_000
    assert image.shape[1] <= 2400
    for panel in panels:
        assert contains(image, magnify(panel.image[box.slices], COLUMN // 72))


@pytest.mark.parametrize(
    ("height", "width", "count"), [(24, 24, 2), (24, 60, 12), (400, 90, 3), (90, 400, 6), (10, 12, 1)]
)
@pytest.mark.parametrize("with_reference", [True, False])
def test_any_shape_and_number(tmp_path: Path, height: int, width: int, count: int, with_reference: bool) -> None:
    image = np.ascontiguousarray(data.astronaut()[:height, :width])
    panels = versions(image, count) if count > 1 else [Panel("only", image // 2, 6.0, 0.5)]
    path = tmp_path / "figure.png"
    draw_comparison(panels, path, reference=image if with_reference else None, heading="h")
    rows = -(-count // 5)
    columns = -(-count // rows)
    shape = drawn(path).shape
    assert columns * COLUMN < shape[1] <= 2400
    assert rows * COLUMN < shape[0]
    assert [file.name for file in tmp_path.iterdir()] == ["figure.png"]


def test_a_large_image_is_reduced(tmp_path: Path) -> None:
    reference = magnify(data.astronaut()[:500, :400], 4)
    panels = [Panel("HR", reference, None, None), Panel("dark", reference // 2, 20.0, 0.5)]
    draw_comparison(panels, tmp_path / "f.png", reference=reference, heading="large")
    assert drawn(tmp_path / "f.png").shape[1] < 1000
    assert (tmp_path / "f.png").stat().st_size < 1_000_000


def test_error_maps_share_one_scale_and_the_reference_has_none() -> None:
    reference = np.full((20, 20, 3), 100, np.uint8)
    small, large = reference + np.uint8(10), reference + np.uint8(60)
    errors = error_maps([reference, small, large], reference, Box(2, 2, 10, 10))
    assert errors[0] is None
    # One step of grey is 219/255 steps of studio luma (BT.601).
    for error, step in zip(errors[1:], (10, 60), strict=True):
        assert error is not None
        np.testing.assert_allclose(error, np.full((10, 10), step * 219 / 255))
    assert error_limit(errors) == 52  # the larger one, rounded up
    assert error_limit(error_maps([small], None, Box(0, 0, 5, 5))) is None


def test_equal_errors_have_equal_colors_whatever_the_other_panel(tmp_path: Path) -> None:
    """With one common scale the map of the small error is dark beside a large one and bright beside its like."""
    reference = np.full((48, 48, 3), 100, np.uint8)
    brightness = []
    for other in (10, 100):
        panels = [Panel("a", reference + np.uint8(10), 28.0, 0.9), Panel("b", reference + np.uint8(other), 8.0, 0.5)]
        path = tmp_path / f"{other}.png"
        draw_comparison(panels, path, reference=reference, heading="", box=Box(0, 0, 12, 12))
        image = drawn(path)
        map_of_a = image[200:300, 36 + COLUMN // 2 + 20 : 36 + COLUMN - 20]
        assert len(np.unique(map_of_a.reshape(-1, 3), axis=0)) == 1
        brightness.append(int(map_of_a.sum()))
    assert brightness[0] > 2 * brightness[1]


def test_a_psnr_at_its_limit_has_another_caption_than_the_same_number(tmp_path: Path) -> None:
    grey = np.full((48, 48, 3), 128, np.uint8)
    found = []
    for psnr in (100.0, 99.999):
        draw_comparison([Panel("", grey, psnr, None)], tmp_path / "f.png", reference=grey, heading="")
        found.append(drawn(tmp_path / "f.png"))
    assert not np.array_equal(*found)


def test_long_names_and_dollars_stay_in_their_column(tmp_path: Path) -> None:
    grey = np.full((48, 48, 3), 128, np.uint8)
    for name in ("pixel_shuffle_residual_leaky_relu" * 3, "$\\frac{$"):
        path = tmp_path / "f.png"
        draw_comparison([Panel(name, grey, None, None), Panel("", grey, None, None)], path, reference=None, heading="")
        band = drawn(path)[118:160]
        assert (band[:, 36 : 36 + COLUMN] < 200).any()
        assert (band[:, 36 + COLUMN + 2 :] == 255).all()


@pytest.mark.parametrize(
    ("second", "box", "message"),
    [
        (np.zeros((30, 31, 3), np.uint8), None, "other has 31x30 pixels but first has 30x30"),
        (np.zeros((30, 30), np.uint8), None, "other: expected"),
        (np.zeros((30, 30, 3), np.float32), None, "other: expected"),
        (np.zeros((30, 30, 3), np.uint8), Box(20, 0, 12, 12), r"crop 12x12 at \(20, 0\) must be inside"),
    ],
)
def test_images_that_cannot_be_compared(tmp_path: Path, second: np.ndarray, box: Box | None, message: str) -> None:
    first = np.zeros((30, 30, 3), np.uint8)
    panels = [Panel("first", first, None, None), Panel("other", second, None, None)]
    with pytest.raises(ReportError, match=message):
        draw_comparison(panels, tmp_path / "f.png", reference=None, heading="", box=box)
    with pytest.raises(ReportError, match="no image"):
        draw_comparison([], tmp_path / "f.png", reference=None, heading="")
    assert not list(tmp_path.iterdir())
