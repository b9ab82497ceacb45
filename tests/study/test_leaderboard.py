"""The ranking: chosen on validation, reported on test, complete, and readable by scripts."""

import json
import re
from html import unescape

import pytest
from markdown_it import MarkdownIt

from nitido.evaluation.rows import table
from nitido.study.leaderboard import LeaderboardError, VariantFacts, rank
from nitido.study.leaderboard_tables import as_json, as_markdown, as_table
from nitido.study.report.tables import metrics_table


def rows_of(variant: str, lr: float | None, seed: int | None, split: str, values: dict[str, float], **more: object):
    return [
        {
            "study": "s",
            "variant": variant,
            "lr": lr,
            "seed": seed,
            "checkpoint": "best",
            "split": split,
            "dataset": "val" if split == "validation" else "set5",
            "scale": 2,
            "image": image,
            "metric": metric,
            "value": value if metric == "psnr_y" else 0.9,
            "protocol": "p",
        }
        | more
        for image, value in values.items()
        for metric in ("psnr_y", "ssim_y")
    ]


def run_rows(variant: str, lr: float | None, seed: int | None, validation: float, test: tuple[float, float]):
    tested = rows_of(variant, lr, seed, "test", {"a": test[0], "b": test[1]})
    return rows_of(variant, lr, seed, "validation", {"v": validation}) + tested


FACTS = {"bicubic": VariantFacts(0, 0), "vanilla": VariantFacts(100, 1000), "better": VariantFacts(80, 900)}
BICUBIC = run_rows("bicubic", None, None, 30.0, (33.0, 34.0))


def board(rows, facts=FACTS):
    return rank(table(rows), facts, study="s", profile="demo", baseline="vanilla")


def test_the_learning_rate_is_chosen_on_validation_not_on_test() -> None:
    rows = BICUBIC + run_rows("vanilla", 1e-3, 0, 31.0, (34.0, 35.0))
    rows += run_rows("better", 1e-3, 0, 32.0, (35.0, 36.0)) + run_rows("better", 1e-2, 0, 31.9, (99.0, 99.0))
    found = board(rows).entry("better")
    assert found.learning_rate == 1e-3
    assert found.means["set5"]["psnr_y"] == pytest.approx(35.5)
    assert [e.variant for e in board(rows).entries] == ["better", "vanilla", "bicubic"]
    assert [e.rank for e in board(rows).entries] == [1, 2, 3]


def test_seeds_give_a_mean_and_a_sample_deviation() -> None:
    rows = BICUBIC + run_rows("vanilla", 1e-3, 0, 31.0, (34.0, 35.0)) + run_rows("vanilla", 1e-3, 1, 31.0, (35.0, 36.0))
    found = board(rows, {k: FACTS[k] for k in ("bicubic", "vanilla")}).entry("vanilla")
    assert found.seeds == (0, 1)
    assert found.means["set5"]["psnr_y"] == pytest.approx(35.0)
    assert found.deviations["set5"]["psnr_y"] == pytest.approx(0.5**0.5)
    header, lines = as_table(board(rows, {k: FACTS[k] for k in ("bicubic", "vanilla")}))
    assert lines[0][header.index("set5 PSNR / SSIM")] == "35.00 ± 0.71 / 0.9000"


def test_a_diverged_or_missing_variant_stays_in_the_table_without_a_rank() -> None:
    rows = BICUBIC + run_rows("vanilla", 1e-3, 0, 31.0, (34.0, 35.0)) + run_rows("better", 1e-3, 0, 99.0, (99.0, 99.0))
    facts = FACTS | {"better": VariantFacts(80, 900, "diverged"), "never_run": VariantFacts(5, 5, "missing")}
    found = board(rows, facts)
    assert [(e.variant, e.rank) for e in found.entries] == [
        ("vanilla", 1),
        ("bicubic", 2),
        ("better", None),
        ("never_run", None),
    ]
    _, lines = as_table(found)
    assert lines[2][:2] == ["–", "better (diverged)"]
    best = found.best()
    assert best is not None
    assert best.variant == "vanilla"


