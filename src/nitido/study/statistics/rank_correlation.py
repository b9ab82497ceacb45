"""Correlate the gain on each image with properties of the image."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from nitido.study.statistics.multiplicity import holm
from nitido.study.statistics.scores import Floats

FEWEST_IMAGES = 10
"""Fewer images are not correlated."""


@dataclass(frozen=True)
class Relation:
    """The correlation of a gain with one descriptor of the images.

    Attributes:
        descriptor: its name.
        correlation: Spearman's rank correlation of gain and descriptor, in [-1, 1].
        p_value: of "no correlation", Holm-corrected over the descriptors.
    """

    descriptor: str
    correlation: float
    p_value: float


def relate(gains: Floats, descriptors: Mapping[str, Floats]) -> tuple[Relation, ...]:
    """Return the rank correlations of `gains` `(P,)` with each of `descriptors` `(P,)`, strongest first.

    Images are the sample; the trained networks are fixed. Empty for fewer than `FEWEST_IMAGES` images. Constant
    descriptors are left out.
    """
    if len(gains) < FEWEST_IMAGES or np.ptp(gains) == 0:
        return ()
    found = {name: spearmanr(gains, values) for name, values in descriptors.items() if np.ptp(values) > 0}
    p_values = holm({name: float(result.pvalue) for name, result in found.items()})
    relations = [Relation(name, float(result.statistic), p_values[name]) for name, result in found.items()]
    return tuple(sorted(relations, key=lambda relation: -abs(relation.correlation)))
