"""Estimate the probability that a training of a variant beats one of the base on an image."""

from dataclasses import dataclass

import numpy as np

from nitido.study.statistics.difference import Coverage, component_of, image_component
from nitido.study.statistics.interval import Interval, combine, student_interval
from nitido.study.statistics.scores import Floats, MeasuredImages, Scores

TIE = 0.5


@dataclass(frozen=True)
class ProbabilityOfImprovement:
    """A probability in [0, 1]; 1/2 means no difference. `interval` is as in `PairedDifference`."""

    value: float
    interval: Interval | None
    covers: Coverage


def probability_of_improvement(
    variant: Scores, base: Scores, images: MeasuredImages, *, higher_is_better: bool, alpha: float = 0.05
) -> ProbabilityOfImprovement:
    """Return P(a random seed of the variant beats a random seed of the base on a random image); ties count 1/2.

    The probability of improvement of Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical
    Precipice", NeurIPS 2021, with images instead of tasks; test sets have equal weights. The interval adds the
    variances over images and over seeds, as `paired_difference` does. One tie is added to each list for the variance,
    so that a variant that won every time is not considered certain to win.
    """
    by_image, by_seed, by_base_seed = _wins(variant, base, images, higher_is_better)
    value = min(float(images.weights @ by_image), 1.0)
    known = variant.seed_noise_known and base.seed_noise_known
    sides = [wins for wins, scores in ((by_seed, variant), (by_base_seed, base)) if scores.seeds > 1]
    covers: Coverage = "seeds and pictures" if sides and known else "pictures"
    between_images = image_component(by_image, images, TIE)
    if between_images is None:
        return ProbabilityOfImprovement(value, None, covers)
    parts = [between_images]
    if covers == "seeds and pictures":
        # Wins are not normal: 3 seeds against 3 equal ones win all or nothing in 10% of studies. Therefore the
        # degrees of freedom are the smallest of Welch's range, those of the smaller side.
        parts.append(combine([component_of(side, TIE) for side in sides], most=min(len(s) - 1 for s in sides)))
    found = student_interval(value, parts, alpha)
    return ProbabilityOfImprovement(value, Interval(max(found.low, 0.0), min(found.high, 1.0)), covers)


def _wins(
    variant: Scores, base: Scores, images: MeasuredImages, higher_is_better: bool
) -> tuple[Floats, Floats, Floats]:
    """Return the proportion of wins per image `(P,)`, per seed of the variant `(S,)`, and per seed of the base."""
    sign = 1.0 if higher_is_better else -1.0
    wins = (np.sign(sign * (variant.values[:, :, None] - base.values[:, None, :])) + 1) / 2
    weighted = np.tensordot(images.weights, wins, axes=1)
    return wins.mean(axis=(1, 2)), weighted.mean(axis=1), weighted.mean(axis=0)