def test_only_learning_rates_whose_every_run_finished_can_be_chosen() -> None:
    rows = BICUBIC + run_rows("vanilla", 1e-3, 0, 31.0, (34.0, 35.0)) + run_rows("vanilla", 1e-2, 0, 99.0, (99.0, 99.0))
    facts = {"bicubic": FACTS["bicubic"], "vanilla": VariantFacts(100, 1000, "ok", (1e-3,))}
    assert board(rows, facts).entry("vanilla").learning_rate == 1e-3
    nothing = facts | {"vanilla": VariantFacts(100, 1000, "diverged", ())}
    assert board(rows, nothing).entry("vanilla").rank is None
    assert board(rows, nothing).entry("vanilla").means == {}


def test_a_variant_without_every_test_set_is_not_ranked() -> None:
    other = rows_of("vanilla", 1e-3, 0, "test", {"c": 20.0}, dataset="set14")
    rows = BICUBIC + run_rows("vanilla", 1e-3, 0, 31.0, (34.0, 35.0)) + other
    assert board(rows).entry("bicubic").rank is None
    assert board(rows).entry("vanilla").score == pytest.approx((34.5 + 20.0) / 2)


def test_rows_of_different_protocols_or_scales_refuse_to_rank_together() -> None:
    for column, value in (("protocol", "q"), ("scale", 3)):
        mixed = BICUBIC + rows_of("vanilla", 1e-3, 0, "test", {"a": 30.0}, **{column: value})
        with pytest.raises(LeaderboardError, match=f"different {column}s cannot be ranked together"):
            board(mixed)


def test_no_rows_are_an_error() -> None:
    with pytest.raises(LeaderboardError, match="no results"):
        board([])


def test_the_json_is_what_scripts_read() -> None:
    rows = BICUBIC + run_rows("vanilla", 1e-3, 0, 31.0, (34.0, 35.0))
    found = as_json(board(rows, {k: FACTS[k] for k in ("bicubic", "vanilla")}))
    assert (found["study"], found["baseline"]) == ("s", "vanilla")
    vanilla, bicubic = found["entries"]
    assert {"rank", "variant", "lr", "seeds", "parameters", "status", "metrics"} <= set(vanilla)
    assert vanilla["metrics"]["set5"]["psnr_y"] == pytest.approx(34.5)
    assert (bicubic["variant"], bicubic["lr"], bicubic["seeds"]) == ("bicubic", None, [])


def test_the_table_gives_the_difference_to_the_baseline() -> None:
    rows = BICUBIC + run_rows("vanilla", 1e-3, 0, 31.0, (34.0, 35.0)) + run_rows("better", 1e-3, 0, 32.0, (35.0, 36.0))
    header, lines = as_table(board(rows))
    by_variant = {line[1]: line[header.index("Δ vanilla")].split(" [")[0] for line in lines}
    assert by_variant == {"better": "+1.00 dB", "vanilla": "–", "bicubic": "-1.00 dB"}
    text = as_markdown(header, lines).splitlines()
    assert len(text) == 2 + 3
    assert len({line.count("|") for line in text}) == 1


def looks(variant: str, lr: float | None, seed: int | None, validation: float, test: float):
    metric = {"metric": "perceptual_distance"}
    values = {"a": test, "b": test}
    tested = [row | metric for row in rows_of(variant, lr, seed, "test", values) if row["metric"] == "psnr_y"]
    chosen = [
        row | metric for row in rows_of(variant, lr, seed, "validation", {"v": validation}) if row["metric"] == "psnr_y"
    ]
    return tested + chosen


