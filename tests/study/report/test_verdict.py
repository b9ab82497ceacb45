import math

import polars as pl
import pytest

from nitido.study.report.costs import Cost
from nitido.study.report.verdict import verdict
from tests.study.report.boards import WINNER, board_of, rows_of, usual


def test_a_significant_change_leads_with_its_interval_and_its_cost() -> None:
    board, _ = usual()
    found = verdict(board)
    known = board.versus_baseline(WINNER, "fidelity")
    assert known is not None
    assert known.difference is not None
    assert known.difference.interval is not None
    low, high = known.difference.interval.low, known.difference.interval.high
    gain = f"+{known.difference.value:.2f} dB [{low:.2f}, {high:.2f}] over vanilla"
    assert found.headline == f"{WINNER} is significantly better: {gain} with 26% fewer parameters."
    assert known.difference.value == pytest.approx(0.21, abs=0.03)
    assert "Significantly better: pixel_shuffle_residual_leaky_relu and residual." in found.text
    assert "+1.4" in found.text
    assert "compared with bicubic" in found.text


def test_the_time_is_mentioned_when_it_differs() -> None:
    board, _ = usual()
    slow, fast = (1.0, 1.02, 1.5, 0.98, 1.0), (0.5, 0.51, 0.75, 0.49, 0.5)
    costs = {WINNER: Cost(81_123, 1, latency=0.5, rounds=fast), "vanilla": Cost(109_827, 1, latency=1.0, rounds=slow)}
    assert "with 26% fewer parameters and 50% less time per image" in verdict(board, costs=costs).headline
    level = {**costs, WINNER: Cost(81_123, 1, latency=0.99, rounds=tuple(0.99 * s for s in slow))}
    assert "time" not in verdict(board, costs=level).headline


@pytest.mark.parametrize(
    "rounds",
    [(), (2.2,), (2.2, 2.2, 2.2, 2.2), (2.2, 2.2, 1.0, 2.2, 2.2), (2.2, 2.2, 2.2, 2.2, 2.8), (2.2,) * 6],
    ids=["unknown", "one", "four", "one differs", "the last differs", "other rounds"],
)
def test_a_time_whose_rounds_do_not_agree_is_not_mentioned(rounds: tuple[float, ...]) -> None:
    board, _ = usual()
    costs = {WINNER: Cost(81_123, 1, latency=2.2, rounds=rounds), "vanilla": Cost(1, 1, latency=1.0, rounds=(1.0,) * 5)}
    assert "time" not in verdict(board, costs=costs).headline


def test_an_insignificant_difference_is_not_called_better() -> None:
    board, _ = usual(spread=0.5)
    found = verdict(board)
    assert found.headline.startswith("No change improves significantly on vanilla. ")
    assert "significantly better" not in found.text.lower()


def test_one_seed_never_finds_anything_and_its_caveat_stands_beside() -> None:
    board, _ = usual(seeds=1)
    found = verdict(board)
    assert found.headline.startswith(f"Inconclusive: one seed only. Best mean: {WINNER}, +0.2")
    assert any("seed noise is unknown" in caveat for caveat in found.caveats)


def test_single_images_allow_no_interval() -> None:
    board = board_of(rows_of({"residual": 33.8, "vanilla": 33.7, "bicubic": 32.0}, sets={"one": 1}))
    assert verdict(board).headline.startswith("Inconclusive: a test set has a single image. Best mean: residual, ")


def test_when_every_change_is_worse() -> None:
    board = board_of(rows_of({"vanilla": 33.7, "residual": 33.2, "bicubic": 32.49}))
    found = verdict(board)
    assert found.headline.startswith(
        "No change improves on vanilla. The closest, residual, is significantly worse: −0.5"
    )
    assert "over vanilla" not in found.headline


def test_when_no_variant_beats_bicubic() -> None:
    board = board_of(rows_of({WINNER: 32.0, "vanilla": 31.0, "bicubic": 32.49}))
    assert f"No variant beats bicubic: the best, {WINNER}, has " in verdict(board).text


def test_a_variant_behind_bicubic_is_not_called_the_best_mean() -> None:
    scores = {"residual": 32.0, "vanilla": 32.1, "bicubic": 33.0}
    assert "est mean of the trained variants" in verdict(board_of(rows_of(scores, spread=0.5))).headline
    lost = board_of(rows_of({"residual": 32.0, "bicubic": 33.0}), broken={"vanilla": "failed"})
    assert verdict(lost).headline.startswith("residual has the best mean of the trained variants with 3")


