"""The predictor set by a rule from the features' correlation at all times, only W trained (arXiv 2110.04947).

Target without EMA (W_a = W). Weight decay then acts as a threshold: features that vary under augmentation die,
invariant ones stay. DirectSet(1/2) is DirectPred's rule, DirectSet(1) DirectCopy's. Where a mode ends: `fixed_points`.
"""

from collections.abc import Callable
from functools import singledispatch
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sslrun.errors import InputError
from sslrun.recipe.schema import DirectCopyPredictor, DirectPredictor, DirectSetPredictor, Predictor
from sslrun.theory.fixed_points import fixed_points
from sslrun.theory.integration import integrate
from sslrun.theory.linear import LinearProblem, linear_flow

Array = NDArray[np.float64]


Rule = Callable[[Array], Array]
"""From eigenvalues s (J,) of F, none negative, to those of W_p, p (J,)."""


@singledispatch
def rule_of(section: Predictor) -> Rule | None:
    """The rule of a predictor, if it is one that sets W_p from F alone: W_p then has F's eigenvectors."""
    return None


@rule_of.register
def _(section: DirectPredictor) -> Rule:
    """arXiv 2102.06810, eq. 19 and the authors' code: s over the largest, to a power, plus epsilon, floored."""

    def rule(s_J: Array) -> Array:
        v_J = s_J / (s_J.max() or 1.0)
        if section.epsilon_inside:
            return np.asarray(np.maximum(v_J + section.epsilon, section.floor) ** section.exponent)
        return np.asarray(np.maximum(v_J**section.exponent + section.epsilon, section.floor))

    return rule


@rule_of.register
def _(section: DirectSetPredictor) -> Rule:
    """arXiv 2110.04947: F^alpha over its norm, plus epsilon."""
    return lambda s_J: _normed(s_J**section.alpha, section.norm) + section.epsilon


@rule_of.register
def _(section: DirectCopyPredictor) -> Rule:
    """arXiv 2110.04947: F over its norm, plus epsilon."""
    return lambda s_J: _normed(s_J, section.norm) + section.epsilon


def _normed(p_J: Array, norm: Literal["spectral", "frobenius", "none"]) -> Array:
    sizes = {"spectral": p_J.max(), "frobenius": np.linalg.norm(p_J), "none": 1.0}
    return p_J / (float(sizes[norm]) or 1.0)


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

    s_TJ = integrate(derivative, np.stack([w_J, w_J]), times, method="LSODA", tolerance=1e-9)[:, 0] ** 2
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
