"""Hierarchical bootstrap over images × seeds, jointly for all variants, for rank intervals."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from nitido.study.statistics.scores import Floats, MeasuredImages, Scores, StudyScores

CELLS = 4_000_000
"""Maximum number of image weights in memory at a time."""


@dataclass(frozen=True)
class RankInterval:
    """The range of ranks in 95% of the resamples, and the proportion of resamples with rank 1."""

    low: int
    high: int
    probability_best: float


def bootstrap_scores(study: StudyScores, resamples: int = 10_000, seed: int = 0) -> dict[str, Floats]:
    """Return resampled scores `(resamples,)` of each variant for other seeds and other images of the same kind.

    Images are drawn with replacement within each test set, the same ones for every variant; seeds within each variant
    (the pigeonhole bootstrap, Owen 2007). A plain bootstrap of n values has a variance that is (n - 1) / n of the
    unbiased one, and ignores that n values estimate their spread poorly. The deviation of each factor is therefore
    multiplied by sqrt(n / chi²), with a new chi² of n - 1 degrees of freedom for each resample, which gives Student's
    t. A factor of size 1 does not vary. An image that occurs several times, in one or two test sets, is drawn as one.
    The result is deterministic for a given `seed`.
    """
    rng = np.random.default_rng(seed)
    images, share = study.images, 1 / len(study.images.datasets)
    scores = {name: _seed_deviations(s, images.weights, resamples, rng) for name, s in study.variants.items()}
    stacked = np.stack([s.by_image for s in study.variants.values()], axis=1)
    for group in images.dependent:
        if images.repeats(group):
            deviations, known = _deviations_of_contents(stacked, images, group)
        else:
            members = images.members[group[0]]
            deviations, known = stacked[members] - stacked[members].mean(axis=0), len(members)
        inflation = _inflation(known, resamples, rng)
        step = max(1, CELLS // len(deviations))
        for start in range(0, resamples, step):
            stop = min(start + step, resamples)
            moved = _resampling_weights(len(deviations), stop - start, rng) @ deviations
            for name, column in zip(scores, moved.T, strict=True):
                scores[name][start:stop] += share * inflation[start:stop] * column
    return scores


def _deviations_of_contents(stacked: Floats, images: MeasuredImages, group: Sequence[int]) -> tuple[Floats, int]:
    """Return what each different image of several test sets adds to the sum of their means, and how many are known.

    The deviations `(different images, variants)` are times the number of different images, since that many are
    drawn. What is known of their spread is what the smallest set knows.
    """
    assert images.content is not None  # images occur more than once
    numbers, inverse = np.unique(
        np.concatenate([images.content[images.members[d]] for d in group]), return_inverse=True
    )
    sets = [stacked[images.members[d]] for d in group]
    parts = np.concatenate([(values - values.mean(axis=0)) / len(values) for values in sets])
    deviations = np.zeros((len(numbers), stacked.shape[1]))
    np.add.at(deviations, inverse, parts)
    return deviations * len(numbers), min(images.distinct[d] for d in group)


def rank_intervals(
    scores: Mapping[str, Floats], *, higher_is_better: bool, alpha: float = 0.05
) -> dict[str, RankInterval]:
    """Return the rank interval of each variant over `bootstrap_scores`; tied variants get the better rank."""
    table = np.stack(list(scores.values())) * (1.0 if higher_is_better else -1.0)
    ordered = np.sort(table, axis=0)
    intervals = {}
    for name, row in zip(scores, table, strict=True):
        ranks = 1 + (ordered > row).sum(axis=0)
        low, high = np.quantile(ranks, [alpha / 2, 1 - alpha / 2], method="inverted_cdf")
        intervals[name] = RankInterval(int(low), int(high), float((ranks == 1).mean()))
    return intervals


def _seed_deviations(scores: Scores, weights: Floats, resamples: int, rng: Generator) -> Floats:
    """Return resampled scores `(resamples,)` over other seeds of the same variant."""
    by_seed = scores.values.T @ weights
    n = len(by_seed)
    deviations = _resampling_weights(n, resamples, rng) @ (by_seed - by_seed.mean())
    moved: Floats = by_seed.mean() + _inflation(n, resamples, rng) * deviations
    return moved


def _resampling_weights(n: int, resamples: int, rng: Generator) -> Floats:
    """Return weights `(resamples, n)`: how often each of n values is drawn with replacement, divided by n."""
    drawn = rng.integers(n, size=(resamples, n)) + n * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * n).reshape(resamples, n) / n


def _inflation(n: int, resamples: int, rng: Generator) -> Floats:
    if n == 1:
        return np.zeros(resamples)
    inflation: Floats = math.sqrt(n) / np.sqrt(rng.chisquare(n - 1, resamples))
    return inflation
