"""Outcomes over settings, and their plain sentences, against simulation and the exact statements."""

import math
from typing import Any

import numpy as np
import pytest

from sslrun.errors import InputError
from sslrun.theory.dynamics import simulate
from sslrun.theory.fixed_points import fixed_points
from sslrun.theory.forecast import describe_mode
from sslrun.theory.phase import Outcome, phase_map


def test_frozen_tau_map_has_the_threshold_as_its_edge() -> None:
    p0, eta = np.linspace(0.013, 0.97, 20), np.linspace(0.011, 0.3, 12)
    found = phase_map(p0, eta=eta[:, None], sigma2=0.1)
    assert found.shape == (12, 20)
    for row, decay in zip(found, eta, strict=True):
        points = fixed_points(1.0, float(decay), 0.1)
        useful = np.zeros(20, bool) if points is None else p0 > points[0]
        np.testing.assert_array_equal(row != Outcome.COLLAPSE, useful)


def test_small_ema_rates_trap_more_modes_and_keep_alignment() -> None:
    p0 = np.linspace(0.02, 0.5, 25)
    found = phase_map(p0, eta=0.04, beta=np.array([[2.0], [0.4], [0.02]]), tau0=0.0)
    collapsed = (found == Outcome.COLLAPSE).sum(axis=1)
    unstable = (found == Outcome.UNSTABLE).sum(axis=1)
    assert collapsed[2] > collapsed[1] >= collapsed[0]
    assert unstable[0] > unstable[1] > unstable[2]


def test_without_decay_the_exact_fate_is_the_simulated_one() -> None:
    g = np.random.default_rng(0)
    p0, s0, alpha_p = g.uniform(-1.5, 1.5, 400), g.uniform(0.01, 1.5, 400), g.uniform(0.3, 3, 400)
    sigma2, tau = g.uniform(0, 0.5, 400), g.uniform(0.3, 1.2, 400)
    collapsed = phase_map(p0, eta=0.0, s0=s0, tau0=tau, alpha_p=alpha_p, sigma2=sigma2) == Outcome.COLLAPSE
    p, s, _ = simulate(p0, s0, tau, alpha_p, 0.0, None, sigma2, 3000.0)
    assert 50 < collapsed.sum() < 350
    assert np.all(s[collapsed] < 0.02)  # near the edge it creeps
    arrived = np.abs(p - tau / (1 + sigma2)) < 0.02
    assert np.all((s[~collapsed] > 1e-6) & (arrived | (s < 0.02))[~collapsed])
    assert not np.any(collapsed[s0 > p0**2 / alpha_p])  # enough to escape


def test_decay_on_the_predictor_only_never_collapses() -> None:
    p0 = np.array([-0.3, 0.0, 0.01, 0.2, 1.5])
    found = phase_map(p0, eta=0.0, eta_p=0.2, s0=0.05)
    assert np.all(found != Outcome.COLLAPSE)
    _, s, _ = simulate(p0, 0.05, 1.0, 1.0, 0.0, None, 0.0009, 500.0, eta_p=0.2)
    assert np.all(s > 1)


@pytest.mark.parametrize(
    ("mode", "outcome", "words"),
    [
        ({"p0": 0.03, "eta": 0.04}, Outcome.COLLAPSE, "below the threshold p- = 0.0417441"),
        ({"p0": 0.5, "eta": 0.3}, Outcome.COLLAPSE, "beyond the critical 0.249775"),
        ({"p0": 0.2, "eta": 0.04}, Outcome.UNSTABLE, "ends at p+ = 0.957357, s = 0.916532"),
        ({"p0": 0.2, "eta": 0.1, "beta": 0.4, "tau0": 0.0}, Outcome.USEFUL, "starts above the threshold"),
        ({"p0": 0.05, "eta": 0.04, "beta": 0.1, "tau0": 0.0}, Outcome.COLLAPSE, "tau starts at 0"),
        ({"p0": 0.3, "s0": 1e-6, "eta": 0.04}, Outcome.COLLAPSE, "p shrinks under the threshold"),
        ({"p0": 0.01, "s0": 1.0, "eta": 0.04}, Outcome.USEFUL, "pulls the predictor over it"),
        ({"p0": 1.5, "s0": 0.1, "eta": 0.0}, Outcome.COLLAPSE, "s reaches zero"),
        ({"p0": 0.1, "s0": 0.2, "eta": 0.0}, Outcome.UNSTABLE, "still depends on where it started"),
        ({"p0": 0.3, "eta": 0.0, "eta_p": 0.04}, Outcome.UNSTABLE, "on the predictor only"),
        ({"p0": 0.3, "s0": 0.0, "eta": 0.01}, Outcome.COLLAPSE, "nothing to grow from"),
    ],
)
def test_sentences_say_what_happens_and_why(mode: dict[str, Any], outcome: Outcome, words: str) -> None:
    forecast = describe_mode(**mode)
    assert forecast.numbers["outcome"] == outcome.name.lower()
    assert words in forecast.lines[0]
    head = "Collapse" if outcome == Outcome.COLLAPSE else "Useful"
    assert forecast.lines[0].startswith(head)
    assert ("stable throughout" in forecast.lines[1]) == (forecast.numbers["min_kappa"] > 0)


