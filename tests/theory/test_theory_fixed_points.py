"""Fixed points of one mode: reference values, thresholds, stability (arXiv 2102.06810)."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sslrun.errors import InputError
from sslrun.theory.dynamics import simulate
from sslrun.theory.fixed_points import Stability, critical_decay, fixed_points, stability


@pytest.mark.parametrize(
    ("sigma2", "eta", "critical", "points"),
    [
        (0.0009, 0.01, 0.249775, (0.010102, 0.988999)),
        (0.0009, 0.04, 0.249775, (0.041744, 0.957357)),
        (0.09, 0.04, 0.229358, (0.041915, 0.875516)),
        (0.2, 0.04, 0.208333, (0.042130, 0.791203)),
        (0.2, 0.1, 0.208333, (0.116204, 0.717129)),
        (0.2, 0.2, 0.208333, (0.333333, 0.500000)),
        (0.0009, 1.0, 0.249775, None),
    ],
)
def test_reference_values(sigma2: float, eta: float, critical: float, points: tuple[float, float] | None) -> None:
    assert critical_decay(1.0, sigma2) == pytest.approx(critical, abs=5.1e-7)
    found = fixed_points(1.0, eta, sigma2)
    if points is None:
        assert found is None
    else:
        assert found == pytest.approx(points, abs=5.1e-7)


@given(tau=st.floats(0.01, 3), share=st.floats(1e-9, 0.999), sigma2=st.floats(0, 5))
def test_both_points_solve_the_quadratic_even_for_tiny_decay(tau: float, share: float, sigma2: float) -> None:
    eta = share * critical_decay(tau, sigma2)
    points = fixed_points(tau, eta, sigma2)
    assert points is not None
    assert 0 < points[0] < points[1]
    for p in points:
        assert p * (tau - (1 + sigma2) * p) == pytest.approx(eta, rel=1e-6)
    assert stability(points[0], tau, eta, sigma2) == Stability.UNSTABLE
    assert stability(points[1], tau, eta, sigma2) == Stability.STABLE
    assert stability(0.0, tau, eta, sigma2) == Stability.STABLE


@given(tau=st.floats(0.1, 3), sigma2=st.floats(0, 5))
def test_at_the_critical_decay_both_points_meet(tau: float, sigma2: float) -> None:
    for eta in (critical_decay(tau, sigma2), 0.25 * tau * tau / (1 + sigma2)):
        points = fixed_points(tau, eta, sigma2)
        assert points is not None and points == pytest.approx([tau / (2 * (1 + sigma2))] * 2, rel=1e-7)
        assert stability(points[0], tau, eta, sigma2) == Stability.SADDLE
    assert fixed_points(tau, 1.0001 * critical_decay(tau, sigma2), sigma2) is None


def test_threshold_grows_with_decay_and_shrinks_with_tau() -> None:
    by_decay = [fixed_points(1.0, eta, 0.1) for eta in (0.01, 0.05, 0.2)]
    by_tau = [fixed_points(tau, 0.04, 0.1) for tau in (0.6, 0.8, 1.0)]
    assert [p[0] for p in by_decay if p] == sorted(p[0] for p in by_decay if p)
    assert [p[0] for p in by_tau if p] == sorted((p[0] for p in by_tau if p), reverse=True)


def test_without_decay_zero_is_a_saddle_and_the_goal_is_stable() -> None:
    assert fixed_points(0.8, 0.0, 0.25) == pytest.approx((0.0, 0.64))
    assert stability(0.0, 0.8, 0.0, 0.25) == Stability.SADDLE
    assert stability(0.64, 0.8, 0.0, 0.25) == Stability.STABLE


def test_simulated_modes_end_at_the_fixed_points() -> None:
    tau, eta, sigma2 = 0.9, 0.06, 0.2
    points = fixed_points(tau, eta, sigma2)
    assert points is not None
    starts = np.array([0.2, 0.9, 1.1, 3.0, 10.0]) * points[0]
    ends = simulate(starts, starts**2, tau, 1.0, eta, None, sigma2, 1000.0)[0]
    for start, end in zip(starts, ends, strict=True):
        assert end == pytest.approx(points[1] if start > points[0] else 0.0, abs=1e-8)


def test_what_is_no_fixed_point_or_number_is_refused() -> None:
    with pytest.raises(InputError, match="not a fixed point"):
        stability(0.5, 1.0, 0.04, 0.0)
    for wrong in ((-1.0, 0.1, 0.1), (1.0, -0.1, 0.1), (1.0, 0.1, math.nan)):
        with pytest.raises(InputError):
            fixed_points(*wrong)
