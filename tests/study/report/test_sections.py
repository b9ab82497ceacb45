"""The sections of the report as data and drawings: forest, Pareto, matrix, curves, slider, table."""

import base64
import io
import math
import re
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest
from PIL import Image

from nitido.study.leaderboard import VariantFacts, rank
from nitido.study.leaderboard_tables import as_json
from nitido.study.report.costs import Cost
from nitido.study.report.curves import Curve, curve_chart, line_class
from nitido.study.report.curves import limits as curve_limits
from nitido.study.report.forest import forest
from nitido.study.report.latex import as_latex
from nitido.study.report.matrix import matrix
from nitido.study.report.pareto import Point, dominated, pareto
from nitido.study.report.slider import SelectedImage, crop_limit, lossless, make_view, select_images
from nitido.study.report.tables import leaderboard_table, metrics_table, rates_table
from tests.study.report.boards import PARAMETERS, RATE, SETS, WINNER, board_of, rows_of, usual


def drawn(image: str) -> ElementTree.Element:
    return ElementTree.fromstring(image)


def test_the_forest_has_a_panel_for_each_set_and_places_points_by_their_value() -> None:
    board, _ = usual()
    found = forest(board, "fidelity")
    assert found is not None
    assert [panel.title for panel in found.panels] == ["over all test sets", *board.datasets]
    image = drawn(found.panels[0].image)
    groups = {g.find("title").text.split(":")[0]: g for g in image.iter("g")}  # type: ignore[union-attr]
    zero = float(next(e for e in image.iter("line") if e.get("class") == "zero").get("x1", ""))
    winner, residual = (float(groups[n].find("circle").get("cx", "")) for n in (WINNER, "residual"))  # type: ignore[union-attr]
    values = {n: board.versus_baseline(n, "fidelity").difference.value for n in (WINNER, "residual")}  # type: ignore[union-attr]
    assert (winner - zero) / (residual - zero) == pytest.approx(values[WINNER] / values["residual"], rel=0.02)
    assert groups[WINNER].get("class") == "better"
    assert groups["bicubic"].get("class") == "worse"
    assert any(e.get("class") == "arrow" for e in groups["bicubic"]), "bicubic lies outside and says so"


def test_whiskers_of_one_seed_are_dashed_and_the_note_says_why() -> None:
    board, _ = usual(seeds=1)
    found = forest(board, "fidelity")
    assert found is not None
    assert "dashed" in found.panels[0].image
    assert any("other images only" in note for note in found.notes)
    assert 'class="better"' not in found.panels[0].image


def test_without_a_baseline_there_is_no_forest() -> None:
    board = board_of(rows_of({WINNER: 33.9, "bicubic": 32.0}), broken={"vanilla": "failed"})
    assert forest(board, "fidelity") is None


def test_dominated_against_the_definition() -> None:
    rng = np.random.default_rng(1)
    points = [Point(i, str(i), float(c), float(q)) for i, (c, q) in enumerate(rng.integers(1, 8, (40, 2)))]
    for higher in (True, False):
        expected = set()
        for p in points:
            for q in points:
                as_good = q.quality >= p.quality if higher else q.quality <= p.quality
                better = q.quality > p.quality if higher else q.quality < p.quality
                if as_good and q.cost <= p.cost and (better or q.cost < p.cost):
                    expected.add(p.variant)
        assert dominated(points, higher_is_better=higher) == expected


def test_the_pareto_charts_grey_what_is_dominated_and_say_what_was_not_measured() -> None:
    board, _ = usual()
    costs = {n: Cost(p, p * 1000, latency=0.1 if n == WINNER else None) for n, p in PARAMETERS.items()}
    found = pareto(board, "fidelity", costs)
    assert found is not None
    assert [chart.measure.key for chart in found.charts] == ["parameters", "macs", "latency"]
    beaten = {name: grey for _, name, _, grey in found.charts[0].key}
    assert beaten == {WINNER: False, "residual": True, "vanilla": True}
    assert set(found.charts[2].absent) == {"residual", "vanilla"}
    groups = list(drawn(found.charts[0].images["wide"]).iter("g"))
    assert sum(g.get("class") == "point dominated" for g in groups) == 2