def test_what_did_not_finish_is_named_and_never_first() -> None:
    rows = rows_of({"prelu": 40.0, WINNER: 33.91, "vanilla": 33.70, "bicubic": 32.49})
    found = verdict(board_of(rows, broken={"prelu": "diverged", "gelu": "missing"}))
    assert found.headline.startswith(f"{WINNER} is significantly better: +0.2")
    assert "Unranked because not all runs finished: prelu (diverged) and gelu (missing)." in found.text


def test_nothing_trained_and_nothing_to_compare() -> None:
    nothing = board_of(rows_of({"bicubic": 32.49}), broken={"vanilla": "running"})
    assert verdict(nothing).headline == "No trained variant has a result yet."
    alone = board_of(rows_of({"vanilla": 33.7, "bicubic": 32.49}))
    assert verdict(alone).headline.startswith("Nothing to compare yet: only the baseline vanilla")
    without = board_of(rows_of({WINNER: 33.9, "bicubic": 32.49}), broken={"vanilla": "failed"})
    assert verdict(without).headline.startswith(f"{WINNER} has the best mean with 33.")
    assert "the baseline vanilla has no result" in verdict(without).headline


def test_perception_is_judged_by_itself_where_less_is_better() -> None:
    distances = {"gan": 0.30, "vanilla": 0.40, "bicubic": 0.50}
    rows = rows_of({"gan": 33.0, "vanilla": 33.7, "bicubic": 32.49}, distances=distances)
    found = verdict(board_of(rows, perceptual=["gan"]), "perception")
    assert found.headline.startswith("gan is significantly better: −0.1")
    assert "over" not in found.headline


PERCEPTUAL = {"perc": 0.30, "vanilla": 0.40, "residual": 0.41, "bicubic": 0.50}


def test_a_variant_with_the_objective_perception_is_not_called_without_a_result() -> None:
    """Its mean is above bicubic's: "no variant beats bicubic" would be false."""
    scores = {"perc": 32.50, "vanilla": 32.40, "bicubic": 32.45}
    board = board_of(rows_of(scores, distances=PERCEPTUAL, spread=0.001), perceptual=["perc"])
    found = verdict(board)
    assert found.headline.startswith("Nothing to compare: only the baseline vanilla has the objective fidelity (")
    assert "No variant with the objective fidelity beats bicubic: the best, vanilla, has " in found.text
    unfinished = board_of(rows_of(scores, distances=PERCEPTUAL), perceptual=["perc"], broken={"residual": "running"})
    assert verdict(unfinished).headline.startswith(
        "Nothing to compare yet: among the variants with the objective fidelity, only the baseline vanilla has a result"
    )


def test_the_best_is_chosen_among_those_with_the_objective_fidelity() -> None:
    scores = {"perc": 34.0, "vanilla": 33.0, "residual": 32.9, "bicubic": 32.0}
    board = board_of(rows_of(scores, distances=PERCEPTUAL, spread=0.5), perceptual=["perc"])
    text = verdict(board).text
    assert "No change with the objective fidelity improves significantly on vanilla. " in text
    assert "est mean of these variants" in text
    assert "The best of the variants with the objective fidelity, " in text


def test_a_baseline_with_the_objective_perception_is_not_called_without_a_result() -> None:
    scores = {"perc": 34.0, "vanilla": 33.0, "bicubic": 32.0}
    board = board_of(rows_of(scores, distances=PERCEPTUAL), perceptual=["perc"], baseline="perc")
    found = verdict(board)
    assert found.headline.endswith("; the baseline perc has another objective.")
    assert found.caveats == (
        "the baseline perc has another objective: there are no differences to it",
        "set5 has 5 images, fewer than 10: other images may disagree",
    )
    alone = board_of(rows_of({"perc": 34.0, "bicubic": 32.0}, distances=PERCEPTUAL), perceptual=["perc"])
    assert verdict(alone).headline == "No trained variant with the objective fidelity has a result yet."


def test_an_infinite_score_is_no_finding() -> None:
    rows = rows_of({"residual": math.inf, "vanilla": 33.7, "bicubic": 32.49}, seeds=1)
    board = board_of(rows)
    found = verdict(board)
    assert "significantly better" not in found.text
    assert found.caveats


@pytest.mark.parametrize("baseline", ["residual", "vanilla"])
def test_equal_means_are_not_called_a_best_one(baseline: str) -> None:
    rows = rows_of({"vanilla": 33.0, "bicubic": 32.0})
    copy = rows.filter(pl.col("variant") == "vanilla").with_columns(variant=pl.lit("residual"))
    twins = pl.concat([rows, copy])
    (other,) = {"residual", "vanilla"} - {baseline}
    headline = verdict(board_of(twins, baseline=baseline)).headline
    assert f" {baseline} and {other} have the same mean: +0.00 dB" in headline
    assert "est mean" not in headline
