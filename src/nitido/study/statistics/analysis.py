"""Compute the statistics of test rows: each variant against the baseline, and all pairs of variants."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import polars as pl

from nitido.base.errors import unknown_name
from nitido.study.statistics.bootstrap import RankInterval, bootstrap_scores, rank_intervals
from nitido.study.statistics.difference import PairedDifference, paired_difference
from nitido.study.statistics.improvement import ProbabilityOfImprovement, probability_of_improvement
from nitido.study.statistics.multiplicity import holm
from nitido.study.statistics.ranks import shared_ranks
from nitido.study.statistics.scores import MeasuredImages, Scores, StatisticsError, StudyScores, gather
from nitido.study.statistics.signed_rank import wilcoxon_signed_rank

FEW_IMAGES = 10
FEW_SEEDS = 3


@dataclass(frozen=True)
class VariantStatistics:
    """The statistics of one ranked variant. Fields about the base are None or empty for the base itself.

    Attributes:
        seeds: the number of trainings; 0 for bicubic.
        rank: 1 + the number of significantly better variants, but never above a variant with a better mean.
        better: the significantly better variants (Holm-corrected over all pairs).
        rank_interval: the 95% interval of its rank over other seeds and images.
        difference: to the base, over all test sets.
        by_dataset: to the base, on each test set; these intervals are not corrected for their number.
        adjusted_p_value: of `difference`, Holm-corrected over the variants; None if it is unknown.
        improves: True if significantly better than the base, False if significantly worse, otherwise None.
        improvement: the probability of improvement over the base.
        wilcoxon_p_value: over images, Holm-corrected: about these trained networks, not other seeds.
    """

    variant: str
    seeds: int
    rank: int
    better: tuple[str, ...]
    rank_interval: RankInterval
    difference: PairedDifference | None
    by_dataset: dict[str, PairedDifference]
    adjusted_p_value: float | None
    improves: bool | None
    improvement: ProbabilityOfImprovement | None
    wilcoxon_p_value: float | None


@dataclass(frozen=True)
class StudyStatistics:
    """The statistics of one metric of a study; `variants` are sorted from the best mean to the worst.

    `base` is None if the base has no results: the variants are then compared with each other alone.
    """

    base: str | None
    metric: str
    higher_is_better: bool
    alpha: float
    variants: tuple[VariantStatistics, ...]
    unranked: tuple[str, ...]
    caveats: tuple[str, ...]

    def variant(self, name: str) -> VariantStatistics:
        """Return the statistics of `name`; raise KeyError if it is unranked."""
        for found in self.variants:
            if found.variant == name:
                return found
        raise KeyError(name)


def analyze(
    rows: pl.DataFrame,
    base: str | None,
    *,
    higher_is_better: bool,
    unranked: Collection[str] = (),
    alpha: float = 0.05,
    resamples: int = 10_000,
    seed: int = 0,
) -> StudyStatistics:
    """Compare and rank the variants of `rows`: test rows of one metric, one learning rate for each variant.

    Without a `base` there are ranks, but no differences. `unranked` names the variants without a rank (diverged,
    unfinished, other objective); their rows are ignored. `seed` initializes the bootstrap of the rank intervals. Raises
    `StatisticsError` as `gather` does, and if the base is not ranked.
    """
    names = rows["variant"].unique(maintain_order=True).to_list()
    ranked = [name for name in names if name not in unranked]
    if base in unranked:
        raise StatisticsError(f"the base {base!r} has no rank, so nothing can be compared to it")
    if base is not None and base not in ranked:
        raise unknown_name("base variant", base, ranked, StatisticsError)
    study = gather(rows, ranked)
    pairs = {pair: paired_difference(*_pick(study, pair), study.images, alpha) for pair in combinations(ranked, 2)}
    better = _better(pairs, ranked, higher_is_better, alpha)
    sign = -1 if higher_is_better else 1
    scores = {name: float(study.images.weights @ study.variants[name].by_image) for name in ranked}
    order = sorted(ranked, key=lambda name: (sign * scores[name], name))
    ranks = shared_ranks(order, better)
    intervals = rank_intervals(bootstrap_scores(study, resamples, seed), higher_is_better=higher_is_better, alpha=alpha)
    to_base = {name: (name, base) for name in ranked if name != base} if base is not None else {}
    differences = {name: paired_difference(*_pick(study, pair), study.images, alpha) for name, pair in to_base.items()}
    adjusted = holm({name: d.p_value for name, d in differences.items() if d.p_value is not None})
    wilcoxon = holm({name: wilcoxon_signed_rank(study.images.once(d.by_image)) for name, d in differences.items()})
    improvements = {
        name: probability_of_improvement(
            *_pick(study, pair), study.images, higher_is_better=higher_is_better, alpha=alpha
        )
        for name, pair in to_base.items()
    }
    sets = {dataset: study.on(dataset) for dataset in study.images.datasets}

    def statistics(name: str) -> VariantStatistics:
        difference = differences.get(name)
        improves = None
        if difference is not None and adjusted.get(name, 1.0) < alpha:
            improves = (difference.value > 0) == higher_is_better
        return VariantStatistics(
            variant=name,
            seeds=study.variants[name].seeds,
            rank=ranks[name],
            better=tuple(better[name]),
            rank_interval=intervals[name],
            difference=difference,
            by_dataset={
                dataset: paired_difference(*_pick(alone, to_base[name]), alone.images, alpha)
                for dataset, alone in sets.items()
                if name in to_base
            },
            adjusted_p_value=adjusted.get(name),
            improves=improves,
            improvement=improvements.get(name),
            wilcoxon_p_value=wilcoxon.get(name),
        )

    return StudyStatistics(
        base=base,
        metric=rows["metric"][0],
        higher_is_better=higher_is_better,
        alpha=alpha,
        variants=tuple(statistics(name) for name in order),
        unranked=tuple(unranked),
        caveats=caveats(study.variants, study.images),
    )


def _pick(study: StudyScores, pair: tuple[str, str]) -> tuple[Scores, Scores]:
    return study.variants[pair[0]], study.variants[pair[1]]


def _better(
    pairs: dict[tuple[str, str], PairedDifference], ranked: Sequence[str], higher_is_better: bool, alpha: float
) -> dict[str, list[str]]:
    """Return the significantly better variants of each variant, Holm-corrected over all testable pairs."""
    adjusted = holm({pair: d.p_value for pair, d in pairs.items() if d.p_value is not None})
    better: dict[str, list[str]] = {name: [] for name in ranked}
    for (first, second), p_value in adjusted.items():
        if p_value < alpha:
            first_wins = (pairs[first, second].value > 0) == higher_is_better
            winner, loser = (first, second) if first_wins else (second, first)
            better[loser].append(winner)
    return better


def caveats(variants: Mapping[str, Scores], images: MeasuredImages) -> tuple[str, ...]:
    """Return one sentence per weakness of the evidence, most serious first."""
    said = []
    alone = [name for name, scores in variants.items() if scores.seeds == 1]
    if alone:
        said.append(
            f"one seed only ({_names(alone)}): seed noise is unknown, so their differences are inconclusive and their "
            "intervals cover other images only"
        )
    few = [name for name, scores in variants.items() if 1 < scores.seeds < FEW_SEEDS]
    if few:
        said.append(f"fewer than {FEW_SEEDS} seeds ({_names(few)}): only very large differences can become significant")
    if images.repeated:
        said.append(
            f"{images.repeated} of {len(images.dataset)} test images repeat the pixels of another: intervals, "
            "tests and rank intervals count them once, means each time"
        )
    for dataset, number in zip(images.datasets, images.distinct, strict=True):
        if number == 1:
            said.append(f"{dataset} has one image: a mean that includes it has no interval")
        elif number < FEW_IMAGES:
            said.append(f"{dataset} has {number} images, fewer than {FEW_IMAGES}: other images may disagree")
    return tuple(said)


def _names(variants: list[str]) -> str:
    return ", ".join(variants)
