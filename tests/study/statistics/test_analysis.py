"""From the rows of a study to what the leaderboard says: verdicts, ranks, caveats, and refusals in one line."""

import numpy as np
import polars as pl
import pytest

from nitido.base.errors import NitidoError
from nitido.evaluation.rows import SCHEMA
from nitido.study.statistics import StatisticsError, StudyStatistics, analyze, gather

SETS = {"set5": 5, "set14": 14}


def rows_of(variant: str, values: np.ndarray, sets: dict[str, int] = SETS, trained: bool = True) -> pl.DataFrame:
    """Rows of `values` `(P, S)`, the images counted through `sets`."""
    images, seeds = values.shape
    names = [(dataset, f"{p:05}") for dataset, size in sets.items() for p in range(size)]
    assert len(names) == images
    frame = pl.DataFrame(
        {
            "dataset": np.repeat([dataset for dataset, _ in names], seeds),
            "image": np.repeat([image for _, image in names], seeds),
            "seed": np.tile(np.arange(seeds), images),
            "value": values.ravel(),
        }
    )
    constants = {"study": "s", "variant": variant, "checkpoint": "best", "split": "test", "scale": 2}
    constants |= {"metric": "psnr_y", "protocol": "p", "lr": 1e-3 if trained else None, "run": None, "content": None}
    frame = frame.with_columns(**{name: pl.lit(value) for name, value in constants.items()})
    if not trained:
        frame = frame.with_columns(seed=pl.lit(None))
    return frame.select(SCHEMA.names()).cast(dict(SCHEMA))


def simulate(means: dict[str, float], seeds: int = 5, sets: dict[str, int] = SETS) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    images = sum(sets.values())
    difficulty = 30 + 3 * rng.standard_normal((images, 1))
    frames = []
    for name, mean in means.items():
        n = 1 if name == "bicubic" else seeds
        common = 0 if name == "bicubic" else 0.02 * rng.standard_normal((1, n))
        values = difficulty + mean + common + 0.03 * rng.standard_normal((images, n))
        frames.append(rows_of(name, values, sets, trained=name != "bicubic"))
    return pl.concat(frames)


MEANS = {"bicubic": -2.0, "base": 0.0, "twin": 0.0, "better": 0.5, "worse": -0.5}
ROWS = simulate(MEANS)


@pytest.fixture(scope="module")
def found() -> StudyStatistics:
    return analyze(ROWS, "base", higher_is_better=True)


def test_verdicts_and_ranks(found: StudyStatistics) -> None:
    assert {v.variant: v.improves for v in found.variants} == {
        "better": True,
        "base": None,
        "twin": None,
        "worse": False,
        "bicubic": False,
    }
    assert {v.variant: v.rank for v in found.variants} == {"better": 1, "base": 2, "twin": 2, "worse": 4, "bicubic": 5}
    assert found.variants[0].variant == "better"
    assert set(found.variant("worse").better) == {"better", "base", "twin"}
    assert (found.variant("bicubic").seeds, found.variant("twin").seeds) == (0, 5)
    assert found.variant("better").rank_interval.probability_best > 0.95
    assert found.variant("twin").rank_interval.low <= 2 < 3 <= found.variant("twin").rank_interval.high
    with pytest.raises(KeyError):
        found.variant("bettr")


def test_the_difference_is_that_of_the_leaderboards_scores(found: StudyStatistics) -> None:
    scores = {
        name: ROWS.filter(variant=name).group_by("dataset").agg(pl.col("value").mean())["value"].mean()
        for name in ("better", "base")
    }
    better = found.variant("better")
    assert better.difference is not None
    assert better.difference.value == pytest.approx(scores["better"] - scores["base"])
    assert set(better.by_dataset) == set(SETS)
    alone = [ROWS.filter(variant=n, dataset="set5")["value"].mean() for n in ("better", "base")]
    assert better.by_dataset["set5"].value == pytest.approx(alone[0] - alone[1])
    assert better.improvement is not None
    assert better.improvement.value == pytest.approx(1.0)
    assert better.wilcoxon_p_value == pytest.approx(4 * 2 / 2**19)


def test_the_base_has_a_rank_and_no_difference_to_itself(found: StudyStatistics) -> None:
    base = found.variant("base")
    assert (base.difference, base.adjusted_p_value, base.improvement, base.wilcoxon_p_value) == (None,) * 4
    assert base.by_dataset == {}


def test_lower_is_better_reverses_the_order() -> None:
    negated = ROWS.with_columns(value=-pl.col("value"))
    higher = analyze(ROWS, "base", higher_is_better=True)
    lower = analyze(negated, "base", higher_is_better=False)
    for one, other in zip(higher.variants, lower.variants, strict=True):
        assert (one.variant, one.rank, one.improves) == (other.variant, other.rank, other.improves)
        assert one.adjusted_p_value == other.adjusted_p_value
        if one.improvement is not None and other.improvement is not None:
            assert one.improvement.value == pytest.approx(other.improvement.value)
    turned = analyze(ROWS, "base", higher_is_better=False)
    assert {v.variant: v.rank for v in turned.variants} == {"bicubic": 1, "worse": 2, "base": 3, "twin": 3, "better": 5}


