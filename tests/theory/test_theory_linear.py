"""The exact linear flow against autograd over enumerated views, and Theorems 1 and 2 of arXiv 2102.06810."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from sslrun.errors import InputError
from sslrun.theory.linear import (
    LinearProblem,
    linear_flow,
    proportionality,
    simulate_linear,
)

Array = NDArray[np.float64]
D, M = 3, 4


def _weights(seed: int) -> tuple[Array, Array, Array]:
    g = np.random.default_rng(seed)
    return g.normal(size=(D, M)), g.normal(size=(D, D)), g.normal(size=(D, M))


def _views(seed: int, points: int = 6, views: int = 5) -> tuple[Array, Array, Array]:
    """A data set small enough to enumerate: every point has a few equally likely views. Returns it, X and X'."""
    g = np.random.default_rng(seed)
    x_NVM = g.normal(size=(points, 1, M)) + 0.7 * g.normal(size=(points, views, M))
    means = x_NVM.mean(axis=1)
    apart = x_NVM - means[:, None]
    X = means.T @ means / points
    return x_NVM, X, np.einsum("nvi,nvj->ij", apart, apart) / (points * views)


def balance_offset(W: Array, W_p: Array, alpha_p: float) -> Array:
    """W W^T - W_p^T W_p / alpha_p, which shrinks as exp(-2 eta t) whatever W_a does (Theorem 1)."""
    return np.asarray(W @ W.T - W_p.T @ W_p / alpha_p)


def collapse_matrix(W_p: Array, X: Array, X_prime: Array, eta: float) -> Array:
    """H of Theorem 2: without stop-gradient d vec(W)/dt = -H vec(W), columns stacked."""
    eye = np.eye(D)
    found = np.kron(X_prime, W_p.T @ W_p + eye) + np.kron(X, (W_p - eye).T @ (W_p - eye))
    return np.asarray(found + eta * np.eye(len(found)))


def _enumerated_loss(W: torch.Tensor, W_p: torch.Tensor, W_a: torch.Tensor, x_NVM: Array) -> torch.Tensor:
    """Half the mean squared distance over all points and all ordered pairs of their views."""
    x = torch.from_numpy(x_NVM)
    online, target = x @ W.T @ W_p.T, x @ W_a.T
    return 0.5 * (online[:, :, None] - target[:, None, :]).square().sum(-1).mean()


@pytest.mark.parametrize("stop_gradient", [True, False])
def test_claim_1_autograd_gives_the_flow(stop_gradient: bool) -> None:
    x, X, X_prime = _views(2)
    W, W_p, W_a = _weights(3)
    alpha_p, eta, eta_p, beta = 1.7, 0.03, 0.05, 0.4
    w, w_p, w_a = (torch.tensor(v, requires_grad=True) for v in (W, W_p, W_a))
    _enumerated_loss(w, w_p, w_a.detach() if stop_gradient else w, x).backward()
    assert w.grad is not None and w_p.grad is not None
    problem = LinearProblem(
        X_MM=X, X_prime_MM=X_prime, alpha_p=alpha_p, eta=eta, eta_p=eta_p, beta=beta, stop_gradient=stop_gradient
    )
    dW, dW_p, dW_a = linear_flow(problem, W, W_p, W_a)
    np.testing.assert_allclose(dW, -w.grad.numpy() - eta * W, atol=1e-12)
    np.testing.assert_allclose(dW_p, -alpha_p * w_p.grad.numpy() - eta_p * W_p, atol=1e-12)
    np.testing.assert_allclose(dW_a, beta * (W - W_a) if stop_gradient else dW, atol=1e-12)


def test_claim_1_simsiam_ties_the_target_but_keeps_the_stop_gradient() -> None:
    x, X, X_prime = _views(4)
    W, W_p, _ = _weights(5)
    w, w_p = torch.tensor(W, requires_grad=True), torch.tensor(W_p, requires_grad=True)
    _enumerated_loss(w, w_p, w.detach(), x).backward()
    assert w.grad is not None
    dW, _, dW_a = linear_flow(LinearProblem(X_MM=X, X_prime_MM=X_prime), W, W_p, np.full_like(W, np.nan))
    np.testing.assert_allclose(dW, -w.grad.numpy(), atol=1e-12)
    np.testing.assert_array_equal(dW_a, dW)


