"""The ranking: chosen on validation, reported on test, complete, and readable by scripts."""

import pytest

from nitido.evaluation.rows import table
from nitido.study.leaderboard import LeaderboardError, VariantFacts, as_json, as_markdown, as_table, rank


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
            "picture": picture,
            "metric": metric,
            "value": value if metric == "psnr_y" else 0.9,
            "protocol": "p",
        }
        | more
        for picture, value in values.items()
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
    tested = [row | metric for row in rows_of(variant, lr, seed, "test", {"a": test}) if row["metric"] == "psnr_y"]
    chosen = [
        row | metric for row in rows_of(variant, lr, seed, "validation", {"v": validation}) if row["metric"] == "psnr_y"
    ]
    return tested + chosen


def test_a_variant_that_aims_at_perception_is_ranked_apart() -> None:
    rows = BICUBIC + looks("bicubic", None, None, 0.5, 0.5)
    rows += run_rows("vanilla", 1e-3, 0, 31.0, (34.0, 35.0)) + looks("vanilla", 1e-3, 0, 0.4, 0.4)
    # The better PSNR of one learning rate and the better look of the other: perception is chosen by looks.
    rows += run_rows("gan", 1e-3, 0, 33.0, (36.0, 37.0)) + looks("gan", 1e-3, 0, 0.3, 0.3)
    rows += run_rows("gan", 1e-4, 0, 30.0, (32.0, 33.0)) + looks("gan", 1e-4, 0, 0.2, 0.2)
    facts = {k: FACTS[k] for k in ("bicubic", "vanilla")} | {"gan": VariantFacts(100, 1000, aim="perception")}
    found = board(rows, facts)
    assert found.aims() == ("fidelity", "perception")
    assert found.entry("gan").learning_rate == 1e-4
    assert {e.variant: e.rank for e in found.entries} == {"vanilla": 1, "bicubic": 2, "gan": None}
    assert [e.variant for e in found.ranked("perception")] == ["gan", "vanilla", "bicubic"]
    assert [e.perceptual_rank for e in found.ranked("perception")] == [1, 2, 3]
    best = found.best()
    assert best is not None
    assert best.variant == "vanilla"
    _, fidelity = as_table(found)
    assert fidelity[-1][:2] == ["–", "gan (aims at perception)"]
    header, perception = as_table(found, "perception")
    assert perception[0][:2] == ["1", "gan"]
    assert perception[0][header.index("set5 distance / PSNR")] == "0.2000 / 32.50"
    assert perception[0][header.index("Δ vanilla")] == "-0.2000"
    told = {e["variant"]: (e["rank"], e["perceptual_rank"], e["aim"]) for e in as_json(found)["entries"]}
    assert told == {
        "vanilla": (1, 2, "fidelity"),
        "bicubic": (2, 3, "fidelity"),
        "gan": (None, 1, "perception"),
    }


def test_without_such_a_variant_there_is_one_ranking() -> None:
    rows = BICUBIC + run_rows("vanilla", 1e-3, 0, 31.0, (34.0, 35.0))
    assert board(rows, {k: FACTS[k] for k in ("bicubic", "vanilla")}).aims() == ("fidelity",)


def seeded(variant: str, level: float, spread: float = 0.01, seeds: int = 5, pictures: int = 12):
    """Rows of several trainings: pictures of very unequal difficulty, seeds that differ by `spread`."""
    rows = []
    for seed in range(seeds):
        moved = level + spread * (seed - (seeds - 1) / 2)
        rows += run_rows(variant, 1e-3, seed, moved, (0, 0))[:2]
        rows += rows_of(variant, 1e-3, seed, "test", {f"p{i}": 25 + i + moved for i in range(pictures)})
    return rows


def reference(pictures: int = 12):
    return run_rows("bicubic", None, None, 0.0, (0, 0))[:2] + rows_of(
        "bicubic", None, None, "test", {f"p{i}": 25.0 + i for i in range(pictures)}
    )


def test_variants_that_cannot_be_told_apart_share_a_rank() -> None:
    facts = FACTS | {"twin": VariantFacts(90, 950)}
    rows = reference() + seeded("vanilla", 1.0) + seeded("twin", 1.001) + seeded("better", 1.5)
    found = board(rows, facts)
    assert {e.variant: e.rank for e in found.entries} == {"better": 1, "vanilla": 2, "twin": 2, "bicubic": 4}
    header, lines = as_table(found)
    said = {line[1]: line[header.index("beyond noise")] for line in lines}
    assert said == {"better": "better", "twin": "no", "vanilla": "–", "bicubic": "worse"}
    shown = next(line for line in lines if line[1] == "better")[header.index("Δ vanilla")]
    assert shown.startswith("+0.50 dB [+0.4")
    told = next(e for e in as_json(found)["entries"] if e["variant"] == "better")["versus_baseline"]["fidelity"]
    assert told["difference"] == pytest.approx(0.5)
    assert told["interval"][0] < 0.5 < told["interval"][1]
    assert (told["improves"], told["covers"]) == (True, "seeds and pictures")
    assert told["probability_of_improvement"] == 1


def test_with_one_seed_the_order_is_that_of_the_means_and_nothing_is_called_better() -> None:
    rows = reference() + seeded("vanilla", 1.0, seeds=1) + seeded("better", 9.0, seeds=1)
    found = board(rows)
    assert [(e.variant, e.rank) for e in found.entries] == [("better", 1), ("vanilla", 2), ("bicubic", 3)]
    header, lines = as_table(found)
    assert {line[header.index("beyond noise")] for line in lines} == {"unknown", "–"}
    assert "seed noise unknown" in found.caveats["fidelity"][0]


def test_a_variant_that_lacks_pictures_costs_the_statistics_not_the_table() -> None:
    rows = reference() + seeded("vanilla", 1.0) + seeded("better", 1.5)
    lacking = [r for r in rows if not (r["variant"] == "better" and r["picture"] == "p3" and r["seed"] == 2)]
    found = board(lacking)
    assert found.statistics == {}
    assert "variant 'better' lacks" in found.caveats["fidelity"][0]
    assert [e.variant for e in found.entries] == ["better", "vanilla", "bicubic"]


def test_a_baseline_that_diverged_is_said() -> None:
    rows = reference() + seeded("better", 1.5)
    found = board(rows, FACTS | {"vanilla": VariantFacts(100, 1000, "diverged", ())})
    assert found.caveats["fidelity"] == ("the baseline vanilla has no result here: nothing is compared to it",)
    assert found.entry("better").rank == 1


def test_an_infinite_value_has_no_deviation() -> None:
    rows = reference() + seeded("vanilla", 1.0) + [r | {"value": float("inf")} for r in seeded("better", 1.5)]
    found = board(rows)
    assert found.entry("better").deviations == {}
    assert found.statistics == {}
    assert "no finite number" in found.caveats["fidelity"][0]
