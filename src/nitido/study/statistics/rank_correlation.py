"""On which pictures a change helps: how its gain goes with what the pictures show."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from nitido.study.statistics.multiplicity import holm
from nitido.study.statistics.scores import Floats

FEWEST_PICTURES = 10
"""Below this a rank correlation says nothing."""


@dataclass(frozen=True)
class Relation:
    """How a gain goes with one descriptor of the pictures.

    Attributes:
        descriptor: its name.
        correlation: Spearman's rank correlation of gain and descriptor, in [-1, 1].
        p_value: of "no relation", after Holm over the descriptors.
    """

    descriptor: str
    correlation: float
    p_value: float


def relate(gains: Floats, descriptors: Mapping[str, Floats]) -> tuple[Relation, ...]:
    """The relations of `gains` `(P,)` with each of `descriptors` `(P,)`, the strongest first.

    Pictures are what is sampled; the trained networks are taken as they are. Empty for fewer than `FEWEST_PICTURES`
    pictures, and without descriptors that are the same for all of them.
    """
    if len(gains) < FEWEST_PICTURES or np.ptp(gains) == 0:
        return ()
    found = {name: spearmanr(gains, values) for name, values in descriptors.items() if np.ptp(values) > 0}
    p_values = holm({name: float(result.pvalue) for name, result in found.items()})
    relations = [Relation(name, float(result.statistic), p_values[name]) for name, result in found.items()]
    return tuple(sorted(relations, key=lambda relation: -abs(relation.correlation)))