def test_claim_2_balance_holds_for_any_course_of_the_target() -> None:
    """Theorem 1 with alpha_p != 1 and decay, the target jerked about by hand."""
    alpha_p, eta = 2.5, 0.07
    _, X, X_prime = _views(8)
    W, W_p, W_a = _weights(9)
    problem = LinearProblem(X_MM=X, X_prime_MM=X_prime, alpha_p=alpha_p, eta=eta, beta=1.0)

    def derivative(t: float, y: Array) -> Array:
        weights = y[: D * M].reshape(D, M), y[D * M :].reshape(D, D)
        dW, dW_p, _ = linear_flow(problem, *weights, np.cos(3 * t) * W_a + np.sin(5 * t))
        return np.concatenate([dW.ravel(), dW_p.ravel()])

    start = np.concatenate([W.ravel(), W_p.ravel()])
    end = solve_ivp(derivative, (0, 10), start, method="DOP853", rtol=1e-11, atol=1e-12).y[:, -1]
    C = W @ W.T - W_p.T @ W_p / alpha_p
    found = balance_offset(end[: D * M].reshape(D, M), end[D * M :].reshape(D, D), alpha_p)
    np.testing.assert_allclose(found, np.exp(-2 * eta * 10) * C, atol=1e-9)
    assert np.abs(end - start).max() > 0.1


@pytest.mark.parametrize("beta", [None, 0.3])
def test_claim_2_balance_holds_along_simulated_courses(beta: float | None) -> None:
    _, X, X_prime = _views(10)
    W, W_p, W_a = _weights(11)
    problem = LinearProblem(X_MM=X, X_prime_MM=X_prime, alpha_p=0.6, eta=0.04, beta=beta)
    times = [10.0, 0.0, 3.0]
    course = simulate_linear(problem, W, W_p, times, W_a_DM=W_a)
    for t, w, w_p in zip(times, course.W_TDM, course.W_p_TDD, strict=True):
        expected = np.exp(-2 * 0.04 * t) * balance_offset(W, W_p, 0.6)
        np.testing.assert_allclose(balance_offset(w, w_p, 0.6), expected, atol=1e-9)
    np.testing.assert_array_equal(course.W_TDM[1], W)


def test_claim_3_without_stop_gradient_the_stacked_form_is_exact() -> None:
    _, X, X_prime = _views(12)
    W, W_p, W_a = _weights(13)
    problem = LinearProblem(X_MM=X, X_prime_MM=X_prime, eta=0.02, stop_gradient=False)
    H = collapse_matrix(W_p, X, X_prime, 0.02)
    stacked = W.ravel(order="F")
    dW = linear_flow(problem, W, W_p, W_a)[0]
    np.testing.assert_allclose(dW.ravel(order="F"), -H @ stacked, atol=1e-12)
    assert np.linalg.eigvalsh(H).min() >= 0.02 - 1e-12


def test_claim_3_without_stop_gradient_the_network_shrinks_to_zero() -> None:
    _, X, X_prime = _views(14)
    W, W_p, W_a = _weights(15)
    problem = LinearProblem(X_MM=X, X_prime_MM=X_prime, beta=0.4, stop_gradient=False)
    times = np.linspace(0, 200, 401)
    course = simulate_linear(problem, W, W_p, times, W_a_DM=W_a)
    size = np.linalg.norm(course.W_TDM, axis=(1, 2))
    assert np.all(np.diff(size) <= 1e-9)
    assert size[-1] < 1e-4 * size[0]
    lowest = min(np.linalg.eigvalsh(collapse_matrix(w_p, X, X_prime, 0.0))[0] for w_p in course.W_p_TDD)
    assert lowest > 0
    assert np.all(size <= size[0] * np.exp(-lowest * times) + 1e-9)


def test_claim_3_with_stop_gradient_and_predictor_the_network_lives() -> None:
    X, X_prime = np.eye(M), 0.1 * np.eye(M)
    W, W_p, _ = _weights(16)
    course = simulate_linear(LinearProblem(X_MM=X, X_prime_MM=X_prime, eta=0.01), W, W_p, [0.0, 600.0])
    assert np.linalg.norm(course.W_TDM[-1]) > 0.5


@pytest.mark.parametrize("beta", [None, 0.4])
@pytest.mark.parametrize(("noise", "eta"), [(0.2, 0.0), (0.0, 0.1), (0.1, 0.05)])
def test_claim_3_without_predictor_the_network_collapses(beta: float | None, noise: float, eta: float) -> None:
    W, W_p, _ = _weights(17)
    problem = LinearProblem(X_MM=np.eye(M), X_prime_MM=noise * np.eye(M), eta=eta, beta=beta, predictor=False)
    course = simulate_linear(problem, W, W_p, [0.0, 5.0, 1200.0], W_a_DM=W)
    assert np.linalg.norm(course.W_TDM[-1]) < 1e-6
    np.testing.assert_array_equal(course.W_p_TDD[-1], np.eye(D))
    if beta is None:  # then dW = -W (X' + eta I)
        np.testing.assert_allclose(course.W_TDM[1], np.exp(-5 * (noise + eta)) * W, atol=1e-9)


