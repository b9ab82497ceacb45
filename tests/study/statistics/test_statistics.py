"""The statistics of a study against other people's formulas, and the laws they have to obey."""

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from nitido.study.statistics import (
    Component,
    MeasuredImages,
    Scores,
    StatisticsError,
    StudyScores,
    bootstrap_scores,
    holm,
    paired_difference,
    probability_of_improvement,
    rank_intervals,
    shared_ranks,
    student_interval,
    student_p_value,
    wilcoxon_signed_rank,
)


def sets_of(*sizes: int) -> MeasuredImages:
    return MeasuredImages(tuple(f"set{i}" for i in range(len(sizes))), np.repeat(np.arange(len(sizes)), sizes))


@st.composite
def two_variants(draw: st.DrawFn) -> tuple[Scores, Scores, MeasuredImages]:
    """Two variants with seed noise on one to three test sets, in whole hundredths of a dB so that ties occur."""
    images = sets_of(*draw(st.lists(st.integers(2, 5), min_size=1, max_size=3)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    seeds = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    variant, base = (Scores(rng.integers(2500, 2530, (len(images.dataset), n)) / 100) for n in seeds)
    return variant, base, images


def close(a: float | None, b: float | None) -> bool:
    return (a is None and b is None) or (a is not None and b is not None and a == pytest.approx(b, rel=1e-6, abs=1e-9))


# Against formulas from elsewhere


def test_without_seeds_it_is_the_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(30, 1, (2, 12))
    found = paired_difference(Scores(a[:, None], trained=False), Scores(b[:, None], trained=False), sets_of(12))
    truth = stats.ttest_rel(a, b)
    interval = truth.confidence_interval()
    assert found.p_value == pytest.approx(truth.pvalue, rel=1e-6)
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == pytest.approx((interval.low, interval.high))
    assert found.covers == "pictures"


def test_without_noise_of_images_it_is_welchs_t_test_over_seeds() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(30, 0.05, 4), rng.normal(30, 0.02, 4)
    difficulty = np.array([[-3.0], [0.0], [3.0]])
    found = paired_difference(Scores(difficulty + a), Scores(difficulty + b), sets_of(3))
    truth = stats.ttest_ind(a, b, equal_var=False)
    assert found.p_value == pytest.approx(truth.pvalue, rel=1e-6)
    assert found.interval is not None
    assert found.interval.low == pytest.approx(truth.confidence_interval().low)
    assert found.covers == "seeds and pictures"


def test_the_standard_error_adds_images_and_seeds() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(30, 1, (9, 3)), rng.normal(30, 1, (9, 5))
    images = sets_of(4, 5)
    d = a.mean(1) - b.mean(1)
    by_seed = [(x[:4].mean(0) + x[4:].mean(0)) / 2 for x in (a, b)]
    variance = d[:4].var(ddof=1) / 4 / 4 + d[4:].var(ddof=1) / 5 / 4
    variance += by_seed[0].var(ddof=1) / 3 + by_seed[1].var(ddof=1) / 5
    found = paired_difference(Scores(a), Scores(b), images)
    assert found.standard_error == pytest.approx(variance**0.5)
    assert found.value == pytest.approx((d[:4].mean() + d[4:].mean()) / 2)


def test_two_parts_get_the_quantile_of_cochran_and_cox() -> None:
    parts = [Component(0.03, 1), Component(0.01, 9)]
    quantile = (0.03 * 12.7062 + 0.01 * 2.26216) / 0.04
    assert student_interval(0.0, parts).high == pytest.approx(0.2 * quantile, rel=1e-5)


@given(st.floats(1e-6, 1e6), st.lists(st.tuples(st.floats(1e-6, 10), st.floats(1, 300)), min_size=1, max_size=3))
def test_the_p_value_is_the_level_whose_interval_ends_at_zero(mean: float, values: list[tuple[float, float]]) -> None:
    parts = [Component(*value) for value in values]
    p_value = student_p_value(mean, parts)
    if p_value > 1e-40:
        assert student_interval(mean, parts, p_value).low == pytest.approx(0, abs=1e-5 * mean + 1e-7)
    assert (p_value < 0.05) == (0.0 not in student_interval(mean, parts))


@given(st.dictionaries(st.integers(0, 99), st.floats(0, 1), min_size=1, max_size=7))
def test_holm_is_the_closure_of_bonferroni(p_values: dict[int, float]) -> None:
    subsets = [s for n in range(1, len(p_values) + 1) for s in combinations(p_values, n)]
    for name, adjusted in holm(p_values).items():
        closed = max(len(s) * min(p_values[i] for i in s) for s in subsets if name in s)
        assert adjusted == pytest.approx(min(1.0, closed))


@given(st.lists(st.integers(-50, 50).filter(bool), min_size=3, max_size=9, unique_by=abs))
@settings(max_examples=30)
def test_wilcoxon_is_the_share_of_sign_patterns_that_are_as_extreme(differences: list[int]) -> None:
    d = np.array(differences, float)
    ranks = stats.rankdata(np.abs(d))
    sums = np.array([np.dot(ranks, signs) for signs in product((0, 1), repeat=len(d))])
    observed = ranks[d > 0].sum()
    exact = min(1.0, 2 * min((sums <= observed).mean(), (sums >= observed).mean()))
    assert wilcoxon_signed_rank(d) == pytest.approx(exact)


def test_wilcoxon_of_no_difference_at_all_is_one() -> None:
    assert wilcoxon_signed_rank(np.zeros(5)) == 1.0


def test_the_probability_of_improvement_on_one_image_is_mann_whitneys() -> None:
    a, b = np.array([[1.0, 2.0, 2.0, 5.0]]), np.array([[2.0, 1.0, 0.0]])
    found = probability_of_improvement(Scores(a), Scores(b), sets_of(1), higher_is_better=True)
    assert found.value == pytest.approx(stats.mannwhitneyu(a[0], b[0]).statistic / 12)
    assert found.interval is None


@given(two_variants())
def test_the_probability_of_improvement_counts_wins_and_half_ties(given: tuple[Scores, Scores, MeasuredImages]) -> None:
    variant, base, images = given
    per_set = []
    for members in images.members:
        pairs = [(x, y) for p in members for x in variant.values[p] for y in base.values[p]]
        per_set.append(np.mean([1.0 if x > y else 0.5 if x == y else 0.0 for x, y in pairs]))
    found = probability_of_improvement(variant, base, images, higher_is_better=True)
    assert found.value == pytest.approx(np.mean(per_set))
    assert found.interval is not None
    assert 0 <= found.interval.low <= found.interval.high <= 1


def test_winning_every_time_is_not_being_certain() -> None:
    always = Scores(np.full((20, 5), 31.0)), Scores(np.full((20, 5), 30.0))
    found = probability_of_improvement(*always, sets_of(20), higher_is_better=True)
    assert found.value == pytest.approx(1.0)
    assert found.value <= 1.0
    assert found.interval is not None
    assert 0.5 < found.interval.low < 0.9
    assert found.interval.high == 1.0


def test_the_bootstrap_has_the_variance_of_students_t_for_every_factor() -> None:
    rng = np.random.default_rng(3)
    images, seeds = sets_of(12, 15), 11
    values = rng.normal(30, 1, (27, 1)) + rng.normal(0, 1, (1, seeds)) + rng.normal(0, 0.5, (27, seeds))
    drawn = bootstrap_scores(StudyScores(images, {"v": Scores(values)}), resamples=60_000)["v"]
    by_image, by_seed = values.mean(1), values.T @ images.weights
    expected = by_seed.var(ddof=1) / seeds * (seeds - 1) / (seeds - 3)
    for members in images.members:
        n = len(members)
        expected += by_image[members].var(ddof=1) / n * (n - 1) / (n - 3) / 4
    assert drawn.mean() == pytest.approx(by_image @ images.weights, abs=0.01)
    assert drawn.var() == pytest.approx(expected, rel=0.04)


def test_the_bootstrap_draws_the_same_images_for_every_variant() -> None:
    image = np.random.default_rng(4).normal(30, 3, (8, 1))
    study = StudyScores(sets_of(8), {"a": Scores(image, trained=False), "b": Scores(image + 1, trained=False)})
    drawn = bootstrap_scores(study, resamples=100)
    assert drawn["b"] - drawn["a"] == pytest.approx(np.ones(100))
    assert drawn["a"].std() > 0.5
    np.testing.assert_array_equal(bootstrap_scores(study, resamples=100)["a"], drawn["a"])
    assert (bootstrap_scores(study, resamples=100, seed=1)["a"] != drawn["a"]).any()


def test_rank_intervals_count_in_the_right_direction() -> None:
    drawn = {"a": np.array([3.0, 3.0, 3.0, 1.0]), "b": np.array([2.0, 2.0, 2.0, 2.0]), "c": np.array([1.0, 1, 2, 0])}
    higher = rank_intervals(drawn, higher_is_better=True)
    assert (higher["a"].low, higher["a"].high, higher["a"].probability_best) == (1, 2, 0.75)
    assert (higher["c"].low, higher["c"].high) == (2, 3)
    lower = rank_intervals(drawn, higher_is_better=False)
    assert (lower["c"].low, lower["c"].high, lower["c"].probability_best) == (1, 1, 1.0)


def test_variants_without_a_significant_difference_share_a_rank_even_in_a_chain() -> None:
    # a beats c; b differs significantly from neither.
    assert shared_ranks(["a", "b", "c", "d"], {"c": ["a"], "d": ["a", "b", "c"]}) == {"a": 1, "b": 1, "c": 2, "d": 4}


# Laws


@given(two_variants(), st.integers(0, 2**32))
def test_the_order_of_images_and_seeds_means_nothing(given: tuple[Scores, Scores, MeasuredImages], start: int) -> None:
    variant, base, images = given
    rng = np.random.default_rng(start)
    order = rng.permutation(len(images.dataset))
    shuffled = [Scores(rng.permutation(s.values[order], axis=1)) for s in (variant, base)]
    elsewhere = MeasuredImages(images.datasets, images.dataset[order])
    one, other = paired_difference(variant, base, images), paired_difference(*shuffled, elsewhere)
    assert close(one.value, other.value)
    assert close(one.standard_error, other.standard_error)
    assert close(one.p_value, other.p_value)
    wins = [
        probability_of_improvement(*pair, sets, higher_is_better=True)
        for pair, sets in (((variant, base), images), (shuffled, elsewhere))
    ]
    assert close(wins[0].value, wins[1].value)
    assert wins[0].interval is not None
    assert wins[1].interval is not None
    assert close(wins[0].interval.low, wins[1].interval.low)


@given(two_variants(), st.integers(-20, 20))
def test_a_constant_added_to_both_changes_nothing(given: tuple[Scores, Scores, MeasuredImages], constant: int) -> None:
    variant, base, images = given
    one = paired_difference(variant, base, images)
    other = paired_difference(Scores(variant.values + constant), Scores(base.values + constant), images)
    assert close(one.value, other.value)
    assert close(one.standard_error, other.standard_error)
    assert close(one.p_value, other.p_value)


@given(two_variants())
def test_swapping_the_two_turns_every_sign(given: tuple[Scores, Scores, MeasuredImages]) -> None:
    variant, base, images = given
    one, other = paired_difference(variant, base, images), paired_difference(base, variant, images)
    assert close(one.value, -other.value)
    assert close(one.p_value, other.p_value)
    assert one.interval is not None
    assert other.interval is not None
    assert close(one.interval.low, -other.interval.high)
    wins = probability_of_improvement(variant, base, images, higher_is_better=True)
    for same in (
        probability_of_improvement(variant, base, images, higher_is_better=False),
        probability_of_improvement(base, variant, images, higher_is_better=True),
    ):
        assert close(same.value, 1 - wins.value)
        assert same.interval is not None
        assert wins.interval is not None
        assert close(same.interval.low, 1 - wins.interval.high)


@pytest.mark.parametrize("seeds", [(1, 3), (3, 1), (1, 1)])
def test_with_one_seed_no_difference_is_significant_however_large(seeds: tuple[int, int]) -> None:
    rng = np.random.default_rng(5)
    variant, base = (Scores(rng.normal(mean, 0.1, (50, n))) for mean, n in zip((40, 30), seeds, strict=True))
    found = paired_difference(variant, base, sets_of(50))
    assert found.p_value is None
    assert found.covers == "pictures"
    assert found.interval is not None
    assert 9 < found.interval.low < found.interval.high < 11


def test_with_one_image_in_a_test_set_there_is_no_interval() -> None:
    rng = np.random.default_rng(6)
    found = paired_difference(Scores(rng.normal(size=(4, 3))), Scores(rng.normal(size=(4, 3))), sets_of(3, 1))
    assert (found.interval, found.p_value, found.standard_error) == (None, None, None)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_refused(wrong: float) -> None:
    with pytest.raises(StatisticsError, match="must be finite"):
        Scores(np.array([[30.0], [wrong]]))


# Images that occur more than once


def twice(images: MeasuredImages, *sizes: int) -> MeasuredImages:
    """`images`, and behind them as many further test sets of the first ones of them."""
    more = sets_of(len(images.dataset), *sizes)
    return MeasuredImages(more.datasets, more.dataset, np.concatenate([np.arange(size) for size in more.distinct]))


def again(scores: Scores, *sizes: int) -> Scores:
    return Scores(np.concatenate([scores.values, *(scores.values[:size] for size in sizes)]), scores.trained)


def test_a_repeated_test_set_adds_no_information() -> None:
    rng = np.random.default_rng(3)
    once = sets_of(12)
    variant, base = Scores(rng.normal(30.1, 0.1, (12, 3))), Scores(rng.normal(30, 0.1, (12, 3)))
    both = twice(once, 12)
    double = again(variant, 12), again(base, 12)
    known, found = paired_difference(variant, base, once), paired_difference(*double, both)
    assert known.interval is not None
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == pytest.approx((known.interval.low, known.interval.high))
    assert found.p_value == pytest.approx(known.p_value)
    unaware = paired_difference(*double, sets_of(12, 12))
    assert unaware.interval is not None
    assert unaware.interval.high < found.interval.high
    better = [
        probability_of_improvement(*scores, images, higher_is_better=True).interval
        for scores, images in (((variant, base), once), (double, both))
    ]
    assert better[0] is not None
    assert better[1] is not None
    assert (better[1].low, better[1].high) == pytest.approx((better[0].low, better[0].high))
    np.testing.assert_allclose(both.once(again(variant, 12).by_image), variant.by_image)
    spreads = [
        bootstrap_scores(StudyScores(images, {"a": scores}), 20_000)["a"].std()
        for images, scores in ((once, variant), (both, double[0]))
    ]
    assert spreads[1] == pytest.approx(spreads[0], rel=0.05)


def test_an_image_that_is_twice_in_one_set_counts_once() -> None:
    rng = np.random.default_rng(4)
    variant, base = Scores(rng.normal(30.1, 0.1, (8, 3))), Scores(rng.normal(30, 0.1, (8, 3)))
    doubled = MeasuredImages(("set0",), np.zeros(16, np.int64), np.tile(np.arange(8), 2))
    known = paired_difference(variant, base, sets_of(8)).interval
    found = paired_difference(again(variant, 8), again(base, 8), doubled).interval
    assert known is not None
    assert found is not None
    assert (found.low, found.high) == pytest.approx((known.low, known.high))


@given(two_variants(), st.integers(1, 5))
@settings(max_examples=50, deadline=None)
def test_known_repetitions_never_narrow_an_interval(two: tuple[Scores, Scores, MeasuredImages], size: int) -> None:
    variant, base, images = two
    size = min(size, len(images.dataset))
    if len(images.dataset) < 2 or size < 2:
        return
    every = twice(images, size)
    found = paired_difference(again(variant, size), again(base, size), every).interval
    unaware = paired_difference(again(variant, size), again(base, size), MeasuredImages(every.datasets, every.dataset))
    assert found is not None
    assert unaware.interval is not None
    assert found.low <= unaware.interval.low + 1e-12
    assert found.high >= unaware.interval.high - 1e-12


@given(two_variants())
@settings(max_examples=20, deadline=None)
def test_different_images_have_the_same_figures_whether_their_content_is_known_or_not(
    two: tuple[Scores, Scores, MeasuredImages],
) -> None:
    variant, base, images = two
    known = MeasuredImages(images.datasets, images.dataset, np.arange(len(images.dataset))[::-1].copy())
    found = [paired_difference(variant, base, p) for p in (images, known)]
    assert found[0].interval == found[1].interval
    assert found[0].p_value == found[1].p_value
    boots = [bootstrap_scores(StudyScores(p, {"a": variant, "b": base}), 100)["a"] for p in (images, known)]
    np.testing.assert_array_equal(*boots)
