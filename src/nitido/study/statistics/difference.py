"""The paired difference of two variants, and how far chance alone would carry it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from nitido.study.statistics.interval import Component, Interval, combine, component, student_interval, student_p_value
from nitido.study.statistics.scores import Floats, Pictures, Scores

Coverage = Literal["seeds and pictures", "pictures"]
"""What an interval allows for: other trainings and other pictures, or other pictures with these trained networks."""

Estimator = Callable[[Floats], Component]
"""How the variance of a mean is estimated from the values in it."""


@dataclass(frozen=True)
class PairedDifference:
    """Variant minus base, in the metric's own unit and direction.

    Attributes:
        value: the mean over the test sets of the mean over pictures of the mean over seeds.
        by_picture: `(P,)`, the difference of the means over seeds.
        interval: None where a test set has a single picture, so that nothing is known about others.
        covers: what `interval` allows for.
        standard_error: None together with `interval`.
        p_value: of "no difference over all seeds and pictures", without any correction for several comparisons.
            None where it cannot be told: with one seed on either side, or without an interval.
    """

    value: float
    by_picture: Floats
    interval: Interval | None
    covers: Coverage
    standard_error: float | None
    p_value: float | None


def paired_difference(variant: Scores, base: Scores, pictures: Pictures, alpha: float = 0.05) -> PairedDifference:
    """The difference with its interval of level 1 - `alpha`, for other seeds and other pictures of the same kind.

    Its variance is that of the hierarchical bootstrap over pictures × seeds with infinitely many resamples, each part
    times n / (n - 1): between pictures s²/P of the paired differences, and for each trained side s²/S between the
    scores of its seeds (Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1, 2007). The noise of a seed on
    a picture is in both parts, which errs on the careful side. The quantile is `interval.quantile`.
    """
    by_picture = variant.by_picture - base.by_picture
    value = float(pictures.weights @ by_picture)
    sides = [scores.values.T @ pictures.weights for scores in (variant, base) if scores.seeds > 1]
    known = variant.seed_noise_known and base.seed_noise_known
    covers: Coverage = "seeds and pictures" if sides and known else "pictures"
    between_pictures = picture_component(by_picture, pictures)
    if between_pictures is None:
        return PairedDifference(value, by_picture, None, covers, None, None)
    parts = [between_pictures]
    if covers == "seeds and pictures":
        parts.append(seed_component(sides))
    return PairedDifference(
        value=value,
        by_picture=by_picture,
        interval=student_interval(value, parts, alpha),
        covers=covers,
        standard_error=sum(part.variance for part in parts) ** 0.5,
        p_value=student_p_value(value, parts) if known else None,
    )


def picture_component(by_picture: Floats, pictures: Pictures, of: Estimator = component) -> Component | None:
    """The part of other pictures in the mean over the test sets' means; None where a test set has one picture."""
    if any(len(members) < 2 for members in pictures.members):
        return None
    share = 1 / len(pictures.members) ** 2
    parts = [of(by_picture[members]) for members in pictures.members]
    return combine([Component(part.variance * share, part.degrees_of_freedom) for part in parts])


def seed_component(sides: Sequence[Floats]) -> Component:
    """The part of other seeds from the scores `(S,)` of each trained side, with at least 2 seeds each.

    Welch's degrees of freedom, at most those of two sides that both have the smaller number of seeds: else a small
    variance of the side with 2 seeds, which is chance, would make the other side's many degrees of freedom count.
    """
    return combine([component(side) for side in sides], most=len(sides) * min(len(side) - 1 for side in sides))
