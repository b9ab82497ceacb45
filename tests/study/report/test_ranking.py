import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nitido.study.leaderboard import Entry, Leaderboard
from nitido.study.report import ReportError
from nitido.study.report.ranking import draw_ranking, draw_training_curves, spread_labels

GAIN, LOSS = (0, 114, 178), (213, 94, 0)  # the two colors of bars


def entry(rank: int | None, variant: str, psnr: float | None) -> Entry:
    means = {} if psnr is None else {"set5": {"psnr_y": psnr, "ssim_y": 0.9}}
    lr = None if variant == "bicubic" else 1e-3
    return Entry(rank, variant, lr, (0,), 81_123, 10**6, "ok" if psnr else "diverged", psnr, means)


def board(*entries: Entry) -> Leaderboard:
    return Leaderboard("srcnn", "demo", "vanilla", 3, "p/1", ("set5",), entries)


def bars(path: Path, color: tuple[int, int, int]) -> list[int]:
    """Lengths in pixels of the bars of one color, from top to bottom."""
    with Image.open(path) as image:
        hits = (np.asarray(image.convert("RGB")).astype(int) == color).all(axis=2)
    rows = hits.sum(axis=1)
    starts = np.flatnonzero((rows[1:] > 5) & (rows[:-1] <= 5)) + 1
    ends = np.flatnonzero((rows[1:] <= 5) & (rows[:-1] > 5)) + 1
    return [int(rows[a:b].max()) for a, b in zip(starts, ends, strict=True)]


def test_bars_are_proportional_to_the_gain_and_ordered(tmp_path: Path) -> None:
    path = tmp_path / "ranking.png"
    draw_ranking(
        board(
            entry(1, "pixel_shuffle_residual_leaky_relu", 32.0),
            entry(2, "residual", 31.0),
            entry(3, "bicubic", 30.0),
            entry(4, "vanilla", 29.5),
            entry(None, "$\\frac{$", None),
        ),
        path,
    )
    first, second = bars(path, GAIN)
    (loss,) = bars(path, LOSS)
    assert first / second == pytest.approx(2, rel=0.05)
    assert second / loss == pytest.approx(2, rel=0.05)


def test_a_whisker_appears_with_several_seeds(tmp_path: Path) -> None:
    single = board(entry(1, "vanilla", 31.0), entry(2, "bicubic", 30.0))
    several = board(replace(single.entries[0], deviations={"set5": {"psnr_y": 0.2}}), single.entries[1])
    draw_ranking(single, tmp_path / "single.png")
    draw_ranking(several, tmp_path / "several.png")
    (plain,) = bars(tmp_path / "single.png", GAIN)
    (whiskered,) = bars(tmp_path / "several.png", GAIN)
    assert whiskered < plain  # the axis makes room for the whisker


def test_a_board_without_bicubic_cannot_be_drawn(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="'srcnn' has no results of bicubic"):
        draw_ranking(board(entry(1, "vanilla", 31.0)), tmp_path / "ranking.png")
    assert not list(tmp_path.iterdir())


def test_long_names_are_not_cut(tmp_path: Path) -> None:
    name = "pixel_shuffle_residual_leaky_relu_and_more"
    draw_ranking(board(entry(1, name, 31.0), entry(2, "bicubic", 30.0)), tmp_path / "r.png")
    draw_training_curves({name: [(0, 28.0), (100, 30.0)]}, tmp_path / "c.png")
    for path in tmp_path.iterdir():
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("L"))
        assert (pixels[:, :8] == 255).all()
        assert (pixels[:, -8:] == 255).all()


def test_curves_draw_a_line_per_variant_and_skip_what_is_not_finite(tmp_path: Path) -> None:
    path = tmp_path / "curves.png"
    draw_training_curves(
        {"vanilla": [(100, 30.0), (0, 5.0), (50, 29.0)], "residual": [(0, 28.0), (100, 31.0)], "gone": [(0, math.nan)]},
        path,
    )
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3).tolist()
    for color, drawn in (((0, 114, 178), True), ((213, 94, 0), True), ((0, 158, 115), False)):
        assert (list(color) in pixels) is drawn


def test_no_curves(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="no training curves"):
        draw_training_curves({"vanilla": [(0, math.nan)]}, tmp_path / "curves.png")


@given(st.lists(st.floats(20, 40), min_size=1, max_size=30))
def test_labels_keep_their_distance_their_order_and_the_frame(values: list[float]) -> None:
    wanted = {f"v{index}": value for index, value in enumerate(values)}
    heights = spread_labels(wanted, 20.0, 40.0, 0.8)
    ordered = sorted(wanted, key=lambda name: heights[name])
    assert all(wanted[a] <= wanted[b] for a, b in pairwise(ordered))
    gap = min(0.8, 20 / len(values)) - 1e-9
    assert all(heights[b] - heights[a] >= gap for a, b in pairwise(ordered))
    assert min(heights.values()) >= 20 - 1e-9
    assert max(heights.values()) <= 40 + 1e-9


def test_labels_with_room_stay_at_their_lines() -> None:
    wanted = {"a": 22.0, "b": 25.0, "c": 31.0}
    assert spread_labels(wanted, 20.0, 40.0, 0.8) == wanted


def test_perception_has_a_ranking_of_its_own_where_less_is_better(tmp_path: Path) -> None:
    def seen(place: int, variant: str, distance: float) -> Entry:
        means = {"set5": {"psnr_y": 30.0, "ssim_y": 0.9, "perceptual_distance": distance}}
        lr = None if variant == "bicubic" else 1e-3
        return Entry(None, variant, lr, (0,), 81_123, 10**6, "ok", 30.0, means, perceptual_rank=place)

    found = board(seen(2, "vanilla", 0.4), seen(4, "worse", 0.55), seen(1, "gan", 0.3), seen(3, "bicubic", 0.5))
    draw_ranking(found, tmp_path / "perception.png", "perception")
    first, second = bars(tmp_path / "perception.png", GAIN)
    (loss,) = bars(tmp_path / "perception.png", LOSS)
    assert first / second == pytest.approx(2, rel=0.05)
    assert second / loss == pytest.approx(2, rel=0.05)
