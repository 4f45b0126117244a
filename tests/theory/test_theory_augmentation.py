"""Augmentations without isotropy: sampled matrices, fixed points and the scalar system of arXiv 2102.06810, app. D."""

import numpy as np
from numpy.typing import NDArray

from sslrun.theory.augmentation import (
    additive_noise,
    eigenvector_solution,
    multiplicative_scrambling,
    scalar_flow,
    surviving_operator,
)
from sslrun.theory.linear import LinearProblem, linear_flow, simulate_linear

Array = NDArray[np.float64]
M = 5


def _covariance(seed: int) -> Array:
    A = np.random.default_rng(seed).normal(size=(M, M))
    return A @ A.T / M + 0.1 * np.eye(M)


def _basis(seed: int, k: int = 2) -> Array:
    return np.asarray(np.linalg.qr(np.random.default_rng(seed).normal(size=(M, k)))[0])


def test_scrambled_views_have_the_stated_matrices() -> None:
    """Sampled: the exact same-view matrix, where the data does not commute with the projector."""
    g = np.random.default_rng(0)
    data, U, count = _covariance(1), _basis(2), 400_000
    x = g.multivariate_normal(np.zeros(M), data, size=count)
    inside = x @ U

    def view() -> Array:
        scrambled = np.einsum("nij,nj->ni", g.normal(size=(count, 2, 2)), inside)
        return np.asarray(x + (scrambled - inside) @ U.T)

    first, second = view(), view()
    same, across = multiplicative_scrambling(data, U)
    np.testing.assert_allclose(first.T @ first / count, same, atol=0.02)
    np.testing.assert_allclose(first.T @ second / count, across, atol=0.02)
    assert np.abs(same - data).max() > 0.1  # the paper's form is not the exact one here


def test_scrambling_leaves_the_complement_without_any_commuting() -> None:
    data, U = _covariance(3), _basis(4)
    projector = np.eye(M) - U @ U.T
    assert np.abs(projector @ data - data @ projector).max() > 0.05
    np.testing.assert_allclose(surviving_operator(*multiplicative_scrambling(data, U)), projector, atol=1e-10)


def test_noisy_directions_are_attenuated_whatever_their_variance() -> None:
    data, noise = np.diag([9.0, 1.0, 1.0, 1.0, 0.1]), np.diag([0.0, 0.0, 1.0, 9.0, 0.0])
    operator = surviving_operator(*additive_noise(data, noise))
    np.testing.assert_allclose(operator, np.diag([1, 1, 0.5, 0.1, 1]), atol=1e-12)


def test_left_eigenvectors_are_fixed_points_and_so_are_their_images() -> None:
    data, noise = _covariance(5), _covariance(6)
    same, across = additive_noise(data, noise)
    W, W_p = eigenvector_solution(same, across, rank=3)
    operator = across @ np.linalg.inv(same)
    np.testing.assert_allclose(W @ operator, W_p @ W, atol=1e-10)
    values = np.sort(np.linalg.eigvals(operator).real)[::-1]
    np.testing.assert_allclose(np.diag(W_p), values[:3], atol=1e-10)
    S = np.random.default_rng(7).normal(size=(3, 3))
    problem = LinearProblem(X_MM=across, X_prime_MM=same - across, beta=0.3)
    for w, w_p in ((W, W_p), (S @ W, S @ W_p @ np.linalg.inv(S))):
        for derivative in linear_flow(problem, w, w_p, w):
            np.testing.assert_allclose(derivative, 0, atol=1e-9)


def test_without_predictor_only_eigenvalue_one_survives() -> None:
    U = _basis(8)
    same, across = multiplicative_scrambling(_covariance(9), U)
    W = np.random.default_rng(10).normal(size=(3, M))
    problem = LinearProblem(X_MM=across, X_prime_MM=same - across, predictor=False)
    end = simulate_linear(problem, W, np.eye(3), 400.0).W_TDM
    np.testing.assert_allclose(end, W @ (np.eye(M) - U @ U.T), atol=1e-8)
    noisy = LinearProblem(X_MM=np.eye(M), X_prime_MM=0.1 * np.eye(M), predictor=False)
    np.testing.assert_allclose(simulate_linear(noisy, W, np.eye(3), 400.0).W_TDM, 0, atol=1e-8)


def test_scalar_system_is_the_flow_of_one_mode() -> None:
    same, across, alpha_p, beta = 1.3, 0.6, 2.0, 0.4
    w, w_p, w_a = np.random.default_rng(11).normal(size=3)
    problem = LinearProblem(X_MM=np.eye(1) * across, X_prime_MM=np.eye(1) * (same - across), alpha_p=alpha_p, beta=beta)
    exact = linear_flow(problem, *(np.full((1, 1), v) for v in (w, w_p, w_a)))
    found = scalar_flow(w, w_p, w_a, same=same, across=across, alpha_p=alpha_p, beta=beta)
    np.testing.assert_allclose([float(v[0, 0]) for v in exact], found, atol=1e-12)


def test_scalar_system_on_its_invariant_line_rests_at_the_ratio() -> None:
    """w = w_p stays so for alpha_p = 1; the origin is unstable there and w = w_a = across / same stable."""
    same, across, constants = 1.0, 0.5, {"alpha_p": 1.0, "beta": 1.0}
    dw, dw_p, _ = scalar_flow(np.array(0.3), np.array(0.3), np.array(0.9), same=same, across=across, **constants)
    assert dw == dw_p
    problem = LinearProblem(X_MM=np.full((1, 1), across), X_prime_MM=np.full((1, 1), same - across), beta=1.0)
    for tiny in (1e-3, 2.0):
        start = np.full((1, 1), tiny)
        course = simulate_linear(problem, start, start, 6000.0, W_a_DM=start)
        np.testing.assert_allclose([float(w) for w in np.ravel(course)], across / same, atol=1e-8)
    alone = LinearProblem(
        X_MM=np.full((1, 1), across), X_prime_MM=np.full((1, 1), same - across), beta=1.0, predictor=False
    )
    end = simulate_linear(alone, np.ones((1, 1)), np.ones((1, 1)), 100.0, W_a_DM=np.ones((1, 1)))
    np.testing.assert_allclose(end.W_TDM, 0, atol=1e-8)
