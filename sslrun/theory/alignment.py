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


def commutator_matrix(W_p_DD: Array, F_DD: Array, tau: float, alpha_p: float, eta: float, sigma2: float) -> Array:
    """K of Theorem 3: d[F, W_p]/dt = -[F, W_p] K - K [F, W_p].

    Where its smallest eigenvalue stays above lambda_0 > 0, |[F, W_p]| falls at least as exp(-2 lambda_0 t);
    a negative eigenvalue lets the commutator grow again.
    """
    bracket = 0.5 * alpha_p * F_DD + W_p_DD @ W_p_DD - tau / (1 + sigma2) * W_p_DD
    return (1 + sigma2) * bracket + 1.5 * eta * np.eye(F_DD.shape[0])


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


def predictor_fixed_point(F_DD: Array, tau: float, alpha_p: float, eta: float, sigma2: float) -> Array:
    """Where `predictor_flow` rests for a given positive semi-definite F and eta > 0: always a symmetric matrix.

    U tau L [(1 + sigma2) L + (eta / alpha_p) I]^-1 U^T for F = U L U^T. At eta = 0 and singular F there are
    others, not symmetric ones among them (and this raises `numpy.linalg.LinAlgError`).
    """
    D = F_DD.shape[0]
    return np.asarray(np.linalg.solve((1 + sigma2) * F_DD + eta / alpha_p * np.eye(D), tau * F_DD), dtype=np.float64)


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
