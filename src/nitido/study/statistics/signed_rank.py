"""Wilcoxon signed-rank test over images: about these trained networks, not about other seeds."""

from scipy.stats import wilcoxon

from nitido.study.statistics.scores import Floats


def wilcoxon_signed_rank(differences: Floats) -> float:
    """Return the two-sided p-value of "per-image differences `(P,)` are symmetric around 0".

    The networks are fixed: a lucky seed shifts all images alike and becomes highly significant. Zeros are dropped
    (Wilcoxon 1945); if all differences are zero, the p-value is 1.
    """
    return float(wilcoxon(differences).pvalue) if differences.any() else 1.0