def test_without_predictor_noiseless_directions_stay_where_nothing_decays() -> None:
    """So collapse is shown with noise or weight decay only."""
    W, W_p, _ = _weights(18)
    X_prime = np.diag([0.5, 0.5, 0.0, 0.0])
    problem = LinearProblem(X_MM=np.eye(M), X_prime_MM=X_prime, predictor=False)
    end = simulate_linear(problem, W, W_p, 60.0).W_TDM
    np.testing.assert_allclose(end, np.concatenate([np.zeros((D, 2)), W[:, 2:]], axis=1), atol=1e-9)


def test_batched_weights_move_as_each_alone() -> None:
    _, X, X_prime = _views(19)
    g = np.random.default_rng(20)
    W, W_a = g.normal(size=(2, 5, D, M))
    W_p = g.normal(size=(5, D, D))
    problem = LinearProblem(X_MM=X, X_prime_MM=X_prime, alpha_p=2.0, eta=0.1, beta=0.2)
    together = simulate_linear(problem, W, W_p, [1.0, 2.0], W_a_DM=W_a)
    alone = simulate_linear(problem, W[3], W_p[3], [1.0, 2.0], W_a_DM=W_a[3])
    for both, one in zip(together, alone, strict=True):
        np.testing.assert_allclose(both[:, 3], one, atol=1e-9)


def test_proportionality_is_the_cosine_of_the_weights() -> None:
    W, _, W_a = _weights(21)
    assert proportionality(0.3 * W, W) == pytest.approx(1.0)
    cosine = np.dot(W_a.ravel(), W.ravel()) / np.sqrt(np.dot(W_a.ravel(), W_a.ravel()) * np.dot(W.ravel(), W.ravel()))
    assert proportionality(W_a, W) == pytest.approx(cosine)
    assert proportionality(0 * W, W) == 0


def test_a_missing_target_and_wrong_shapes_are_refused() -> None:
    W, W_p, _ = _weights(22)
    problem = LinearProblem(X_MM=np.eye(M), X_prime_MM=np.eye(M), beta=0.4)
    with pytest.raises(InputError, match="target"):
        simulate_linear(problem, W, W_p, 1.0)
    with pytest.raises(InputError, match="shapes"):
        simulate_linear(problem, W, np.eye(D + 1), 1.0, W_a_DM=W)


def test_without_isotropy_left_eigenvectors_are_fixed_points_and_so_are_their_images() -> None:
    """W of rows with W across same^-1 = W_p W rests without weight decay (arXiv 2102.06810, appendix D)."""
    A, B = np.random.default_rng(5).normal(size=(2, M, M))
    across = A @ A.T + 0.1 * np.eye(M)
    same = across + B @ B.T
    values, vectors = np.linalg.eig((across @ np.linalg.inv(same)).T)
    W, W_p = vectors.real.T[:D], np.diag(values.real[:D])
    S = np.random.default_rng(7).normal(size=(D, D))
    problem = LinearProblem(X_MM=across, X_prime_MM=same - across, beta=0.3)
    for w, w_p in ((W, W_p), (S @ W, S @ W_p @ np.linalg.inv(S))):
        for derivative in linear_flow(problem, w, w_p, w):
            np.testing.assert_allclose(derivative, 0, atol=1e-9)


def test_without_isotropy_and_predictor_only_what_both_views_share_survives() -> None:
    """Two of the directions scrambled by a fresh Gaussian matrix in each view: they die, the others stay."""
    g = np.random.default_rng(8)
    U = np.linalg.qr(g.normal(size=(M, 2)))[0]
    A = g.normal(size=(M, M))
    data, kept = A @ A.T / M + 0.1 * np.eye(M), np.eye(M) - U @ U.T
    across = kept @ data @ kept
    noise = np.trace(U.T @ data @ U) * (U @ U.T)
    W = g.normal(size=(D, M))
    problem = LinearProblem(X_MM=across, X_prime_MM=noise, predictor=False)
    np.testing.assert_allclose(simulate_linear(problem, W, np.eye(D), 400.0).W_TDM, W @ kept, atol=1e-8)


def test_one_mode_on_its_invariant_line_rests_at_the_ratio() -> None:
    """w = w_p stays so for alpha_p = 1; the origin is unstable there and w = w_a = across / same stable."""
    same, across = 1.0, 0.5
    problem = LinearProblem(X_MM=np.full((1, 1), across), X_prime_MM=np.full((1, 1), same - across), beta=1.0)
    dw, dw_p, _ = linear_flow(problem, *(np.full((1, 1), w) for w in (0.3, 0.3, 0.9)))
    assert dw == dw_p
    for tiny in (1e-3, 2.0):
        start = np.full((1, 1), tiny)
        course = simulate_linear(problem, start, start, 6000.0, W_a_DM=start)
        np.testing.assert_allclose([float(w) for w in np.ravel(course)], across / same, atol=1e-8)
