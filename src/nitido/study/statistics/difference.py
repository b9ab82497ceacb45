"""Compute the paired difference of two variants with its standard error, interval and p-value."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from nitido.study.statistics.interval import Component, Interval, combine, component, student_interval, student_p_value
from nitido.study.statistics.scores import Floats, Pictures, Scores

Coverage = Literal["seeds and pictures", "pictures"]
"""What an interval covers: other trainings and images, or other images with these trained networks."""

_TIE_NUMBER = -1
"""The content number of the added tie; those of images are 0 and more."""


@dataclass(frozen=True)
class PairedDifference:
    """The difference variant minus base, in the unit of the metric.

    Attributes:
        value: the mean over the test sets of the mean over pictures of the mean over seeds.
        by_picture: `(P,)`, the difference of the means over seeds.
        interval: None if a test set has a single image.
        covers: what `interval` covers.
        standard_error: None together with `interval`.
        p_value: of "no difference over all seeds and images", without correction for multiple comparisons. None with
            one seed on either side, or without an interval.
    """

    value: float
    by_picture: Floats
    interval: Interval | None
    covers: Coverage
    standard_error: float | None
    p_value: float | None


def paired_difference(variant: Scores, base: Scores, pictures: Pictures, alpha: float = 0.05) -> PairedDifference:
    """Return the difference with its interval of level 1 - `alpha`, over other seeds and images of the same kind.

    Its variance is that of the hierarchical bootstrap over pictures × seeds with infinitely many resamples, each part
    times n / (n - 1): between pictures s²/P of the paired differences, and for each trained side s²/S between the
    scores of its seeds (Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1, 2007). The noise of a seed on
    an image is in both parts, so the interval is slightly too wide. The quantile is `interval.quantile`.
    """
    by_picture = variant.by_picture - base.by_picture
    value = float(pictures.weights @ by_picture)
    sides = [scores.values.T @ pictures.weights for scores in (variant, base) if scores.seeds > 1]
    known = variant.seed_noise_known and base.seed_noise_known
    covers: Coverage = "seeds and pictures" if sides and known else "pictures"
    between_pictures = picture_component(by_picture, pictures)
    if between_pictures is None:
        return PairedDifference(value, by_picture, None, covers, None, None)
    between_seeds = [seed_component(sides)] if covers == "seeds and pictures" else []
    parts = [between_pictures, *between_seeds]
    intervals, p_values = [student_interval(value, parts, alpha)], [student_p_value(value, parts)]
    if pictures.repeated:
        # A larger image part may raise the degrees of freedom and so shrink the quantile: knowing of duplicates must
        # not make a result more certain.
        unaware = picture_component(by_picture, replace(pictures, content=None))
        if unaware is not None:
            intervals.append(student_interval(value, [unaware, *between_seeds], alpha))
            p_values.append(student_p_value(value, [unaware, *between_seeds]))
    return PairedDifference(
        value=value,
        by_picture=by_picture,
        interval=Interval(min(i.low for i in intervals), max(i.high for i in intervals)),
        covers=covers,
        standard_error=sum(part.variance for part in parts) ** 0.5,
        p_value=max(p_values) if known else None,
    )


def picture_component(by_picture: Floats, pictures: Pictures, tie: float | None = None) -> Component | None:
    """Return the image part of the variance of the mean over test sets; None if a test set has one image.

    If `tie` is given, it is added to the values of each test set.
    """
    if any(distinct < 2 for distinct in pictures.distinct):
        return None
    share = 1 / len(pictures.members) ** 2
    parts = []
    for group in pictures.dependent:
        separate = [component_of(by_picture[pictures.members[d]], tie) for d in group]
        parts += [_of_group(by_picture, pictures, group, separate, tie)] if pictures.repeats(group) else separate
    return combine([Component(part.variance * share, part.degrees_of_freedom) for part in parts])


def component_of(values: Floats, tie: float | None) -> Component:
    """Return the variance of the mean of `values`, with `tie` as an additional value if given."""
    if tie is None:
        return component(values)
    return Component(component(np.append(values, tie)).variance, len(values) - 1)


def _of_group(
    by_picture: Floats, pictures: Pictures, group: Sequence[int], separate: Sequence[Component], tie: float | None
) -> Component:
    """Return the variance of the sum of the means of test sets with duplicate images.

    The deviations of equal images are added before they are squared, as in a cluster-robust variance, because an image
    in two sets carries the information of one. The result is at least the sum of the `separate` variances, below which
    a few shared images may bring it by chance, and has the degrees of freedom of the smallest set.
    """
    assert pictures.content is not None  # pictures occur more than once
    numbers, deviations = [], []
    for d in group:
        members, distinct = pictures.members[d], pictures.distinct[d] + (tie is not None)
        values = by_picture[members] if tie is None else np.append(by_picture[members], tie)
        content = pictures.content[members] if tie is None else np.append(pictures.content[members], _TIE_NUMBER)
        unbiased = math.sqrt(distinct / (distinct - 1))
        numbers.append(content)
        deviations.append(unbiased * (values - values.mean()) / len(values))
    _, inverse = np.unique(np.concatenate(numbers), return_inverse=True)
    together = np.bincount(inverse, np.concatenate(deviations))
    variance = max(float(together @ together), sum(part.variance for part in separate))
    return Component(variance, min(pictures.distinct[d] for d in group) - 1)


def seed_component(sides: Sequence[Floats]) -> Component:
    """Return the seed part of the variance from the scores `(S,)` of each trained side with at least 2 seeds.

    Welch's degrees of freedom are limited to those of two sides with the smaller number of seeds. Otherwise a variance
    of 2 seeds that is small by chance would give the many degrees of freedom of the other side too much weight.
    """
    return combine([component(side) for side in sides], most=len(sides) * min(len(side) - 1 for side in sides))
