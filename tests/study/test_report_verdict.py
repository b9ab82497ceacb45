import math

import pytest

from nitido.study.report.costs import Cost
from nitido.study.report.verdict import verdict
from tests.study.report_boards import WINNER, board_of, rows_of, usual


def test_a_change_that_is_beyond_noise_leads_with_its_interval_and_its_cost() -> None:
    board, _ = usual()
    found = verdict(board)
    known = board.versus_baseline(WINNER, "fidelity")
    assert known is not None
    assert known.difference is not None
    assert known.difference.interval is not None
    low, high = known.difference.interval.low, known.difference.interval.high
    gain = f"{WINNER}: +{known.difference.value:.2f} dB [{low:.2f}, {high:.2f}] over vanilla"
    assert found.headline == f"{gain} with 26% fewer parameters: better beyond noise."
    assert known.difference.value == pytest.approx(0.21, abs=0.03)
    assert "Better beyond noise: pixel_shuffle_residual_leaky_relu and residual." in found.text
    assert "+1.4" in found.text
    assert "against bicubic" in found.text


def test_the_time_is_told_when_it_differs() -> None:
    board, _ = usual()
    slow, fast = (1.0, 1.02, 1.5, 0.98, 1.0), (0.5, 0.51, 0.75, 0.49, 0.5)
    costs = {WINNER: Cost(81_123, 1, latency=0.5, rounds=fast), "vanilla": Cost(109_827, 1, latency=1.0, rounds=slow)}
    assert "with 26% fewer parameters and 50% less time a picture" in verdict(board, costs=costs).headline
    level = {**costs, WINNER: Cost(81_123, 1, latency=0.99, rounds=tuple(0.99 * s for s in slow))}
    assert "time" not in verdict(board, costs=level).headline


@pytest.mark.parametrize(
    "rounds",
    [(), (2.2,), (2.2, 2.2, 2.2, 2.2), (2.2, 2.2, 1.0, 2.2, 2.2), (2.2, 2.2, 2.2, 2.2, 2.8), (2.2,) * 6],
    ids=["unknown", "one", "four", "one differs", "the last differs", "other rounds"],
)
def test_a_time_whose_rounds_do_not_agree_is_not_told(rounds: tuple[float, ...]) -> None:
    board, _ = usual()
    costs = {WINNER: Cost(81_123, 1, latency=2.2, rounds=rounds), "vanilla": Cost(1, 1, latency=1.0, rounds=(1.0,) * 5)}
    assert "time" not in verdict(board, costs=costs).headline


def test_a_difference_inside_the_noise_is_called_that() -> None:
    board, _ = usual(spread=0.5)
    found = verdict(board)
    assert found.headline.startswith("No change can be told from noise")
    assert "better beyond noise" not in found.text.lower()


def test_one_seed_never_finds_anything_and_its_caveat_stands_beside() -> None:
    board, _ = usual(seeds=1)
    found = verdict(board)
    assert found.headline.startswith(f"Cannot be told from noise with one seed: {WINNER}: +0.2")
    assert any("seed noise unknown" in caveat for caveat in found.caveats)


def test_single_pictures_allow_no_interval() -> None:
    board = board_of(rows_of({"residual": 33.8, "vanilla": 33.7, "bicubic": 32.0}, sets={"one": 1}))
    assert verdict(board).headline.startswith("Cannot be told from noise, as a test set has a single picture: residual")


def test_when_every_change_is_worse() -> None:
    board = board_of(rows_of({"vanilla": 33.7, "residual": 33.2, "bicubic": 32.49}))
    found = verdict(board)
    assert found.headline.startswith("No change improved on vanilla: the nearest, residual: −0.5")
    assert found.headline.endswith("is worse beyond noise.")
    assert "over vanilla" not in found.headline


def test_when_no_variant_beats_bicubic() -> None:
    board = board_of(rows_of({WINNER: 32.0, "vanilla": 31.0, "bicubic": 32.49}))
    assert f"No variant beats bicubic: the best, {WINNER}, has " in verdict(board).text


def test_the_best_mean_is_not_said_of_a_variant_behind_bicubic() -> None:
    scores = {"residual": 32.0, "vanilla": 32.1, "bicubic": 33.0}
    assert " the best mean of the trained" in verdict(board_of(rows_of(scores, spread=0.5))).headline
    lost = board_of(rows_of({"residual": 32.0, "bicubic": 33.0}), broken={"vanilla": "failed"})
    assert verdict(lost).headline.startswith("residual is the best trained variant with 3")


