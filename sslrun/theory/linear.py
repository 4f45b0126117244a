"""The exact flow of a linear online network W, predictor W_p and target W_a (arXiv 2102.06810).

No isotropy, no alignment, no proportional EMA is assumed: any data correlation X and augmentation covariance X'.
Shapes: D outputs, M inputs, T times; leading batch axes are allowed everywhere. Its consequences: `alignment`.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sslrun.errors import InputError
from sslrun.theory.integration import integrate

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class LinearProblem:
    """What is trained, and how.

    `X_MM` is the correlation of the augmentation-averaged data, `X_prime_MM` the augmentation covariance averaged
    over data. `alpha_p` is the predictor's rate over the network's, `eta` the weight decay, `eta_p` the predictor's
    own decay (`eta` where `None`), `beta` the EMA rate over the network's; `beta=None` ties W_a to W (SimSiam).
    Without `stop_gradient` W_a is W and gradient flows through both branches; without `predictor` W_p is I. With
    `symmetric` only the symmetric part of the predictor's flow acts.
    """

    X_MM: Array
    X_prime_MM: Array
    alpha_p: float = 1.0
    eta: float = 0.0
    eta_p: float | None = None
    beta: float | None = None
    stop_gradient: bool = True
    predictor: bool = True
    symmetric: bool = False

    @property
    def tied(self) -> bool:
        """Whether the target is the online network itself."""
        return self.beta is None or not self.stop_gradient


class LinearCourse(NamedTuple):
    """Weights over time, time first."""

    W_TDM: Array
    W_p_TDD: Array
    W_a_TDM: Array


def linear_flow(problem: LinearProblem, W_DM: Array, W_p_DD: Array, W_a_DM: Array) -> tuple[Array, Array, Array]:
    """Time derivatives (dW, dW_p, dW_a) in the limit of large batches and small steps.

    With R = -W_p W (X + X') + W_a X:  dW_p = alpha_p R W^T - eta W_p,  dW = W_p^T R - eta W,
    dW_a = beta (W - W_a). A tied target takes W for `W_a_DM`; a missing predictor takes I for `W_p_DD`.
    """
    X, same_view = problem.X_MM, problem.X_MM + problem.X_prime_MM
    target = W_DM if problem.tied else W_a_DM
    W_p = W_p_DD if problem.predictor else np.broadcast_to(np.eye(W_p_DD.shape[-1]), W_p_DD.shape)
    residual = target @ X - W_p @ W_DM @ same_view
    dW = _T(W_p) @ residual - problem.eta * W_DM
    if not problem.stop_gradient:  # the gradient that reaches W through the target branch
        dW = dW + W_p @ W_DM @ X - W_DM @ same_view
    eta_p = problem.eta if problem.eta_p is None else problem.eta_p
    dW_p = problem.alpha_p * residual @ _T(W_DM) - eta_p * W_p if problem.predictor else np.zeros_like(W_p_DD)
    if problem.symmetric:
        dW_p = (dW_p + _T(dW_p)) / 2
    dW_a = dW if problem.beta is None or problem.tied else problem.beta * (W_DM - W_a_DM)
    return dW, dW_p, dW_a


def simulate_linear(
    problem: LinearProblem,
    W_DM: Array,
    W_p_DD: Array,
    times: ArrayLike,
    *,
    W_a_DM: Array | None = None,
    tolerance: float = 1e-11,
) -> LinearCourse:
    """Weights at `times` under `linear_flow`, from the given weights at t = 0.

    `W_a_DM` is needed where the target has its own weights (EMA) and ignored where it is tied to W.
    Raises `InputError` if it is missing, or if shapes don't fit.
    """
    W_p_DD = W_p_DD if problem.predictor else np.broadcast_to(np.eye(W_p_DD.shape[-1]), W_p_DD.shape)
    if problem.tied:
        W_a_DM = W_DM
    elif W_a_DM is None:
        raise InputError("the target's initial weights are needed with EMA", remedy="give W_a_DM, or beta=None")
    D, M = W_DM.shape[-2:]
    if W_p_DD.shape[-2:] != (D, D) or W_a_DM.shape[-2:] != (D, M) or problem.X_MM.shape[-1] != M:
        raise InputError(
            f"shapes don't fit: W {W_DM.shape}, W_p {W_p_DD.shape}, W_a {W_a_DM.shape}, X {problem.X_MM.shape}"
        )

    def derivative(weights: Array) -> Array:
        return np.concatenate(linear_flow(problem, *_split(weights, M, D)), axis=-1)

    start = np.concatenate([W_DM, W_p_DD, W_a_DM], axis=-1, dtype=np.float64)
    return LinearCourse(*_split(integrate(derivative, start, times, tolerance=tolerance), M, D))


def proportionality(W_a_DM: Array, W_DM: Array) -> Array:
    """<W_a, W> / (|W_a| |W|): 1 where W_a = tau W with tau > 0; 0 where either is all zero."""
    inner = np.sum(W_a_DM * W_DM, axis=(-2, -1))
    norms = np.linalg.norm(W_a_DM, axis=(-2, -1)) * np.linalg.norm(W_DM, axis=(-2, -1))
    return np.asarray(np.divide(inner, norms, out=np.zeros_like(inner), where=norms > 0))


def _T(matrix: Array) -> Array:
    return np.swapaxes(matrix, -2, -1)


def _split(weights: Array, M: int, D: int) -> tuple[Array, Array, Array]:
    return weights[..., :M], weights[..., M : M + D], weights[..., M + D :]