def test_a_variant_with_the_objective_perception_is_ranked_apart() -> None:
    rows = BICUBIC + looks("bicubic", None, None, 0.5, 0.5)
    rows += run_rows("vanilla", 1e-3, 0, 31.0, (34.0, 35.0)) + looks("vanilla", 1e-3, 0, 0.4, 0.4)
    # The better PSNR of one learning rate and the better look of the other: perception is chosen by looks.
    rows += run_rows("gan", 1e-3, 0, 33.0, (36.0, 37.0)) + looks("gan", 1e-3, 0, 0.3, 0.3)
    rows += run_rows("gan", 1e-4, 0, 30.0, (32.0, 33.0)) + looks("gan", 1e-4, 0, 0.2, 0.2)
    facts = {k: FACTS[k] for k in ("bicubic", "vanilla")} | {"gan": VariantFacts(100, 1000, objective="perception")}
    found = board(rows, facts)
    assert found.objectives() == ("fidelity", "perception")
    assert found.entry("gan").learning_rate == 1e-4
    assert {e.variant: e.rank for e in found.entries} == {"vanilla": 1, "bicubic": 2, "gan": None}
    assert [e.variant for e in found.ranked("perception")] == ["gan", "vanilla", "bicubic"]
    assert [e.perceptual_rank for e in found.ranked("perception")] == [1, 2, 3]
    best = found.best()
    assert best is not None
    assert best.variant == "vanilla"
    _, fidelity = as_table(found)
    assert fidelity[-1][:2] == ["–", "gan (objective: perception)"]
    header, perception = as_table(found, "perception")
    assert perception[0][:2] == ["1", "gan"]
    assert perception[0][header.index("set5 distance / PSNR")] == "0.2000 / 32.50"
    assert perception[0][header.index("Δ vanilla")] == "-0.2000 [-0.2000, -0.2000]"
    ranks = {e["variant"]: (e["rank"], e["perceptual_rank"], e["objective"]) for e in as_json(found)["entries"]}
    assert ranks == {
        "vanilla": (1, 2, "fidelity"),
        "bicubic": (2, 3, "fidelity"),
        "gan": (None, 1, "perception"),
    }


def test_without_such_a_variant_there_is_one_ranking() -> None:
    rows = BICUBIC + run_rows("vanilla", 1e-3, 0, 31.0, (34.0, 35.0))
    assert board(rows, {k: FACTS[k] for k in ("bicubic", "vanilla")}).objectives() == ("fidelity",)


def seeded(variant: str, level: float, spread: float = 0.01, seeds: int = 5, images: int = 12):
    """Rows of several trainings: images of very unequal difficulty, seeds that differ by `spread`."""
    rows = []
    for seed in range(seeds):
        moved = level + spread * (seed - (seeds - 1) / 2)
        rows += run_rows(variant, 1e-3, seed, moved, (0, 0))[:2]
        rows += rows_of(variant, 1e-3, seed, "test", {f"p{i}": 25 + i + moved for i in range(images)})
    return rows


def reference(images: int = 12):
    return run_rows("bicubic", None, None, 0.0, (0, 0))[:2] + rows_of(
        "bicubic", None, None, "test", {f"p{i}": 25.0 + i for i in range(images)}
    )


def test_variants_that_do_not_differ_significantly_share_a_rank() -> None:
    facts = FACTS | {"twin": VariantFacts(90, 950)}
    rows = reference() + seeded("vanilla", 1.0) + seeded("twin", 1.001) + seeded("better", 1.5)
    found = board(rows, facts)
    assert {e.variant: e.rank for e in found.entries} == {"better": 1, "vanilla": 2, "twin": 2, "bicubic": 4}
    header, lines = as_table(found)
    said = {line[1]: line[header.index("significant?")] for line in lines}
    assert said == {"better": "yes (better)", "twin": "not shown", "vanilla": "–", "bicubic": "yes (worse)"}
    shown = next(line for line in lines if line[1] == "better")[header.index("Δ vanilla")]
    assert shown.startswith("+0.50 dB [+0.4")
    versus = next(e for e in as_json(found)["entries"] if e["variant"] == "better")["versus_baseline"]["fidelity"]
    assert versus["difference"] == pytest.approx(0.5)
    assert versus["interval"][0] < 0.5 < versus["interval"][1]
    assert (versus["improves"], versus["covers"]) == (True, "seeds and pictures")
    assert versus["probability_of_improvement"] == 1


def test_with_one_seed_the_order_is_that_of_the_means_and_nothing_is_called_better() -> None:
    rows = reference() + seeded("vanilla", 1.0, seeds=1) + seeded("better", 9.0, seeds=1)
    found = board(rows)
    assert [(e.variant, e.rank) for e in found.entries] == [("better", 1), ("vanilla", 2), ("bicubic", 3)]
    header, lines = as_table(found)
    assert {line[header.index("significant?")] for line in lines} == {"needs ≥ 2 seeds", "–"}
    assert "seed noise is unknown" in found.caveats["fidelity"][0]