def test_the_matrix_agrees_with_the_rows() -> None:
    board, rows = usual()
    found = matrix(board, rows, "fidelity")
    assert found is not None
    assert len(found.rows) == sum(SETS.values())
    assert "bicubic" not in found.variants
    assert found.base_wins + sum(found.wins) == len(found.rows)
    tested = rows.filter((pl.col("split") == "test") & (pl.col("metric") == "psnr_y"))

    def mean(variant: str, image: str) -> float:
        chosen = tested.filter((pl.col("variant") == variant) & (pl.col("image") == image))
        return float(chosen["value"].mean())  # type: ignore[arg-type]

    for row in found.rows:
        for variant, cell in zip(found.variants, row.cells, strict=True):
            assert cell is not None
            expected = mean(variant, row.image) - mean("vanilla", row.image)
            assert float(cell.text.replace("−", "-")) == pytest.approx(expected, abs=0.0051)
            assert math.copysign(1, cell.strength) == math.copysign(1, expected)


def test_the_matrix_shows_better_as_positive_where_less_is_better_and_no_incomplete_variant() -> None:
    distances = {"gan": 0.30, "vanilla": 0.40, "bicubic": 0.50}
    rows = rows_of({"gan": 33.0, "vanilla": 33.7, "bicubic": 32.49}, distances=distances)
    found = matrix(board_of(rows, perceptual=["gan"]), rows, "perception")
    assert found is not None
    assert all(
        cell is not None and cell.strength > 0 and cell.text.startswith("−") for r in found.rows for cell in r.cells
    )
    holed = rows.with_columns(
        pl.when((pl.col("variant") == "gan") & (pl.col("image") == "set5_0"))
        .then(math.nan)
        .otherwise("value")
        .alias("value")
    )
    assert matrix(board_of(holed, perceptual=["gan"]), holed, "perception") is None, "gan lacks an image"


def test_curves_leave_out_what_is_no_number() -> None:
    curves = [Curve("vanilla", RATE, seed, True, ((0, 5.0), (100, 30.0 + seed))) for seed in range(3)]
    chart = curve_chart([*curves, Curve("gone", RATE, 0, True, ((0, math.nan),))], "psnr_y", ["vanilla", "gone"])
    assert chart is not None
    assert len(re.findall('data-variant="vanilla"', chart.images["wide"])) == 3
    assert chart.silent == ("gone (lr 0.001, seed 0)",)
    assert [name for name, _ in chart.legend] == ["vanilla"]
    assert "nan" not in chart.images["wide"]
    assert curve_chart([], "psnr_y", []) is None


def test_a_bad_first_validation_does_not_flatten_the_curves() -> None:
    good = [Curve(f"v{i}", RATE, 0, True, ((0, 5.0), (100, 30.0 + i / 10))) for i in range(4)]
    low, high = curve_limits(good, higher_is_better=True)
    assert low > 25
    assert low < 30.0 < 30.3 < high
    low, high = curve_limits([Curve("v", RATE, 0, True, ((0, 2.0), (9, 0.4)))], higher_is_better=False)
    assert low < 0.4 < high


def test_every_variant_has_a_line_of_its_own() -> None:
    looks = {line_class(index) for index in range(28)}
    assert len(looks) == 28


def test_selected_images_are_where_the_best_gains_most_and_where_it_does_worst() -> None:
    board, rows = usual()
    selected = select_images(rows, board)
    found = matrix(board, rows, "fidelity")
    assert found is not None
    tested = rows.filter((pl.col("split") == "test") & (pl.col("metric") == "psnr_y"))
    means = (
        tested.group_by("image", "variant").agg(pl.col("value").mean()).pivot("variant", index="image", values="value")
    )
    order = means.sort(pl.col(WINNER) - pl.col("vanilla"))["image"].to_list()
    assert selected[0].image == order[-1]
    assert selected[1].image == order[0]
    assert len({(t.dataset, t.image) for t in selected}) == 3
    assert select_images(rows_of({"bicubic": 30.0}), board_of(rows_of({"bicubic": 30.0}))) == []


