"""Why the predictor and the correlation matrix come to share eigenvectors (arXiv 2102.06810, Theorem 3).

Flows of W_p and F = W W^T under isotropic data (X = I, X' = sigma2 I) and a proportional target (W_a = tau W).
Shapes: D features, T times. Without these assumptions: `linear`; once aligned: `dynamics`.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sslrun.theory.integration import integrate

Array = NDArray[np.float64]


def commutator(A_DD: Array, B_DD: Array) -> Array:
    """[A, B] = A B - B A; zero for symmetric A and B exactly when they share an eigenbasis."""
    return A_DD @ B_DD - B_DD @ A_DD


def symmetric_flow(
    W_p_DD: Array, F_DD: Array, tau: float, alpha_p: float, eta: float, sigma2: float
) -> tuple[Array, Array]:
    """Time derivatives (dW_p, dF) of a symmetric predictor whose flow is symmetrised."""
    both = W_p_DD @ F_DD + F_DD @ W_p_DD
    square = W_p_DD @ W_p_DD
    dW_p = -0.5 * alpha_p * (1 + sigma2) * both + alpha_p * tau * F_DD - eta * W_p_DD
    dF = -(1 + sigma2) * (square @ F_DD + F_DD @ square) + tau * both - 2 * eta * F_DD
    return dW_p, dF


def simulate_symmetric(
    W_p_DD: Array,
    F_DD: Array,
    times: ArrayLike,
    *,
    tau: float,
    alpha_p: float,
    eta: float,
    sigma2: float,
    tolerance: float = 1e-11,
) -> tuple[Array, Array]:
    """(W_p, F) at `times` under `symmetric_flow`, each of shape (T, D, D)."""
    D = F_DD.shape[0]

    def derivative(both: Array) -> Array:
        flows = symmetric_flow(both[:, :D], both[:, D:], tau, alpha_p, eta, sigma2)
        return np.concatenate(flows, axis=-1)

    start = np.concatenate([W_p_DD, F_DD], axis=-1, dtype=np.float64)
    course = integrate(derivative, start, times, tolerance=tolerance)
    return course[..., :D], course[..., D:]


def predictor_flow(W_p_DD: Array, F_DD: Array, tau: float, alpha_p: float, eta: float, sigma2: float) -> Array:
    """dW_p/dt of a predictor that nothing keeps symmetric: -alpha_p (1 + sigma2) W_p F + alpha_p tau F - eta W_p."""
    return -alpha_p * (1 + sigma2) * W_p_DD @ F_DD + alpha_p * tau * F_DD - eta * W_p_DD


def simulate_predictor(
    W_p_DD: Array,
    times: ArrayLike,
    *,
    F_DD: Array | None = None,
    tau: float,
    alpha_p: float,
    eta: float,
    sigma2: float,
    tolerance: float = 1e-11,
) -> Array:
    """W_p at `times` under `predictor_flow`, shape (T, D, D).

    F is held at `F_DD`, or follows the predictor as W_p^T W_p / alpha_p (the balance of Theorem 1) where `None`.
    """

    def derivative(W_p: Array) -> Array:
        F = W_p.T @ W_p / alpha_p if F_DD is None else F_DD
        return predictor_flow(W_p, F, tau, alpha_p, eta, sigma2)

    return integrate(derivative, np.asarray(W_p_DD, dtype=np.float64), times, tolerance=tolerance)