def test_with_one_seed_equal_means_share_a_rank() -> None:
    rows = reference() + seeded("vanilla", 1.0, seeds=1) + seeded("same", 1.0, seeds=1) + seeded("worse", 0.5, seeds=1)
    facts = dict.fromkeys(("vanilla", "same", "worse"), FACTS["vanilla"]) | {"bicubic": FACTS["bicubic"]}
    found = board(rows, facts)
    ranks = {entry.variant: entry.rank for entry in found.entries}
    assert ranks["vanilla"] == ranks["same"] == 1
    assert ranks["worse"] == 3


def without(rows, **where: object):
    """`rows` without those of which every column in `where` has the given value."""
    return [row for row in rows if not all(row[column] == value for column, value in where.items())]


def changed(rows, value: float, **where: object):
    return [r | {"value": value} if all(r[c] == v for c, v in where.items()) else r for r in rows]


def test_a_variant_that_lacks_an_image_is_incomplete_and_not_averaged_over_fewer() -> None:
    """The image it lacks is its hardest: a mean over the others would put it first."""
    rows = reference() + seeded("vanilla", 1.0) + seeded("better", 0.9)
    found = board(without(rows, variant="better", image="p0", seed=2))
    entry = found.entry("better")
    assert (entry.rank, entry.status, entry.score) == (None, "incomplete", None)
    assert "psnr_y" not in entry.means.get("set5", {})
    assert [e.variant for e in found.entries] == ["vanilla", "bicubic", "better"]
    assert found.caveats["fidelity"][0] == (
        "better is not ranked: it lacks 1 of 60 values (the first: p0 with seed 2) of psnr_y on set5"
    )
    assert [s.variant for s in found.statistics["fidelity"].variants] == ["vanilla", "bicubic"]
    header, lines = as_table(found)
    line = next(line for line in lines if line[1] == "better (incomplete)")
    assert (line[0], line[header.index("set5 PSNR / SSIM")], line[header.index("Δ vanilla")]) == ("–", "–", "–")


def test_an_image_that_only_bicubic_has_leaves_no_trained_variant_with_a_rank() -> None:
    rows = reference(13) + seeded("vanilla", 1.0) + seeded("better", 1.5)
    found = board(rows)
    assert {e.variant: e.rank for e in found.entries} == {"bicubic": 1, "vanilla": None, "better": None}
    assert found.best() is None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_value_that_is_no_finite_number_is_a_missing_one(value: float) -> None:
    rows = changed(reference() + seeded("vanilla", 1.0) + seeded("better", 1.5), value, variant="better", image="p3")
    found = board(rows)
    assert (found.entry("better").rank, found.entry("better").status) == (None, "incomplete")
    json.dumps(as_json(found), allow_nan=False)
    assert "lacks 5 of 60 values" in found.caveats["fidelity"][0]


def test_rows_without_one_finite_value_are_a_board_without_ranks() -> None:
    rows = [row | {"value": float("nan")} for row in reference() + seeded("vanilla", 1.0)]
    found = board(rows)
    assert [e.rank for e in found.entries] == [None] * 3
    json.dumps(as_json(found), allow_nan=False)


@pytest.mark.parametrize("value", [1.5, 99.0])
def test_a_value_that_is_there_twice_is_refused(value: float) -> None:
    rows = reference() + seeded("vanilla", 1.0)
    again = rows_of("vanilla", 1e-3, 1, "test", {"p4": value})
    with pytest.raises(
        LeaderboardError, match=r"variant 'vanilla' has 4 values that are not unique.*p4 in set5 with se"
    ):
        board(rows + again)
    with pytest.raises(LeaderboardError, match="variant 'bicubic' has 4 values"):
        board(rows + rows_of("bicubic", None, None, "test", {"p4": value}))


def test_a_learning_rate_is_not_chosen_by_fewer_validation_images_or_seeds() -> None:
    """The rate 1e-2 lacks the hard validation image with one of its seeds, and would win by that."""
    rows = BICUBIC + rows_of("bicubic", None, None, "validation", {"w": 10.0})
    for lr in (1e-3, 1e-2):
        for seed in (0, 1):
            rows += run_rows("vanilla", lr, seed, 31.0, (34.0, 35.0))
            rows += rows_of("vanilla", lr, seed, "validation", {"w": 11.0})
    rows = without(rows, lr=1e-2, seed=1, image="w")
    found = board(rows, {k: FACTS[k] for k in ("bicubic", "vanilla")}).entry("vanilla")
    assert found.learning_rate == 1e-3
    assert found.choice is not None
    assert [(r.learning_rate, r.value) for r in found.choice.rates] == [(1e-3, 21.0), (1e-2, None)]
    assert found.choice.rates[1].status == "lacks 1 of 4 values (the first: w with seed 1)"


