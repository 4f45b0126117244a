"""Power as it is printed, against simulated studies and SciPy's noncentral t."""

import math

import numpy as np
import pytest
from scipy import stats

from sslrun.grids.power import MOST_SEEDS, POWER, detectable, foreseen, fresh_seeds, power, spread_bounds


@pytest.mark.parametrize("family", [1, 5])
@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_what_is_detectable_is_seen_in_eighty_per_cent_of_simulated_studies(n: int, family: int) -> None:
    """Families judged by Holm's method, one comparison with that effect and the others without any."""
    draw, studies = np.random.default_rng(n), 20_000
    pairs = draw.normal(0, 1, (studies, family, n))
    pairs[:, 0] += detectable(n, family)
    p = stats.ttest_1samp(pairs, 0, axis=2).pvalue
    rank = p.argsort(axis=1)
    ordered = np.take_along_axis(p, rank, axis=1) * (family - np.arange(family))
    holm = np.maximum.accumulate(ordered, axis=1)
    seen = holm[np.arange(studies), (rank == 0).argmax(axis=1)] <= 0.05
    assert seen.mean() == pytest.approx(POWER, abs=0.02)


@pytest.mark.parametrize("effect", [0.3, 1.0, 2.0])
@pytest.mark.parametrize(("n", "family"), [(4, 1), (8, 5), (30, 11)])
def test_power_is_that_of_the_noncentral_t(n: int, family: int, effect: float) -> None:
    bound, shift = stats.t.ppf(1 - 0.025 / family, n - 1), effect * math.sqrt(n)
    expected = stats.nct.sf(bound, n - 1, shift) + stats.nct.cdf(-bound, n - 1, shift)
    assert power(effect, n, family) == pytest.approx(expected, abs=1e-3)
    assert power(-effect, n, family) == pytest.approx(power(effect, n, family))


@pytest.mark.parametrize("effect", [0.4, -1.0, 3.0])
def test_so_many_fresh_seeds_see_it_and_one_fewer_does_not(effect: float) -> None:
    needed = fresh_seeds(effect, 3)
    assert needed is not None and power(effect, needed, 3) >= POWER
    assert needed == 2 or power(effect, needed - 1, 3) < POWER


def test_what_no_number_of_seeds_would_see_has_none() -> None:
    assert fresh_seeds(0.01) is None
    assert power(0.01, MOST_SEEDS) < POWER


def test_bounds_of_a_spread_are_those_of_chi_square() -> None:
    low, high = stats.chi2.ppf([0.025, 0.975], 4)
    assert spread_bounds(0.3, 5) == pytest.approx((0.3 * math.sqrt(4 / high), 0.3 * math.sqrt(4 / low)))


def test_what_a_study_can_see_is_said_before_it_runs() -> None:
    assert foreseen(4, 10) == (
        "4 comparisons, 10 seeds: "
        "80 % of studies would see a difference of 1.3 standard deviations of paired differences"
    )
    assert foreseen(1, 3).endswith(
        f"a difference of {detectable(3, 1):.1f} standard deviations of paired differences; with 10 "
        f"seeds, of {detectable(10, 1):.1f}"
    )
    assert "no difference can be shown" in foreseen(2, 1)