def test_what_did_not_finish_is_named_and_never_first() -> None:
    rows = rows_of({"prelu": 40.0, WINNER: 33.91, "vanilla": 33.70, "bicubic": 32.49})
    found = verdict(board_of(rows, broken={"prelu": "diverged", "gelu": "missing"}))
    assert found.headline.startswith(f"{WINNER}: +0.2")
    assert "Without a rank, since not all runs finished: prelu (diverged) and gelu (missing)." in found.text


def test_nothing_trained_and_nothing_to_compare() -> None:
    nothing = board_of(rows_of({"bicubic": 32.49}), broken={"vanilla": "running"})
    assert verdict(nothing).headline == "No trained variant has a result yet."
    alone = board_of(rows_of({"vanilla": 33.7, "bicubic": 32.49}))
    assert verdict(alone).headline.startswith("Nothing to compare yet: only vanilla")
    without = board_of(rows_of({WINNER: 33.9, "bicubic": 32.49}), broken={"vanilla": "failed"})
    assert verdict(without).headline.startswith(f"{WINNER} ranks first with 33.")
    assert "vanilla, the baseline, has no result" in verdict(without).headline


def test_perception_is_judged_by_itself_where_less_is_better() -> None:
    distances = {"gan": 0.30, "vanilla": 0.40, "bicubic": 0.50}
    rows = rows_of({"gan": 33.0, "vanilla": 33.7, "bicubic": 32.49}, distances=distances)
    found = verdict(board_of(rows, perceptual=["gan"]), "perception")
    assert found.headline.startswith("gan: −0.1")
    assert found.headline.endswith("better beyond noise.")
    assert "over" not in found.headline


PERCEPTUAL = {"perc": 0.30, "vanilla": 0.40, "residual": 0.41, "bicubic": 0.50}


def test_a_variant_that_aims_at_perception_is_not_called_without_a_result() -> None:
    """Its mean is above bicubic's: "no variant beats bicubic" would be false."""
    scores = {"perc": 32.50, "vanilla": 32.40, "bicubic": 32.45}
    board = board_of(rows_of(scores, distances=PERCEPTUAL, spread=0.001), perceptual=["perc"])
    found = verdict(board)
    assert found.headline.startswith("Nothing to compare: no variant but vanilla, the baseline, aims at fidelity (")
    assert "No variant that aims at fidelity beats bicubic: the best, vanilla, has " in found.text
    unfinished = board_of(rows_of(scores, distances=PERCEPTUAL), perceptual=["perc"], broken={"residual": "running"})
    assert verdict(unfinished).headline.startswith(
        "Nothing to compare yet: of the variants that aim at fidelity, only vanilla, the baseline, has a result"
    )


def test_the_best_is_said_of_those_that_aim_at_fidelity() -> None:
    scores = {"perc": 34.0, "vanilla": 33.0, "residual": 32.9, "bicubic": 32.0}
    board = board_of(rows_of(scores, distances=PERCEPTUAL, spread=0.5), perceptual=["perc"])
    text = verdict(board).text
    assert "No change that aims at fidelity can be told from noise: " in text
    assert " the best mean of those" in text
    assert "The best mean of a variant that aims at fidelity, " in text


def test_a_baseline_that_aims_at_perception_is_not_called_without_a_result() -> None:
    scores = {"perc": 34.0, "vanilla": 33.0, "bicubic": 32.0}
    board = board_of(rows_of(scores, distances=PERCEPTUAL), perceptual=["perc"], baseline="perc")
    found = verdict(board)
    assert found.headline.endswith("; perc, the baseline, does not aim at fidelity.")
    assert found.caveats == ("the baseline perc does not aim at fidelity: nothing is compared to it",)
    alone = board_of(rows_of({"perc": 34.0, "bicubic": 32.0}, distances=PERCEPTUAL), perceptual=["perc"])
    assert verdict(alone).headline == "No trained variant that aims at fidelity has a result yet."


def test_an_infinite_score_is_no_finding() -> None:
    rows = rows_of({"residual": math.inf, "vanilla": 33.7, "bicubic": 32.49}, seeds=1)
    board = board_of(rows)
    found = verdict(board)
    assert "better beyond noise" not in found.text
    assert found.caveats