def test_learning_rates_that_validate_equally_are_a_caveat() -> None:
    rows = (
        BICUBIC + run_rows("vanilla", 1e-2, 0, 100.0, (34.0, 35.0)) + run_rows("vanilla", 1e-3, 0, 100.0, (33.0, 3.0))
    )
    found = board(rows, {k: FACTS[k] for k in ("bicubic", "vanilla")})
    assert found.entry("vanilla").learning_rate == 1e-3
    assert "the learning rates 0.001 and 0.01 of vanilla validated equally" in found.caveats["fidelity"][0]


def test_what_decided_the_learning_rate_is_in_the_json() -> None:
    rows = BICUBIC + run_rows("vanilla", 1e-3, 0, 31.15, (34.0, 35.0)) + run_rows("vanilla", 1e-2, 0, 31.07, (1.0, 2.0))
    facts = {"bicubic": FACTS["bicubic"]}
    facts["vanilla"] = VariantFacts(100, 1000, "ok", (1e-3, 1e-2), unfinished={1e-1: "diverged"})
    vanilla = next(e for e in as_json(board(rows, facts))["entries"] if e["variant"] == "vanilla")
    assert vanilla["validation"] == pytest.approx(31.15)
    assert vanilla["learning_rates"] == {
        "metric": "psnr_y",
        "pictures": 1,
        "tried": [
            {"lr": 1e-3, "value": pytest.approx(31.15), "seeds": [0], "status": "ok", "chosen": True},
            {"lr": 1e-2, "value": pytest.approx(31.07), "seeds": [0], "status": "ok", "chosen": False},
            {"lr": 1e-1, "value": None, "seeds": [], "status": "diverged", "chosen": False},
        ],
    }


def test_a_metric_that_one_variant_lacks_on_an_image_has_no_mean_for_it() -> None:
    rows = reference() + seeded("vanilla", 1.0) + seeded("better", 1.5)
    found = board(without(rows, variant="better", metric="ssim_y", image="p0"))
    entry = found.entry("better")
    assert entry.rank is not None
    assert entry.mean("ssim_y") is None
    assert "ssim_y" in entry.gaps
    _, lines = as_table(found)
    assert any(cell.endswith(" / –") for cell in next(line for line in lines if line[1] == "better"))


def test_a_metric_that_every_variant_lacks_on_an_image_has_no_mean() -> None:
    """As MS-SSIM, which nothing can be measured by on a small image."""
    rows = without(reference() + seeded("vanilla", 1.0), metric="ssim_y", image="p0")
    found = board(rows, {k: FACTS[k] for k in ("bicubic", "vanilla")})
    assert {entry.mean("ssim_y") for entry in found.entries} == {None}
    assert {"ssim_y" in entry["gaps"] for entry in as_json(found)["entries"]} == {True}
    assert found.caveats["fidelity"][0] == (
        "ssim_y has no mean over the test sets: bicubic lacks 1 of 12 values (the first: p0) of ssim_y on set5, as "
        "1 other variant"
    )
    table_ = metrics_table(found, ("ssim_y",))
    assert table_ is not None
    assert "SSIM on Y has no mean: vanilla lacks 5 of 60 values (the first: p0 with seed 0)" in table_.note


def test_a_metric_that_was_measured_on_one_of_two_sets_has_no_mean_over_the_sets() -> None:
    rows = reference() + seeded("vanilla", 1.0)
    other = [row | {"dataset": "set14"} for row in rows if row["split"] == "test" and row["metric"] == "psnr_y"]
    found = board(rows + other, {k: FACTS[k] for k in ("bicubic", "vanilla")}).entry("vanilla")
    assert found.rank is not None
    assert found.mean("ssim_y") is None
    assert found.gaps["ssim_y"].endswith("of ssim_y on set14")
    assert "ssim_y" in found.means["set5"]


