"""One mode alone: reference courses, exact integrals, and what each factor does (arXiv 2102.06810)."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sslrun.errors import InputError
from sslrun.theory.dynamics import Modes, flow, growth, kappa, offset, simulate
from sslrun.theory.fixed_points import fixed_points
from sslrun.theory.linear import LinearProblem, simulate_linear

Array = NDArray[np.float64]
SIGMA2 = 0.0009
ONE = (0.95736, 0.91653, 1.0)

# Reference courses, computed apart from this code by RK4 with step 0.005: start (p, s, tau), (alpha_p, eta, beta),
# then (p, s, tau) at t = 10, 30, 400, the smallest kappa over [0, 400], and when p has 90 % of its final value.
REFERENCE: dict[str, tuple[Any, ...]] = {
    "no EMA, below threshold": (
        (0.03, 0.0009, 1), (1, 0.04, None),
        (0.02647, 0.00070, 1), (0.01847, 0.00034, 1), (0, 0, 1), 0.03135, None,
    ),
    "no EMA, above threshold": (
        (0.05, 0.0025, 1), (1, 0.04, None),
        (0.05500, 0.00302, 1), (0.08477, 0.00719, 1), ONE, -0.10652, 51.6,
    ),
    "no EMA": ((0.2, 0.04, 1), (1, 0.04, None), (0.91767, 0.84212, 1), ONE, ONE, -0.10652, 8.85),
    "EMA": (
        (0.2, 0.04, 0), (1, 0.04, 0.4),
        (0.39504, 0.15606, 0.78391), (0.93019, 0.86526, 0.97933), ONE, -0.04471, 22.5,
    ),
    "slow EMA": (
        (0.2, 0.04, 0), (1, 0.04, 0.1),
        (0.18808, 0.03537, 0.59490), (0.52474, 0.27536, 0.67042), ONE, -0.00688, 63.3,
    ),
    "EMA, more decay": (
        (0.2, 0.04, 0), (1, 0.1, 0.4),
        (0.20277, 0.04111, 0.91013), (0.70020, 0.49028, 0.89417), (0.88638, 0.78568, 1), 0.02215, 35.3,
    ),
    "EMA, too much decay": (
        (0.2, 0.04, 0), (1, 0.2, 0.4),
        (0.05793, 0.00336, 1.3234), (0.00181, 0, 1.8993), (0, 0, 2.0), 0.20760, None,
    ),
    "no decay": (
        (0.1, 0.2, 1), (1, 0, None),
        (0.99897, 1.18795, 1), (0.99910, 1.18820, 1), (0.99910, 1.18820, 1), -0.07143, 4.25,
    ),
    "fast predictor": (
        (0.2, 0.04, 1), (4, 0.04, None),
        (0.95903, 0.24342, 1), (0.95792, 0.23212, 1), (0.95736, 0.22913, 1), -0.05150, 4.91,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFERENCE)
def test_reference_courses_to_the_printed_digits(case: str) -> None:
    start, constants, at_10, at_30, at_400, lowest, t90 = REFERENCE[case]
    times = np.linspace(0, 400, 40001)
    p, s, tau = simulate(*start, *constants, SIGMA2, times)
    for index, expected in ((1000, at_10), (3000, at_30), (40000, at_400)):
        digits = 5e-5 if case == "EMA, too much decay" else 5e-6
        np.testing.assert_allclose([p[index], s[index]], expected[:2], atol=5.1e-6)
        np.testing.assert_allclose(tau[index], expected[2], atol=1.02 * digits)
    signal = kappa(p, s, tau, *constants[:2], SIGMA2)
    assert signal.min() == pytest.approx(lowest, abs=5.1e-6)
    assert float(Modes(*start, *constants, SIGMA2).follow(400.0).min_kappa) == pytest.approx(lowest, abs=5.1e-6)
    if t90 is not None:
        # Three digits are printed; the reference steps by 0.005.
        reached = times[np.argmax(p >= 0.9 * p[-1])]
        assert reached == pytest.approx(t90, abs=0.05 if t90 > 10 else 0.0151)


def test_simulation_agrees_with_plain_runge_kutta() -> None:
    constants = (1.7, 0.03, 0.3, 0.2)
    y: list[Any] = [np.float64(0.15), np.float64(0.3), np.float64(0.4)]
    step = 0.002
    for _ in range(5000):
        a = flow(*y, *constants)
        b = flow(*(v + step / 2 * d for v, d in zip(y, a, strict=True)), *constants)
        c = flow(*(v + step / 2 * d for v, d in zip(y, b, strict=True)), *constants)
        d = flow(*(v + step * d for v, d in zip(y, c, strict=True)), *constants)
        y = [v + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4) for v, k1, k2, k3, k4 in zip(y, a, b, c, d, strict=True)]
    np.testing.assert_allclose(simulate(0.15, 0.3, 0.4, *constants, 10.0), y, atol=1e-9)


def test_a_scalar_network_is_one_mode() -> None:
    """s = w^2, p = w_p, tau = w_a / w of the exact flow with one input and one output."""
    w, w_p, w_a = 0.6, 0.3, 0.2
    alpha_p, eta, beta, sigma2 = 1.5, 0.05, 0.4, 0.1
    problem = LinearProblem(X_MM=np.eye(1), X_prime_MM=sigma2 * np.eye(1), alpha_p=alpha_p, eta=eta, beta=beta)
    times = np.linspace(0, 40, 21)
    W, W_p, W_a = simulate_linear(problem, np.array([[w]]), np.array([[w_p]]), times, W_a_DM=np.array([[w_a]]))
    p, s, tau = simulate(w_p, w**2, w_a / w, alpha_p, eta, beta, sigma2, times)
    np.testing.assert_allclose(p, W_p[:, 0, 0], atol=1e-9)
    np.testing.assert_allclose(s, W[:, 0, 0] ** 2, atol=1e-9)
    np.testing.assert_allclose(tau, W_a[:, 0, 0] / W[:, 0, 0], atol=1e-8)


def test_separate_decays_follow_the_exact_flow_too() -> None:
    problem = LinearProblem(X_MM=np.eye(1), X_prime_MM=np.zeros((1, 1)), eta=0.01, eta_p=0.2)
    course = simulate_linear(problem, np.array([[0.5]]), np.array([[0.4]]), [5.0, 20.0])
    p, s, _ = simulate(0.4, 0.25, 1.0, 1.0, 0.01, None, 0.0, [5.0, 20.0], eta_p=0.2)
    np.testing.assert_allclose(p, course.W_p_TDD[:, 0, 0], atol=1e-9)
    np.testing.assert_allclose(s, course.W_TDM[:, 0, 0] ** 2, atol=1e-9)


def test_kappa_is_the_eigenvalue_of_the_commutator_matrix() -> None:
    p, s = np.array([0.1, 0.7, 1.2]), np.array([0.5, 0.02, 1.4])
    W_p, F, tau, alpha_p, eta, sigma2 = np.diag(p), np.diag(s), 0.9, 2.0, 0.03, 0.15
    K = (1 + sigma2) * (alpha_p * F / 2 + W_p @ W_p) - tau * W_p + 1.5 * eta * np.eye(3)
    np.testing.assert_allclose(kappa(p, s, 0.9, 2.0, 0.03, 0.15), np.diag(K), atol=1e-14)


@settings(max_examples=100, deadline=None)
@given(
    p=st.floats(0.01, 1.5), s=st.floats(0.01, 2), tau=st.floats(0, 2), alpha_p=st.floats(0.1, 5),
    eta=st.floats(0, 0.5), sigma2=st.floats(0, 1),
)  # fmt: skip
def test_alignment_bounds_how_fast_a_mode_may_grow(
    p: float, s: float, tau: float, alpha_p: float, eta: float, sigma2: float
) -> None:
    """kappa > 0 exactly where Delta < [alpha_p (1 + sigma2) s + eta] / 2."""
    gap = 0.5 * (alpha_p * (1 + sigma2) * s + eta) - growth(p, tau, eta, sigma2)
    assert kappa(p, s, tau, alpha_p, eta, sigma2) == pytest.approx(float(gap), abs=1e-12)
    on_parabola = [float(kappa(p, p**2 / a, tau, a, eta, sigma2)) for a in (1.0, 7.0)]
    assert on_parabola[0] == pytest.approx(on_parabola[1], abs=1e-12)


@pytest.mark.parametrize("beta", [None, 0.3])
def test_offset_from_the_parabola_decays_exactly(beta: float | None) -> None:
    times = np.linspace(0, 60, 13)
    p, s, _ = simulate(0.3, 0.9, 0.4, 1.6, 0.02, beta, 0.1, times)
    expected = np.exp(-2 * 0.02 * times) * offset(0.3, 0.9, 1.6)
    np.testing.assert_allclose(offset(p, s, 1.6), expected, atol=1e-9)


def test_tau_on_the_parabola_is_the_integral_over_p() -> None:
    beta, times = 0.4, np.linspace(0, 30, 60001)
    p, _, tau = simulate(0.2, 0.04, 0.0, 1.0, 0.04, beta, SIGMA2, times)
    weighted = p * np.exp(beta * times)
    integral = np.concatenate([[0.0], np.cumsum((weighted[1:] + weighted[:-1]) / 2) * (times[1] - times[0])])
    np.testing.assert_allclose(tau, beta * np.exp(-beta * times) / p * integral, atol=1e-7)


@pytest.mark.parametrize("side", [-1, 1])
def test_claim_6_threshold_parts_collapse_from_use(side: int) -> None:
    p_minus, p_plus = 0.041915, 0.875516
    start = p_minus * (1 + 0.02 * side)
    p, s, _ = simulate(start, start**2, 1.0, 1.0, 0.04, None, 0.09, 2000.0)
    end = p_plus if side > 0 else 0.0
    assert p == pytest.approx(end, abs=1e-6)
    assert s == pytest.approx(end**2, abs=2e-6)


@pytest.mark.parametrize("start", [0.1, 0.5, 2.0])
def test_claim_6_beyond_critical_decay_every_start_collapses(start: float) -> None:
    eta = 1.02 / (4 * 1.09)
    p, s, _ = simulate(start, start**2, 1.0, 1.0, eta, None, 0.09, 1500.0)
    assert abs(p) < 1e-9 and s < 1e-9


@pytest.mark.parametrize(("alpha_p", "tau"), [(1.0, 1.0), (3.0, 0.6)])
def test_claim_7_without_decay_the_offset_stays_and_p_finds_its_goal(alpha_p: float, tau: float) -> None:
    times = np.linspace(0, 400, 9)
    p, s, _ = simulate(0.1, 0.2, tau, alpha_p, 0.0, None, 0.3, times)
    np.testing.assert_allclose(s - p**2 / alpha_p, 0.2 - 0.01 / alpha_p, atol=1e-9)
    assert p[-1] == pytest.approx(tau / 1.3, abs=1e-9)


def test_claim_8_smaller_beta_raises_kappa_and_slows_training() -> None:
    times = np.linspace(0, 400, 8001)
    p, s, tau = simulate(0.2, 0.04, 0.0, 1.0, 0.04, np.array([2.0, 0.4, 0.1]), SIGMA2, times)
    lowest = kappa(p, s, tau, 1.0, 0.04, SIGMA2).min(axis=0)
    arrival = np.argmax(p >= 0.9 * p[-1], axis=0)
    assert np.all(np.diff(lowest) > 0) and np.all(np.diff(arrival) > 0)


def test_claim_8_larger_decay_raises_kappa_and_lowers_the_end() -> None:
    times, etas = np.linspace(0, 600, 6001), np.array([0.0, 0.02, 0.04, 0.1])
    p, s, tau = simulate(0.2, 0.04, 0.0, 1.0, etas, 0.4, SIGMA2, times)
    lowest = kappa(p, s, tau, 1.0, etas, SIGMA2).min(axis=0)
    assert np.all(np.diff(lowest) > 0) and np.all(np.diff(p[-1]) < 0)
    for eta, end in zip(etas[1:], p[-1, 1:], strict=True):
        points = fixed_points(1.0, float(eta), SIGMA2)
        assert points is not None and end == pytest.approx(points[1], abs=1e-8)


def test_claim_9_faster_predictor_leaves_smaller_features() -> None:
    rates = np.array([0.5, 1.0, 2.0, 8.0])
    p, s, _ = simulate(0.3, 0.2, 1.0, rates, 0.04, None, SIGMA2, 900.0)
    np.testing.assert_allclose(s, p**2 / rates, atol=1e-8)
    np.testing.assert_allclose(p, p[0], atol=1e-8)
    _, undecayed, _ = simulate(0.3, 0.2, 1.0, 1e4, 0.0, None, SIGMA2, 100.0)
    assert undecayed == pytest.approx(0.2, abs=1e-3)


def test_decay_on_the_predictor_holds_alignment_up_without_ema() -> None:
    """p then grows more slowly than s (arXiv 2102.06810, on separate weight decays)."""
    times = np.linspace(0, 200, 4001)
    lowest = []
    for eta_p in (0.0, 0.3):
        p, s, tau = simulate(0.1, 0.01, 1.0, 1.0, 0.0, None, SIGMA2, times, eta_p=eta_p)
        lowest.append(kappa(p, s, tau, 1.0, 0.0, SIGMA2, eta_p).min())
    assert lowest[0] < 0 < lowest[1]


def test_modes_broadcast_and_times_come_back_as_asked() -> None:
    p0, eta = np.array([0.1, 0.5]), np.array([[0.0], [0.05], [0.3]])
    times = [3.0, 0.0, 1.0, 3.0]
    p, s, tau = simulate(p0, p0**2, 1, 1, eta, None, SIGMA2, times)
    assert p.shape == s.shape == tau.shape == (4, 3, 2) and p.dtype == np.float64
    np.testing.assert_array_equal(p[0], p[3])
    np.testing.assert_array_equal(p[1], np.broadcast_to(p0, (3, 2)))
    alone = simulate(0.5, 0.25, 1, 1, 0.05, None, SIGMA2, 3.0)
    np.testing.assert_allclose([p[0, 1, 1], s[0, 1, 1], tau[0, 1, 1]], alone, atol=1e-10)
    assert alone[0].shape == ()


def test_nothing_grows_from_nothing_and_nothing_goes_negative() -> None:
    p, s, _ = simulate([0.5, 0.5], [0.0, 1e-300], 1.0, 1.0, 0.3, None, 0.0, np.linspace(0, 3000, 50))
    assert np.all(s >= 0) and np.all(s[:, 0] == 0) and np.all(p > -1e-12)


def test_a_dying_modes_target_ratio_is_followed_far() -> None:
    """tau goes to beta / (beta - eta) for beta > eta, and grows as exp((eta - beta) t) for beta < eta."""
    p, s, tau = simulate(0.2, 0.04, 0.0, 1.0, 0.2, np.array([0.4, 0.1]), SIGMA2, [50.0, 80.0, 4000.0])
    assert np.all(p > -1e-12) and np.all(p[0] < 1e-3) and np.all(s[-1] < 1e-300)
    np.testing.assert_allclose(tau[2, 0], 2.0, atol=1e-9)
    assert tau[1, 1] / tau[0, 1] == pytest.approx(np.exp(0.1 * 30), rel=0.01)
    assert np.all(Modes(0.2, 0.04, 0.0, 1.0, 0.2, np.array([0.4, 0.1]), SIGMA2).follow(4000.0).p < 1e-9)


@pytest.mark.parametrize(
    "wrong",
    [{"s0": -0.1}, {"alpha_p": 0.0}, {"eta": -1.0}, {"beta": -0.1}, {"sigma2": np.nan}, {"times": [-1.0]},
     {"times": []}, {"p0": [1.0, 2.0], "s0": [1.0, 2.0, 3.0]}],
)  # fmt: skip
def test_numbers_without_meaning_are_refused(wrong: dict[str, Any]) -> None:
    right: dict[str, Any] = {
        "p0": 0.1, "s0": 0.1, "tau0": 1.0, "alpha_p": 1.0, "eta": 0.1, "beta": 0.4, "sigma2": 0.1, "times": [1.0]
    }  # fmt: skip
    with pytest.raises(InputError):
        simulate(**{**right, **wrong})


def test_a_ratio_that_runs_off_is_told() -> None:
    """With EMA and p < 0 the online weight may cross zero, where tau = w_a / w has no value."""
    with pytest.raises(InputError, match="infinity"):
        simulate(-0.5, 0.01, 10.0, 1.0, 0.0, 0.1, 0.0, 5.0)
    with pytest.raises(InputError, match="infinity"):
        Modes(-0.5, 0.01, 10.0, 1.0, 0.0, 0.1, 0.0).follow(5.0)
