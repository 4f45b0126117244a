"""What the recipes' rules make of the eigenvalues of F: p_j from s_j, with all that they add, divide by and floor.

The eigenvectors of W_p are F's, so a mode is its numbers. `directset` follows the flow with them;
`sslrun.networks.predictors` sets whole matrices so in training.
"""

from collections.abc import Callable
from functools import singledispatch
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sslrun.recipe.schema import DirectCopyPredictor, DirectPredictor, DirectSetPredictor, Predictor

Array = NDArray[np.float64]
Rule = Callable[[Array], Array]
"""From eigenvalues s (J,) of F, none negative, to those of W_p, p (J,)."""


@singledispatch
def rule_of(section: Predictor) -> Rule | None:
    """The rule of a predictor, if it is one that sets W_p from F alone."""
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