def test_the_captions_of_the_selected_images_are_true_of_them() -> None:
    """`best` loses to bicubic everywhere, and gains over the baseline on two images of three."""
    values = {"bicubic": (35.0, 34.0, 33.0), "vanilla": (20.0, 20.0, 20.0), "best": (29.0, 25.0, 19.0)}
    rows = rows_of(dict.fromkeys(values, 30.0), sets={"s0": 1, "s1": 1, "s2": 1})
    wanted = {f"{variant} s{place}": value for variant, each in values.items() for place, value in enumerate(each)}
    key = pl.col("variant") + " " + pl.col("dataset")
    measured = (pl.col("split") == "test") & (pl.col("metric") == "psnr_y")
    value = pl.when(measured).then(key.replace_strict(wanted, default=None)).otherwise(pl.col("value"))
    rows = rows.with_columns(value.alias("value"))
    selected = {s.dataset: s.why for s in select_images(rows, board_of(rows))}
    assert selected == {
        "s0": "largest gain of best over vanilla",
        "s2": "largest loss of best against vanilla",
        "s1": "second smallest loss of best against bicubic",
    }


def test_a_view_holds_the_same_crop_of_all_bit_for_bit() -> None:
    rng = np.random.default_rng(0)
    hr = rng.integers(0, 256, (90, 120, 3), dtype=np.uint8)
    worse = hr.copy()
    worse[40:80, 70:110] = 255 - worse[40:80, 70:110]
    view = make_view(SelectedImage("set5", "p", "why"), hr, {"bicubic": worse, "vanilla": hr // 2}, {}, 48)
    assert (view.left, view.right) == ("bicubic", "vanilla")
    for name, image in {"HR": hr, "bicubic": worse, "vanilla": hr // 2}.items():
        content = base64.b64decode(view.images[name].partition(",")[2])
        with Image.open(io.BytesIO(content)) as decoded:
            np.testing.assert_array_equal(np.asarray(decoded.convert("RGB")), image[view.box.slices])
    assert view.error_limit > 1
    named = make_view(SelectedImage("set5", "p", "why"), hr, {"bicubic": worse, "HR": hr // 2}, {}, 48)
    assert named.images["HR"] == view.images["HR"], "the original, not a variant of an old study with this name"
    whole = make_view(SelectedImage("set5", "p", "why"), hr, {"bicubic": worse}, {}, 200)
    assert (whole.box.width, whole.box.height) == (120, 90)


def test_crops_of_many_models_stay_within_the_limit_of_the_page() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    photograph = len(lossless(noise)) / noise.size * 0.6  # noise cannot be packed, photographs to about half
    for models in (3, 10, 20):
        side = crop_limit(models, 3)
        assert models * 3 * side**2 * 3 * photograph < 12_000_000


def test_the_table_sorts_by_numbers_and_marks_what_has_no_place() -> None:
    rows = rows_of({"prelu": 40.0, WINNER: 33.91, "vanilla": 33.70, "bicubic": 32.49})
    board = board_of(rows, broken={"prelu": "diverged"})
    table = leaderboard_table(board, "fidelity", {WINNER: Cost(81_123, 10**9, 1, 0.0123, 48_300_000)})
    names = [column.name for column in table.columns]
    assert names[-3:] == ["MACs", "time per image", "memory"]
    assert "significant?" in names
    first, last = table.lines[0], table.lines[-1]
    assert (first.variant, first.best, first.placed) == (WINNER, True, True)
    assert (last.variant, last.best, last.placed) == ("prelu", False, False)
    assert "(diverged)" in last.cells[1].text
    cells = dict(zip(names, first.cells, strict=True))
    assert cells["parameters"].value == 81_123
    assert (cells["time per image"].text, cells["time per image"].value) == ("12.3 ms", 0.0123)
    assert cells["memory"].text == "48.3 MB"
    assert cells["significant?"].text == "yes (better)"


def test_every_metric_is_shown_or_reported_as_not_available() -> None:
    board, _ = usual()
    table = metrics_table(board, ("psnr_y", "ssim_y", "ms_ssim_y"))
    assert table is not None
    assert [column.name.partition(" (")[0] for column in table.columns] == ["variant", "PSNR on Y in dB", "SSIM on Y"]
    assert table.columns[1].descending
    assert [line.variant for line in table.lines if line.cells[1].best] == [WINNER]
    assert "MS-SSIM on Y is not available" in table.note
    assert table.note.startswith("Bold: the best of the finished variants; bicubic is never bold.")


def test_the_values_that_chose_the_learning_rates_are_a_table() -> None:
    rows = rows_of({"residual": 33.8, "vanilla": 33.7, "bicubic": 32.49})
    worse = pl.when(pl.col("lr").is_not_null()).then(pl.lit(1e-2)).otherwise(None).alias("lr")
    lower = (pl.col("value") - pl.when(pl.col("split") == "validation").then(0.08).otherwise(0.0)).alias("value")
    both = pl.concat([rows, rows.filter(pl.col("variant") == "residual").with_columns(worse, lower)])
    names = ("residual", "vanilla", "bicubic")
    facts = {n: VariantFacts(1, 1, learning_rates=None if n == "bicubic" else (RATE, 1e-2)) for n in names}
    facts["residual"] = replace(facts["residual"], unfinished={0.1: "diverged"})
    board = rank(both, facts, study="s", profile="demo", baseline="vanilla")
    found = rates_table(board)
    assert found is not None
    cells = {(line.variant, line.cells[1].text): [cell.text for cell in line.cells[2:]] for line in found.lines}
    by = "PSNR on Y in dB"
    assert cells["residual", "0.001"] == ["0, 1, 2", by, "33.80", "chosen"]
    assert cells["residual", "0.01"] == ["0, 1, 2", by, "33.72", "not chosen"]
    assert cells["residual", "0.1"] == ["–", by, "–", "diverged"]
    assert cells["vanilla", "0.01"] == ["–", by, "–", "not measured"]
    assert "whole validation image" in found.note
    assert "The best value was chosen." in found.note
    assert "smallest or largest one tried for residual and vanilla: one beyond it may be better." in found.note
    inside = facts | {"residual": replace(facts["residual"], unfinished={1e-4: "diverged"})}
    inner = rates_table(rank(both, inside, study="s", profile="demo", baseline="vanilla"))
    assert inner is not None
    assert "smallest or largest one tried for vanilla: " in inner.note


def test_a_learning_rate_is_called_chosen_only_if_there_was_a_choice_and_it_is_over() -> None:
    rows = rows_of({"residual": 33.8, "vanilla": 33.7, "bicubic": 32.49})
    facts = {n: VariantFacts(1, 1, learning_rates=None if n == "bicubic" else (RATE,)) for n in ("vanilla", "bicubic")}
    facts["residual"] = VariantFacts(1, 1, "missing", (RATE,), unfinished={0.1: "missing"})
    board = rank(rows, facts, study="s", profile="demo", baseline="vanilla")
    found = rates_table(board)
    assert found is not None
    results = {(line.variant, line.cells[1].text): line.cells[-1].text for line in found.lines}
    assert results["residual", "0.001"] == "best so far"
    assert results["vanilla", "0.001"] == "the only one"
    plain: Any = as_json(board)
    tried = {entry["variant"]: entry["learning_rates"] for entry in plain["entries"]}
    assert [rate["chosen"] for rate in tried["residual"]["tried"]] == [False, False]
    assert [rate["chosen"] for rate in tried["vanilla"]["tried"]] == [True]
    alone = rank(rows, facts | {"residual": facts["vanilla"]}, study="s", profile="demo", baseline="vanilla")
    one = rates_table(alone)
    assert one is not None
    assert "chose" not in one.note
    assert "chosen" in as_latex(board)
    assert "chosen" not in as_latex(alone)


def test_curves_of_a_crop_say_so() -> None:
    curves = [Curve("vanilla", RATE, 0, True, ((0, 5.0), (100, 30.0)))]
    whole, crop = (curve_chart(curves, "psnr_y", ["vanilla"], side) for side in (None, 96))
    assert whole is not None
    assert crop is not None
    assert "crop" not in whole.title
    assert crop.title.endswith("crop of 96 px of each image")
