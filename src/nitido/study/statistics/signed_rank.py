"""Wilcoxon's signed-rank test over pictures: about these trained networks, not about other seeds."""

from scipy.stats import wilcoxon

from nitido.study.statistics.scores import Floats


def wilcoxon_signed_rank(differences: Floats) -> float:
    """The two-sided p-value of per-picture differences `(P,)` that are symmetric around 0.

    It treats the networks as given: a lucky seed shifts every picture alike and comes out as highly significant.
    Zeros are dropped (Wilcoxon 1945); without any other difference the p-value is 1.
    """
    return float(wilcoxon(differences).pvalue) if differences.any() else 1.0
