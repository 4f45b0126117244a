"""Eigenspace alignment: Theorem 3 of arXiv 2102.06810, and why the predictor becomes symmetric at all."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sslrun.theory.alignment import (
    commutator,
    predictor_flow,
    simulate_predictor,
    simulate_symmetric,
    symmetric_flow,
)
from sslrun.theory.linear import LinearProblem, linear_flow

Array = NDArray[np.float64]
D = 5


def _symmetric_pair(seed: int, size: float = 1.0) -> tuple[Array, Array]:
    A, B = np.random.default_rng(seed).normal(size=(2, D, D))
    return size * (A + A.T) / 4, size**2 * B @ B.T / D


def commutator_matrix(W_p: Array, F: Array, tau: float, alpha_p: float, eta: float, sigma2: float) -> Array:
    """K of Theorem 3: d[F, W_p]/dt = -[F, W_p] K - K [F, W_p]."""
    bracket = 0.5 * alpha_p * F + W_p @ W_p - tau / (1 + sigma2) * W_p
    return np.asarray((1 + sigma2) * bracket + 1.5 * eta * np.eye(len(F)))


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    tau=st.floats(0, 2),
    alpha_p=st.floats(0.1, 5),
    eta=st.floats(0, 0.5),
    sigma2=st.floats(0, 1),
)
def test_claim_4_commutator_moves_as_its_matrix_says(
    seed: int, tau: float, alpha_p: float, eta: float, sigma2: float
) -> None:
    W_p, F = _symmetric_pair(seed)
    dW_p, dF = symmetric_flow(W_p, F, tau, alpha_p, eta, sigma2)
    K = commutator_matrix(W_p, F, tau, alpha_p, eta, sigma2)
    C = F @ W_p - W_p @ F
    moved = dF @ W_p - W_p @ dF + F @ dW_p - dW_p @ F
    scale = max(1.0, float(np.abs(moved).max()))
    np.testing.assert_allclose(moved, -C @ K - K @ C, atol=1e-12 * scale)


def test_symmetric_flow_is_the_exact_flow_of_a_proportional_target() -> None:
    """F = W W^T under X = I, X' = sigma2 I, W_a = tau W; the predictor's flow is symmetrised on the way."""
    tau, alpha_p, eta, sigma2 = 0.7, 2.0, 0.03, 0.2
    W_p, _ = _symmetric_pair(1)
    W = np.random.default_rng(2).normal(size=(D, D))
    problem = LinearProblem(X_MM=np.eye(D), X_prime_MM=sigma2 * np.eye(D), alpha_p=alpha_p, eta=eta, beta=1.0)
    dW, exact, _ = linear_flow(problem, W, W_p, tau * W)
    dW_p, dF = symmetric_flow(W_p, W @ W.T, tau, alpha_p, eta, sigma2)
    np.testing.assert_allclose(dW_p, (exact + exact.T) / 2, atol=1e-12)
    np.testing.assert_allclose(dF, dW @ W.T + W @ dW.T, atol=1e-12)
    np.testing.assert_allclose(predictor_flow(W_p, W @ W.T, tau, alpha_p, eta, sigma2), exact, atol=1e-12)


def test_claim_4_commutator_decays_where_its_matrix_is_positive() -> None:
    tau, alpha_p, eta, sigma2 = 0.5, 1.0, 0.2, 0.1
    W_p, F = _symmetric_pair(3)
    times = np.linspace(0, 15, 1501)
    courses = simulate_symmetric(W_p, F, times, tau=tau, alpha_p=alpha_p, eta=eta, sigma2=sigma2)
    lowest = min(
        np.linalg.eigvalsh(commutator_matrix(w, f, tau, alpha_p, eta, sigma2))[0] for w, f in zip(*courses, strict=True)
    )
    assert lowest > 0
    size = np.linalg.norm(commutator(courses[1], courses[0]), axis=(1, 2))
    assert size[0] > 0.01
    assert np.all(size <= size[0] * np.exp(-2 * lowest * times) * (1 + 1e-6) + 1e-9)


@pytest.mark.parametrize(
    ("tau", "eta", "grows"), [(1.0, 0.001, True), (0.3, 0.001, True), (1.0, 0.1, False), (0.3, 0.05, False)]
)
def test_claim_4_commutator_can_grow_for_small_decay_and_large_tau(tau: float, eta: float, grows: bool) -> None:
    A, B = np.random.default_rng(4).normal(size=(2, D, D))
    W_p = 0.01 * B @ B.T
    F = W_p @ W_p + 1e-4 * A @ A.T
    courses = simulate_symmetric(W_p, F, np.linspace(0, 40, 161), tau=tau, alpha_p=1.0, eta=eta, sigma2=0.0009)
    size = np.linalg.norm(commutator(courses[1], courses[0]), axis=(1, 2))
    assert (size.max() > 1.2 * size[0]) == grows


@pytest.mark.parametrize("rank", [D, 2])
def test_claim_5_skew_part_of_the_predictor_dies(rank: int) -> None:
    tau, alpha_p, eta, sigma2 = 0.8, 1.5, 0.1, 0.3
    g = np.random.default_rng(5)
    B = g.normal(size=(D, rank))
    F, start = B @ B.T / D, g.normal(size=(D, D))
    end = simulate_predictor(start, 300.0, F_DD=F, tau=tau, alpha_p=alpha_p, eta=eta, sigma2=sigma2)
    values, vectors = np.linalg.eigh(F)
    rest = vectors @ np.diag(tau * values / ((1 + sigma2) * values + eta / alpha_p)) @ vectors.T
    np.testing.assert_allclose(end, rest, atol=1e-9)
    assert np.linalg.norm(start - start.T) > 1


@pytest.mark.parametrize("eta", [0.001, 0.01, 0.05])
@pytest.mark.parametrize("tau", [0.1, 1.0])
def test_claim_5_skew_part_dies_where_features_follow_the_predictor(eta: float, tau: float) -> None:
    start = 0.1 * np.random.default_rng(6).normal(size=(4, 4)) + 0.3 * np.eye(4)
    end = simulate_predictor(start, 10 / eta, tau=tau, alpha_p=1.0, eta=eta, sigma2=0.0009, tolerance=1e-8)
    assert np.linalg.norm(end - end.T) < 1e-3 * np.linalg.norm(start - start.T)
    collapsed = np.linalg.norm(end) < 1e-3
    assert collapsed == (eta > tau**2 / (4 * 1.0009))


def test_without_decay_a_predictor_need_not_become_symmetric() -> None:
    """On the null space of F nothing moves it: so claim 5 needs decay."""
    F = np.diag([1.0, 0.5, 0.0, 0.0])
    start = np.random.default_rng(7).normal(size=(4, 4))
    end = simulate_predictor(start, 200.0, F_DD=F, tau=1.0, alpha_p=1.0, eta=0.0, sigma2=0.1)
    np.testing.assert_allclose(predictor_flow(end, F, 1.0, 1.0, 0.0, 0.1), 0, atol=1e-9)
    assert np.linalg.norm(end - end.T) > 0.1
