"""What comparisons over seeds can see: the power of a paired t test in a family that Holm's method guards.

Pure functions of numbers (NumPy and SciPy's special functions). `sweeps.plan` says before anything runs what a grid
could see, `report.intervals` afterwards what its seeds could have seen, and how many fresh ones it would take.
"""

import math
from bisect import bisect_left
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri, ndtr, stdtrit

CONFIDENCE = 0.95
POWER = 0.8
MOST_SEEDS = 1000
"""`fresh_seeds` looks no further."""
_FEW, _MORE = 3, 10
_PARTS = 1000  # equally probable ones of a distribution


def power(effect: float, n: int, family: int = 1) -> float:
    """The probability that n ≥ 2 pairs show a mean difference of `effect` standard deviations of a paired difference.

    Two-sided t test at the strictest level that Holm's method asks of a family of comparisons, 0.05 / `family`: what is
    exact where the others have no effect, and at most a little too low where they have. Pairs are normal.
    """
    bound = float(stdtrit(n - 1, 1 - (1 - CONFIDENCE) / (2 * family)))
    shift, spread = effect * math.sqrt(n), _spreads(n)
    return float((ndtr(shift - bound * spread) + ndtr(-shift - bound * spread)).mean())


@cache
def detectable(n: int, family: int = 1) -> float:
    """The smallest difference, in standard deviations of a paired difference, that n ≥ 2 pairs see with `POWER`."""
    low, high = 0.0, 1.0
    while power(high, n, family) < POWER:
        low, high = high, 2 * high
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if power(middle, n, family) < POWER else (low, middle)
    return high


@cache
def _spreads(n: int) -> NDArray[np.float64]:
    """Standard deviations of n normal values, relative to their true one: the middles of equally probable parts."""
    spreads: NDArray[np.float64] = np.sqrt(chdtri(n - 1, (np.arange(_PARTS) + 0.5) / _PARTS) / (n - 1))
    return spreads


def fresh_seeds(effect: float, family: int = 1) -> int | None:
    """The fewest pairs that see a difference of `effect` standard deviations with `POWER`; None above `MOST_SEEDS`."""
    counts = range(2, MOST_SEEDS + 1)
    first = bisect_left(counts, True, key=lambda n: power(abs(effect), n, family) >= POWER)  # it grows
    return counts[first] if first < len(counts) else None


def foreseen(comparisons: int, seeds: int) -> str:
    """What a study can see, in words for before it is run; with few seeds, what more of them could."""
    what = f"{comparisons} comparison{'s' * (comparisons != 1)}, {seeds} seed{'s' * (seeds != 1)}: "
    if seeds < 2:
        return what + "one seed tells nothing of the spread, no difference can be shown"
    least = f"{detectable(seeds, comparisons):.1f} standard deviations of paired differences"
    sees = f"80 % of studies would see a difference of {least}"
    more = f"; with {_MORE} seeds, of {detectable(_MORE, comparisons):.1f}" if seeds <= _FEW else ""
    return what + sees + more


def spread_bounds(std: float, n: int) -> tuple[float, float]:
    """95 % confidence bounds of a standard deviation of which n ≥ 2 normal values gave the estimate `std`."""
    tail = (1 - CONFIDENCE) / 2
    low, high = (std * math.sqrt((n - 1) / float(chdtri(n - 1, p))) for p in (tail, 1 - tail))
    return low, high
