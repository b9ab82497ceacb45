"""Compute the paired difference of two variants with its standard error, interval and p-value."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from nitido.study.statistics.interval import Component, Interval, combine, component, student_interval, student_p_value
from nitido.study.statistics.scores import Floats, MeasuredImages, Scores

Coverage = Literal["seeds and pictures", "pictures"]
"""What an interval covers: other trainings and images, or other images with these trained networks."""

_TIE_NUMBER = -1
"""The content number of the added tie; those of images are 0 and more."""


@dataclass(frozen=True)
class PairedDifference:
    """The difference variant minus base, in the unit of the metric.

    Attributes:
        value: the mean over the test sets of the mean over images of the mean over seeds.
        by_image: `(P,)`, the difference of the means over seeds.
        interval: None if a test set has a single image.
        covers: what `interval` covers.
        standard_error: None together with `interval`.
        p_value: of "no difference over all seeds and images", without correction for multiple comparisons. None with
            one seed on either side, or without an interval.
    """

    value: float
    by_image: Floats
    interval: Interval | None
    covers: Coverage
    standard_error: float | None
    p_value: float | None


def paired_difference(variant: Scores, base: Scores, images: MeasuredImages, alpha: float = 0.05) -> PairedDifference:
    """Return the difference with its interval of level 1 - `alpha`, over other seeds and images of the same kind.

    Its variance is that of the hierarchical bootstrap over images × seeds with infinitely many resamples, each part
    times n / (n - 1): between images s²/P of the paired differences, and for each trained side s²/S between the
    scores of its seeds (Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1, 2007). The noise of a seed on
    an image is in both parts, so the interval is slightly too wide. The quantile is `interval.quantile`.
    """
    by_image = variant.by_image - base.by_image
    value = float(images.weights @ by_image)
    sides = [scores.values.T @ images.weights for scores in (variant, base) if scores.seeds > 1]
    known = variant.seed_noise_known and base.seed_noise_known
    covers: Coverage = "seeds and pictures" if sides and known else "pictures"
    between_images = image_component(by_image, images)
    if between_images is None:
        return PairedDifference(value, by_image, None, covers, None, None)
    between_seeds = [seed_component(sides)] if covers == "seeds and pictures" else []
    parts = [between_images, *between_seeds]
    intervals, p_values = [student_interval(value, parts, alpha)], [student_p_value(value, parts)]
    if images.repeated:
        # A larger image part may raise the degrees of freedom and so shrink the quantile: knowing of duplicates must
        # not make a result more certain.
        unaware = image_component(by_image, replace(images, content=None))
        if unaware is not None:
            intervals.append(student_interval(value, [unaware, *between_seeds], alpha))
            p_values.append(student_p_value(value, [unaware, *between_seeds]))
    return PairedDifference(
        value=value,
        by_image=by_image,
        interval=Interval(min(i.low for i in intervals), max(i.high for i in intervals)),
        covers=covers,
        standard_error=sum(part.variance for part in parts) ** 0.5,
        p_value=max(p_values) if known else None,
    )


def image_component(by_image: Floats, images: MeasuredImages, tie: float | None = None) -> Component | None:
    """Return the image part of the variance of the mean over test sets; None if a test set has one image.

    If `tie` is given, it is added to the values of each test set.
    """
    if any(distinct < 2 for distinct in images.distinct):
        return None
    share = 1 / len(images.members) ** 2
    parts = []
    for group in images.dependent:
        separate = [component_of(by_image[images.members[d]], tie) for d in group]
        parts += [_of_group(by_image, images, group, separate, tie)] if images.repeats(group) else separate
    return combine([Component(part.variance * share, part.degrees_of_freedom) for part in parts])


def component_of(values: Floats, tie: float | None) -> Component:
    """Return the variance of the mean of `values`, with `tie` as an additional value if given."""
    if tie is None:
        return component(values)
    return Component(component(np.append(values, tie)).variance, len(values) - 1)


def _of_group(
    by_image: Floats, images: MeasuredImages, group: Sequence[int], separate: Sequence[Component], tie: float | None
) -> Component:
    """Return the variance of the sum of the means of test sets with duplicate images.

    The deviations of equal images are added before they are squared, as in a cluster-robust variance, because an image
    in two sets carries the information of one. The result is at least the sum of the `separate` variances, below which
    a few shared images may bring it by chance, and has the degrees of freedom of the smallest set.
    """
    assert images.content is not None  # images occur more than once
    numbers, deviations = [], []
    for d in group:
        members, distinct = images.members[d], images.distinct[d] + (tie is not None)
        values = by_image[members] if tie is None else np.append(by_image[members], tie)
        content = images.content[members] if tie is None else np.append(images.content[members], _TIE_NUMBER)
        unbiased = math.sqrt(distinct / (distinct - 1))
        numbers.append(content)
        deviations.append(unbiased * (values - values.mean()) / len(values))
    _, inverse = np.unique(np.concatenate(numbers), return_inverse=True)
    together = np.bincount(inverse, np.concatenate(deviations))
    variance = max(float(together @ together), sum(part.variance for part in separate))
    return Component(variance, min(images.distinct[d] for d in group) - 1)


def seed_component(sides: Sequence[Floats]) -> Component:
    """Return the seed part of the variance from the scores `(S,)` of each trained side with at least 2 seeds.

    Welch's degrees of freedom are limited to those of two sides with the smaller number of seeds. Otherwise a variance
    of 2 seeds that is small by chance would give the many degrees of freedom of the other side too much weight.
    """
    return combine([component(side) for side in sides], most=len(sides) * min(len(side) - 1 for side in sides))