def test_a_variant_that_diverged_is_named_and_not_ranked() -> None:
    better = pl.col("variant") == "better"
    broken = ROWS.with_columns(value=pl.when(better).then(float("nan")).otherwise("value"))
    with pytest.raises(StatisticsError, match=r"'better' has a value that is no finite number \(seed 0, set5 00000\)"):
        analyze(broken, "base", higher_is_better=True)
    found = analyze(broken, "base", higher_is_better=True, unranked=["better"])
    assert found.unranked == ("better",)
    assert "better" not in [v.variant for v in found.variants]
    assert found.variant("base").rank == 1


def test_one_seed_is_a_caveat_and_nothing_is_called_significant() -> None:
    found = analyze(simulate({"base": 0.0, "better": 5.0}, seeds=1), "base", higher_is_better=True)
    better = found.variant("better")
    assert (better.rank, found.variant("base").rank) == (1, 1)
    assert (better.improves, better.adjusted_p_value) == (None, None)
    assert better.difference is not None
    assert better.difference.covers == "pictures"
    assert found.caveats[0].startswith("one seed only (base, better): seed noise is unknown")


def test_caveats_say_what_is_weak_and_only_that(found: StudyStatistics) -> None:
    assert found.caveats == ("set5 has 5 images, fewer than 10: other images may disagree",)
    weak = analyze(simulate({"base": 0.0, "other": 0.0}, 2, {"a": 1, "b": 12}), "base", higher_is_better=True)
    assert weak.caveats == (
        "fewer than 3 seeds (base, other): only very large differences can become significant",
        "a has one image: a mean that includes it has no interval",
    )
    assert weak.variant("other").by_dataset["b"].interval is not None


def test_a_missing_image_is_named() -> None:
    hole = ROWS.filter(~((pl.col("variant") == "twin") & (pl.col("image") == "00003") & (pl.col("seed") == 2)))
    with pytest.raises(NitidoError, match=r"'twin' lacks 2 of 95 values, the first of them set14 00003, seed 2"):
        analyze(hole, "base", higher_is_better=True)


def test_a_missing_image_of_bicubic_is_named() -> None:
    hole = ROWS.filter(~((pl.col("variant") == "bicubic") & (pl.col("image") == "00003")))
    with pytest.raises(StatisticsError, match=r"'bicubic' lacks 2 of 19 values"):
        analyze(hole, "base", higher_is_better=True)


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("split", "validation", "different splits cannot be compared: test and validation"),
        ("metric", "ssim_y", "different metrics"),
        ("scale", 3, "different scales"),
        ("protocol", "q", "different protocols"),
        ("lr", 0.01, "'twin' has rows of learning rates 0.001 and 0.01: choose one"),
        ("seed", None, "'twin' has rows with a seed and rows without one"),
        ("seed", 1, "'twin' has an image that was measured twice"),
    ],
)
def test_what_must_not_be_mixed_is_refused(column: str, value: object, said: str) -> None:
    where = (pl.col("variant") == "twin") & (pl.col("seed") == 0)
    mixed = ROWS.with_columns(pl.when(where).then(pl.lit(value)).otherwise(column).cast(SCHEMA[column]).alias(column))
    with pytest.raises(StatisticsError, match=said):
        analyze(mixed, "base", higher_is_better=True)


def test_an_unknown_base_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(StatisticsError, match="did you mean 'base'"):
        analyze(ROWS, "bas", higher_is_better=True)
    with pytest.raises(StatisticsError, match="the base 'base' has no rank"):
        analyze(ROWS, "base", higher_is_better=True, unranked=["base"])
    with pytest.raises(StatisticsError, match="'absent' has no rows"):
        gather(ROWS, ["base", "absent"])


def test_the_order_of_the_rows_means_nothing(found: StudyStatistics) -> None:
    again = analyze(ROWS.sample(fraction=1.0, shuffle=True, seed=1), "base", higher_is_better=True)
    for one in found.variants:
        other = again.variant(one.variant)
        assert (one.rank, one.improves) == (other.rank, other.improves)
        assert one.adjusted_p_value == pytest.approx(other.adjusted_p_value)


def test_a_million_rows_have_verdicts() -> None:
    large = simulate({"v0": 0.0, "better": 0.5} | {f"v{i}": 0.0 for i in range(1, 19)}, 5, {"a": 5000, "b": 5000})
    assert len(large) == 1_000_000
    found = analyze(large, "v0", higher_is_better=True)
    assert len(found.variants) == 20
    assert (found.variants[0].variant, found.variants[0].improves) == ("better", True)


def test_images_that_occur_twice_count_once_with_a_caveat() -> None:
    """The second set is the first one under another name and adds no information."""
    contents = pl.concat_str(pl.lit("sha of "), "image")
    once = ROWS.filter(pl.col("dataset") == "set14").with_columns(content=contents)
    both = pl.concat([once, once.with_columns(dataset=pl.lit("again"))])
    known, found = (analyze(rows, "base", higher_is_better=True, resamples=200) for rows in (once, both))
    for name in ("twin", "better", "worse"):
        ours, theirs = known.variant(name).difference, found.variant(name).difference
        assert ours is not None
        assert theirs is not None
        assert ours.interval is not None
        assert theirs.interval is not None
        assert theirs.interval.high == pytest.approx(ours.interval.high)
        assert found.variant(name).wilcoxon_p_value == pytest.approx(known.variant(name).wilcoxon_p_value)
    assert any(line.startswith("14 of 28 test images repeat the pixels of another") for line in found.caveats)
    assert not any("same pixels" in line for line in known.caveats)