def test_a_perfect_perceptual_distance_is_first_and_not_taken_for_none() -> None:
    rows = BICUBIC + looks("bicubic", None, None, 0.5, 0.5)
    rows += run_rows("vanilla", 1e-3, 0, 31.0, (34.0, 35.0)) + looks("vanilla", 1e-3, 0, 0.4, 0.4)
    rows += run_rows("gan", 1e-3, 0, 33.0, (36.0, 37.0)) + looks("gan", 1e-3, 0, 0.0, 0.0)
    facts = {k: FACTS[k] for k in ("bicubic", "vanilla")} | {"gan": VariantFacts(100, 1000, objective="perception")}
    found = board(rows, facts)
    assert [e.variant for e in found.ranked("perception")] == ["gan", "vanilla", "bicubic"]


@pytest.mark.parametrize("level", [0.0, 1.0, 100.0])
@pytest.mark.parametrize("images", [1, 2, 12])
@pytest.mark.parametrize("seeds", [1, 2, 5])
def test_constant_values_are_ranked_without_a_winner(level: float, images: int, seeds: int) -> None:
    names = [f"p{i}" for i in range(images)]
    rows = rows_of("bicubic", None, None, "test", dict.fromkeys(names, level))
    for variant in ("vanilla", "better"):
        for seed in range(seeds):
            rows += rows_of(variant, 1e-3, seed, "validation", {"v": level})
            rows += rows_of(variant, 1e-3, seed, "test", dict.fromkeys(names, level))
    found = board(rows)
    json.dumps(as_json(found), allow_nan=False)
    header, lines = as_table(found)
    assert not {"yes (better)", "yes (worse)"} & {line[header.index("significant?")] for line in lines}
    assert {e.score for e in found.entries} == {level}
    limited = level == 100
    assert all(line[header.index("set5 PSNR / SSIM")].startswith("≥ 100.00") == limited for line in lines)
    caveat = f"{images * (1 + 2 * seeds)} values of the PSNR are limited to 100 dB (the first: bicubic on p0 of set5)"
    assert any(said.startswith(caveat) for said in found.caveats["fidelity"]) == limited


ODD = ["a|b", "<b>x</b>", "R&D", "back\\slash", "_edge_", "*bold*", "`code`", "[x](http://y)", "two\nlines", "~~gone~~"]


@pytest.mark.parametrize("name", ODD)
def test_a_name_is_one_cell_of_the_markdown_and_shown_as_it_is(name: str) -> None:
    text = as_markdown(["#", "variant"], [["1", name]])
    assert len(text.splitlines()) == 3
    rendered = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text)
    cells = re.findall(r"<td>(.*?)</td>", rendered)
    assert [unescape(cell) for cell in cells] == ["1", name.replace("\n", " ")]


def test_a_baseline_that_diverged_is_a_caveat() -> None:
    rows = reference() + seeded("better", 1.5)
    found = board(rows, FACTS | {"vanilla": VariantFacts(100, 1000, "diverged", ())})
    assert found.caveats["fidelity"] == ("the baseline vanilla has no result here: there are no differences to it",)
    assert found.entry("better").rank == 1
    assert found.versus_baseline("better", "fidelity") is None


@pytest.mark.parametrize(
    "missing", [VariantFacts(100, 1000, "diverged", ()), VariantFacts(100, 1000, objective="perception")]
)
def test_without_the_baseline_variants_still_share_a_rank_unless_they_differ_significantly(
    missing: VariantFacts,
) -> None:
    """Ranks compare all pairs: a baseline without a result takes away the differences to it, and nothing else."""
    rows = reference() + seeded("better", 1.5) + seeded("twin", 1.501) + seeded("worse", 0.5, seeds=2)
    facts = dict.fromkeys(("better", "twin", "worse"), FACTS["better"]) | {"bicubic": FACTS["bicubic"]}
    found = board(rows, facts | {"vanilla": missing})
    assert {e.variant: e.rank for e in found.entries} == {
        "twin": 1,
        "better": 1,
        "worse": 3,
        "bicubic": 4,
        "vanilla": None,
    }
    assert all(found.versus_baseline(variant, "fidelity") is None for variant in facts)
    assert "fewer than 3 seeds (worse): only very large differences can become significant" in found.caveats["fidelity"]
