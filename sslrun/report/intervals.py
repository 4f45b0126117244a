"""Means, intervals and comparisons over seeds: what a table may claim, and what it can't claim yet.

Pure functions of numbers (NumPy and SciPy's special functions; `scipy.stats` takes a second to import). `tables`
applies them to runs.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtr, stdtrit

from sslrun.grids.power import CONFIDENCE, detectable, fresh_seeds, spread_bounds

NO_SPREAD = 1e-9
"""A standard deviation up to this is rounding."""


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds; what one seed alone can't tell is NaN."""

    n: int
    mean: float
    std: float
    """Sample standard deviation (n − 1)."""
    low: float
    high: float
    """Bounds of Student's t interval of the mean."""

    def within(self, least: float, most: float) -> "Estimate":
        """The same with its bounds cut where values can't be."""
        return replace(self, low=max(self.low, least), high=min(self.high, most))


@dataclass(frozen=True)
class Difference:
    """Condition minus baseline, paired by seed."""

    estimate: Estimate
    p: float
    """Two-sided p-value of the paired t test; NaN for fewer than two pairs, and for pairs that all differ alike."""


@dataclass(frozen=True)
class Judged:
    """A difference among others that were tested with it."""

    difference: Difference
    p_holm: float
    """p adjusted after Holm for all comparisons made together."""
    distinguishable: bool
    could_see: float
    """The smallest difference that as many pairs, with the spread that these have, show in 80 % of cases in this
    family; NaN without a spread."""
    fresh_from: float
    fresh_to: float
    """How many fresh pairs, without these, show a difference of the size seen as often in such a family: at the 95 %
    bounds of the spread. Infinite above `MOST_SEEDS`; NaN without a spread or a difference."""


def estimate(values: Sequence[float]) -> Estimate:
    """Mean, spread and t interval of independent values; all NaN for none, mean alone for one."""
    array = np.asarray(values, dtype=np.float64)
    n = len(array)
    if n == 0:
        return Estimate(0, *[math.nan] * 4)
    mean = float(array.mean())
    if n == 1:
        return Estimate(1, mean, *[math.nan] * 3)
    std = float(array.std(ddof=1))
    half = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * std / math.sqrt(n)
    return Estimate(n, mean, std, mean - half, mean + half)


def paired_difference(condition: Mapping[int, float], baseline: Mapping[int, float]) -> Difference:
    """Condition minus baseline over the seeds that both have (values by seed), with the paired t test."""
    both = sorted(condition.keys() & baseline.keys())
    found = estimate([condition[seed] - baseline[seed] for seed in both])
    return Difference(found, _p_value(found))


def _p_value(difference: Estimate) -> float:
    """Two-sided, of a paired t test; NaN where there is no spread to judge by.

    Accuracies are multiples of 1/N, so that two seeds often differ by the same amount: SciPy's p is then 0, and half
    of all families of eleven comparisons would hold a false claim (397 test images, no true effect).
    """
    if difference.n < 2:
        return math.nan
    if difference.std <= NO_SPREAD:
        return 1.0 if abs(difference.mean) <= NO_SPREAD else math.nan
    t = abs(difference.mean) / (difference.std / math.sqrt(difference.n))
    return float(2 * stdtr(difference.n - 1, -t))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values: all claims with an adjusted p ≤ α are right together with probability ≥ 1 − α.

    NaN (not tested) stays NaN and does not count (Holm 1979, Scand. J. Stat. 6, 65).
    """
    tested = sorted((p, index) for index, p in enumerate(p_values) if not math.isnan(p))
    adjusted, largest = [math.nan] * len(p_values), 0.0
    for rank, (p, index) in enumerate(tested):
        largest = max(largest, min(1.0, (len(tested) - rank) * p))
        adjusted[index] = largest
    return adjusted


def judge(differences: Sequence[Difference]) -> list[Judged]:
    """Which of several differences are distinguishable from zero, guarded against their number by Holm's method."""
    alpha = 1 - CONFIDENCE
    adjusted = holm([difference.p for difference in differences])
    tested = sum(not math.isnan(p) for p in adjusted)
    judged = []
    for difference, p_holm in zip(differences, adjusted, strict=True):
        found, could_see, fresh = difference.estimate, math.nan, (math.nan, math.nan)
        if found.n >= 2 and found.std > NO_SPREAD:
            could_see = detectable(found.n, max(tested, 1)) * found.std
            if found.mean:
                least, most = (
                    fresh_seeds(found.mean / std, max(tested, 1)) for std in spread_bounds(found.std, found.n)
                )
                fresh = float(least or math.inf), float(most or math.inf)
        judged.append(Judged(difference, p_holm, p_holm <= alpha, could_see, *fresh))
    return judged
