"""DirectSet(alpha): the predictor set to (W W^T)^alpha at all times, only W trained (arXiv 2110.04947).

Target without EMA (W_a = W). Weight decay then acts as a threshold: features that vary under augmentation die,
invariant ones stay. Alpha = 1/2 is DirectPred's rule, alpha = 1 DirectCopy's. Fixed points: `fixed_points`.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sslrun.errors import InputError
from sslrun.theory.fixed_points import fixed_points
from sslrun.theory.integration import integrate
from sslrun.theory.linear import LinearProblem, linear_flow
from sslrun.theory.rules import Rule

Array = NDArray[np.float64]


def directset_predictor(W_DM: Array, alpha: float) -> Array:
    """(W W^T)^alpha, symmetric and positive semi-definite, shape (..., D, D)."""
    values, vectors = np.linalg.eigh(W_DM @ W_DM.swapaxes(-2, -1))
    powers = np.clip(values, 0.0, None)[..., None, :] ** alpha
    return np.asarray((vectors * powers) @ vectors.swapaxes(-2, -1), dtype=np.float64)


def simulate_directset(
    W_DM: Array, times: ArrayLike, *, alpha: float, X_MM: Array, X_prime_MM: Array, eta: float
) -> Array:
    """W at `times`, shape (T, ..., D, M), from `W_DM` at t = 0: dW = W_p^T (W X - W_p W (X + X')) - eta W."""
    problem = LinearProblem(X_MM=X_MM, X_prime_MM=X_prime_MM, eta=eta)

    def derivative(W: Array) -> Array:
        return linear_flow(problem, W, directset_predictor(W, alpha), W)[0]

    return integrate(derivative, np.asarray(W_DM, dtype=np.float64), times)


def simulate_rule(s_J: Array, times: ArrayLike, rule: Rule, *, problem: LinearProblem) -> tuple[Array, Array]:
    """(p, s) at `times`, each (T, J), of modes that start at s_J and whose W_p a rule sets from all of them together.

    `problem` is of one mode: its data of variance 1, its noise, decay, EMA and stop-gradient; the target starts as the
    online network. Under a rule that the scale of F leaves alone only directions mean anything: the sum of s stays.
    """
    s_J = np.clip(s_J, 0.0, None)
    w_J, free = np.sqrt(s_J), np.allclose(rule(s_J), rule(4.0 * s_J), rtol=1e-9)

    def derivative(both: Array) -> Array:
        w_J11, target_J11 = (w[:, None, None] for w in both)
        p_J = rule(both[0] ** 2)
        dw, _, dtarget = linear_flow(problem, w_J11, p_J[:, None, None], target_J11)
        change = np.stack([dw[:, 0, 0], dtarget[:, 0, 0]])
        return change - (both[0] @ change[0] / (both[0] @ both[0])) * both if free else change

    s_TJ = integrate(derivative, np.stack([w_J, w_J]), times, method="LSODA", tolerance=1e-6)[:, 0] ** 2
    return np.array([rule(s_J) for s_J in s_TJ]), s_TJ


def surviving_size(alpha: float, eta: float, sigma2: float = 0.0) -> float | None:
    """|w| at which a mode of augmentation variance `sigma2` settles: p_plus^(1 / (2 alpha)).

    It gets there from p = |w|^(2 alpha) above p_minus of `fixed_points(1, eta, sigma2)`. `None` where nothing
    but zero is left. Raises `InputError` for alpha that is not positive.
    """
    if not alpha > 0:
        raise InputError("must be positive", where="alpha")
    points = fixed_points(1.0, eta, sigma2)
    return None if points is None else points[1] ** (1 / (2 * alpha))
