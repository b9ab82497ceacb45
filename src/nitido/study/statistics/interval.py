"""Confidence intervals for a mean whose variance is a sum of a few estimated parts."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import stdtrit

from nitido.study.statistics.scores import Floats

SMALLEST_LOG_P = -100.0
"""Student's quantiles are accurate to 1e-12 down to this value (p below 1e-43); smaller p-values become 0."""


@dataclass(frozen=True)
class Interval:
    """A closed confidence interval."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        """Return whether `value` is in the interval."""
        return self.low <= value <= self.high


@dataclass(frozen=True)
class Component:
    """One estimated part of the variance of a mean, with the degrees of freedom of the estimate."""

    variance: float
    degrees_of_freedom: float


def component(values: Floats) -> Component:
    """Return the variance s²/n of the mean of `values` `(n,)` with n - 1 degrees of freedom; n must be at least 2."""
    n = len(values)
    deviations = values - values.mean()
    return Component(float(deviations @ deviations) / ((n - 1) * n), n - 1)


def combine(parts: Sequence[Component], most: float = math.inf) -> Component:
    """Sum `parts`, with Satterthwaite's degrees of freedom (Biometrics Bulletin 2, 1946), up to `most`."""
    variance = sum(part.variance for part in parts)
    if variance == 0:
        return Component(0.0, min(part.degrees_of_freedom for part in parts))
    inverse = sum((part.variance / variance) ** 2 / part.degrees_of_freedom for part in parts)
    return Component(variance, min(1 / inverse, most))


def quantile(parts: Sequence[Component], alpha: float) -> float:
    """Return the half-width of an interval of level 1 - alpha in standard errors.

    The mean of the parts' Student quantiles, weighted by their variances (Cochran and Cox, "Experimental Designs",
    1950, for the Behrens-Fisher problem). Satterthwaite's formula over all parts turns a seed variance that is
    small by chance into many degrees of freedom, and the interval becomes too narrow.
    """
    return _quantile_function(parts)(alpha)


def _quantile_function(parts: Sequence[Component]) -> Callable[[float], float]:
    """Return `quantile` of these parts, for many calls."""
    variances = np.array([part.variance for part in parts])
    degrees_of_freedom = np.array([part.degrees_of_freedom for part in parts])
    total = variances.sum()
    return lambda alpha: float(variances @ -stdtrit(degrees_of_freedom, alpha / 2) / total)


def student_interval(mean: float, parts: Sequence[Component], alpha: float = 0.05) -> Interval:
    """Return the interval of level 1 - `alpha` around `mean`.

    >>> student_interval(1.0, [Component(0.25, 4)])  # doctest: +ELLIPSIS
    Interval(low=-0.388..., high=2.388...)
    """
    variance = sum(part.variance for part in parts)
    reach = math.sqrt(variance) * quantile(parts, alpha) if variance > 0 else 0.0
    return Interval(mean - reach, mean + reach)


def student_p_value(mean: float, parts: Sequence[Component]) -> float:
    """Return the two-sided p-value of "the mean is 0": the `alpha` whose interval ends at 0.

    >>> round(student_p_value(2.776445 * 0.5, [Component(0.25, 4)]), 6)
    0.05
    """
    variance = sum(part.variance for part in parts)
    if mean == 0:
        return 1.0
    if variance == 0:
        return 0.0
    ratio, half_width = abs(mean) / math.sqrt(variance), _quantile_function(parts)

    def beyond(log_p: float) -> float:
        return half_width(math.exp(log_p)) - ratio

    if beyond(SMALLEST_LOG_P) < 0:
        return 0.0
    return math.exp(brentq(beyond, SMALLEST_LOG_P, 0.0, xtol=1e-9))
