"""Are 5% really 5%? Simulated studies, in which the truth is known, through the public functions.

docs/statistics.md describes the generator and quotes the table of power that is checked here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from nitido.evaluation.rows import SCHEMA
from nitido.study.statistics import (
    MeasuredImages,
    PairedDifference,
    Scores,
    StudyScores,
    analyze,
    bootstrap_scores,
    holm,
    paired_difference,
    probability_of_improvement,
)

STUDIES = 2000
ALPHA = 0.05
ALLOWED = ALPHA + 0.015
DOCS = Path(__file__).parents[2] / "docs/statistics.md"


@dataclass(frozen=True)
class Noise:
    """Standard deviations in dB; `heavy` draws all that varies with the image from Student's t with 3 degrees."""

    seed: float = 0.03
    seed_by_image: float = 0.05
    variant_by_image: float = 0.05
    heavy: bool = False

    def of_images(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return rng.standard_t(3, shape) / sqrt(3) if self.heavy else rng.standard_normal(shape)

    def variant(self, rng: np.random.Generator, difficulty: np.ndarray, seeds: int, better: float = 0.0) -> Scores:
        images = len(difficulty)
        own = self.variant_by_image * self.of_images(rng, (images, 1))
        common = self.seed * rng.standard_normal((1, seeds))
        rest = self.seed_by_image * self.of_images(rng, (images, seeds))
        return Scores(difficulty[:, None] + better + own + common + rest)


TYPICAL = Noise()
NOISES = {
    "typical": TYPICAL,
    "identical twins": Noise(variant_by_image=0.0),
    "seeds dominate": Noise(seed=0.05, seed_by_image=0.02, variant_by_image=0.0),
    "heavy tails": Noise(heavy=True),
}


def sets_of(*sizes: int) -> MeasuredImages:
    return MeasuredImages(tuple(f"set{i}" for i in range(len(sizes))), np.repeat(np.arange(len(sizes)), sizes))


def difficulties(rng: np.random.Generator, images: MeasuredImages) -> np.ndarray:
    return 30 + 3 * rng.standard_normal(len(images.dataset))


def compared(
    noise: Noise,
    images: MeasuredImages,
    seeds: tuple[int, int],
    better: float = 0.0,
    studies: int = STUDIES,
    start: int = 2024,
) -> Iterable[PairedDifference]:
    rng = np.random.default_rng(start)
    for _ in range(studies):
        difficulty = difficulties(rng, images)
        variant, base = (noise.variant(rng, difficulty, n, b) for n, b in zip(seeds, (better, 0.0), strict=True))
        yield paired_difference(variant, base, images)


def found(differences: Iterable[PairedDifference]) -> float:
    """The share of studies that call the difference real."""
    return float(np.mean([d.p_value is not None and d.p_value < ALPHA for d in differences]))


@pytest.mark.parametrize("images", [5, 14, 100])
@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
def test_equal_variants_are_seldom_called_different(noise: Noise, seeds: int, images: int) -> None:
    assert found(compared(noise, sets_of(images), (seeds, seeds))) <= ALLOWED


@pytest.mark.parametrize("seeds", [(2, 5), (5, 2), (3, 10)])
def test_also_with_unequal_numbers_of_seeds(seeds: tuple[int, int]) -> None:
    assert found(compared(NOISES["seeds dominate"], sets_of(100), seeds)) <= ALLOWED


def test_also_over_several_test_sets() -> None:
    assert found(compared(TYPICAL, sets_of(5, 14, 100), (3, 3))) <= ALLOWED


def test_also_when_one_variant_trains_far_more_erratically_than_the_other() -> None:
    rng, images, false = np.random.default_rng(1), sets_of(100), 0
    for _ in range(STUDIES):
        difficulty = difficulties(rng, images)
        pair = (Noise(seed=s).variant(rng, difficulty, 3) for s in (0.1, 0.02))
        false += paired_difference(*pair, images).p_value < ALPHA
    assert false / STUDIES <= ALLOWED


@pytest.mark.parametrize("images", [5, 14, 100])
def test_also_against_a_base_without_seeds(images: int) -> None:
    rng, sets, false = np.random.default_rng(3), sets_of(images), 0
    for _ in range(STUDIES):
        difficulty = difficulties(rng, sets)
        bicubic = Scores(difficulty[:, None], trained=False)
        false += paired_difference(TYPICAL.variant(rng, difficulty, 3), bicubic, sets).p_value < ALPHA
    assert false / STUDIES <= ALLOWED


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    truth = 0.1
    missed = [truth not in d.interval for d in compared(TYPICAL, sets_of(14), (5, 5), truth) if d.interval]
    assert len(missed) == STUDIES
    assert 0.01 <= np.mean(missed) <= ALLOWED


@pytest.mark.parametrize(("seeds", "images"), [(2, 100), (3, 14), (5, 100)])
def test_among_eight_equal_variants_any_false_alarm_is_rare(seeds: int, images: int) -> None:
    rng, sets, alarms = np.random.default_rng(4), sets_of(images), 0
    for _ in range(STUDIES):
        difficulty = difficulties(rng, sets)
        base, *others = (TYPICAL.variant(rng, difficulty, seeds) for _ in range(8))
        p_values = {i: paired_difference(other, base, sets).p_value for i, other in enumerate(others)}
        alarms += min(holm(p_values).values()) < ALPHA
    assert alarms / STUDIES <= ALLOWED


def test_equal_variants_share_the_first_rank() -> None:
    rng, split, studies = np.random.default_rng(5), 0, 200
    noise, sets = NOISES["seeds dominate"], sets_of(14)
    for _ in range(studies):
        difficulty = difficulties(rng, sets)
        rows = pl.concat([rows_of(f"v{i}", noise.variant(rng, difficulty, 3)) for i in range(5)])
        ranks = {v.rank for v in analyze(rows, "v0", higher_is_better=True, resamples=50).variants}
        split += ranks != {1}
    assert split / studies <= ALPHA + 3 * sqrt(ALPHA * (1 - ALPHA) / studies)


def rows_of(variant: str, scores: Scores) -> pl.DataFrame:
    images, seeds = scores.values.shape
    grid = np.indices((images, seeds)).reshape(2, -1)
    constants = {"study": "s", "variant": variant, "lr": 1e-3, "checkpoint": "best", "split": "test", "dataset": "set0"}
    constants |= {"scale": 2, "metric": "psnr_y", "protocol": "p", "run": "r", "content": "c"}
    columns = {"image": [f"{p:04}" for p in grid[0]], "seed": grid[1], "value": scores.values.ravel()}
    frame = pl.DataFrame(columns).with_columns(**{name: pl.lit(value) for name, value in constants.items()})
    return frame.select(SCHEMA.names()).cast(dict(SCHEMA))


@pytest.mark.parametrize(("seeds", "images"), [(3, 14), (3, 100), (5, 14), (5, 100)])
def test_a_true_improvement_is_found_as_often_as_the_documentation_says(seeds: int, images: int) -> None:
    stated = documented_power(0.05, seeds, images)
    studies = 1000
    power = found(compared(TYPICAL, sets_of(images), (seeds, seeds), 0.05, studies, start=1))
    error = sqrt(stated * (1 - stated) * (1 / studies + 1 / STUDIES))
    assert power == pytest.approx(stated, abs=3 * error + 0.005)


def documented_power(better: float, seeds: int, images: int) -> float:
    """An entry of the table "found, of 100 studies" in the documentation, as a probability."""
    lines = [[c.strip() for c in line.strip("| \n").split("|")] for line in DOCS.read_text("utf-8").splitlines()]
    header = next(line for line in lines if line[0] == "difference, seeds")
    line = next(line for line in lines if line[0] == f"{better:.2f} dB, {seeds} seeds")
    return float(line[header.index(f"{images} images")]) / 100


@pytest.mark.parametrize(("seeds", "images"), [(2, 14), (3, 14), (3, 100), (5, 5), (5, 100)])
def test_the_probability_of_improvement_of_equal_variants_seldom_differs_from_a_half(seeds: int, images: int) -> None:
    rng, sets, missed = np.random.default_rng(6), sets_of(images), 0
    for _ in range(STUDIES):
        difficulty = difficulties(rng, sets)
        pair = [NOISES["seeds dominate"].variant(rng, difficulty, seeds) for _ in range(2)]
        interval = probability_of_improvement(*pair, sets, higher_is_better=True).interval
        assert interval is not None
        missed += 0.5 not in interval
    assert missed / STUDIES <= ALLOWED


def bootstrap_false_alarms(seeds: int, studies: int, corrected: bool) -> float:
    rng, sets, false = np.random.default_rng(7), sets_of(14), 0
    for _ in range(studies):
        difficulty = difficulties(rng, sets)
        variant, base = (NOISES["seeds dominate"].variant(rng, difficulty, seeds) for _ in range(2))
        if corrected:
            drawn = bootstrap_scores(StudyScores(sets, {"v": variant, "b": base}), resamples=1000)
            difference = drawn["v"] - drawn["b"]
        else:
            chosen = rng.integers(14, size=(1000, 14))
            columns = (rng.integers(seeds, size=(1000, seeds)) for _ in range(2))
            drawn_v, drawn_b = (
                s.values[chosen[:, :, None], c[:, None, :]].mean((1, 2))
                for s, c in zip((variant, base), columns, strict=True)
            )
            difference = drawn_v - drawn_b
        low, high = np.quantile(difference, [ALPHA / 2, 1 - ALPHA / 2])
        false += not low <= 0 <= high
    return false / studies


def test_the_plain_percentile_bootstrap_would_be_far_too_narrow_and_ours_is_not() -> None:
    assert bootstrap_false_alarms(2, 500, corrected=False) > 0.25
    assert bootstrap_false_alarms(3, 500, corrected=False) > 0.12
    assert bootstrap_false_alarms(2, 500, corrected=True) <= ALPHA + 3 * sqrt(ALPHA * (1 - ALPHA) / 500)
    assert bootstrap_false_alarms(3, 500, corrected=True) <= ALPHA + 3 * sqrt(ALPHA * (1 - ALPHA) / 500)