def test_forecast_has_the_numbers_of_the_course() -> None:
    forecast = describe_mode(0.2, eta=0.04, tau0=0.0, beta=0.4, run_time=10.0)
    assert forecast.numbers["threshold"] == pytest.approx(0.041744, abs=1e-6)
    assert forecast.numbers["useful_p"] == pytest.approx(0.957357, abs=1e-6)
    assert forecast.numbers["useful_s"] == pytest.approx(0.91653, abs=1e-5)
    assert forecast.numbers["critical_decay"] == pytest.approx(0.249775, abs=1e-6)
    assert forecast.numbers["t90"] == pytest.approx(22.5, abs=0.05)
    assert forecast.numbers["min_kappa"] == pytest.approx(-0.04471, abs=5e-6)
    assert "t = 10: p = 0.395, s = 0.1561, tau = 0.7839" in forecast.lines[2]


def test_separate_decays_change_the_features_size_not_the_predictors() -> None:
    forecast = describe_mode(0.5, eta=0.02, eta_p=0.08)
    p, s, _ = simulate(0.5, 0.25, 1.0, 1.0, 0.02, None, 0.0009, 2000.0, eta_p=0.08)
    assert forecast.numbers["useful_p"] == pytest.approx(float(p), abs=1e-8)
    assert forecast.numbers["useful_s"] == pytest.approx(float(s), abs=1e-7)


@pytest.mark.parametrize(
    ("p0", "rates", "lives"),
    [
        (0.10, {"alpha_p": 10.0, "eta": 0.04, "eta_p": 0.4}, False),  # though above p-, on s = p²/alpha_p
        (0.12, {"alpha_p": 10.0, "eta": 0.04, "eta_p": 0.4}, True),
        (0.02, {"alpha_p": 0.1, "eta": 0.04, "eta_p": 0.004}, False),
        (0.03, {"alpha_p": 0.1, "eta": 0.04, "eta_p": 0.004}, True),  # though below p-
    ],
)
def test_of_unequal_decays_no_threshold_is_claimed(p0: float, rates: dict[str, float], lives: bool) -> None:
    """The starts' fates are those of an integration of the flow elsewhere (fourth-order Runge-Kutta)."""
    forecast = describe_mode(p0, **rates)
    p, _, _ = simulate(
        p0, p0**2 / rates["alpha_p"], 1.0, rates["alpha_p"], 0.04, None, 0.0009, 5000.0, eta_p=rates["eta_p"]
    )
    assert (float(p) > 0.1) == lives == (forecast.numbers["outcome"] != "collapse")
    assert "no threshold has a closed form" in forecast.lines[0] and "starts above" not in forecast.lines[0]
    p_minus = (1 - math.sqrt(1 - 4 * 0.04 * 1.0009)) / (2 * 1.0009)
    s_minus = rates["eta_p"] / 0.04 * p_minus**2 / rates["alpha_p"]
    assert f"at p- = {p_minus:.6g}, s- = {s_minus:.4g}" in forecast.lines[0]


def test_decays_that_differ_by_rounding_alone_are_equal() -> None:
    forecast = describe_mode(0.2, eta=0.04, eta_p=0.1 * 0.4, alpha_p=1.0)
    assert 0.1 * 0.4 != 0.04 and "starts above the threshold" in forecast.lines[0]


def test_a_target_that_never_moves_is_refused() -> None:
    with pytest.raises(InputError, match="beta"):
        phase_map(0.1, eta=0.1, beta=0.0)
    with pytest.raises(InputError, match="tau0"):
        describe_mode(0.1, eta=0.1, tau0=-1.0)
