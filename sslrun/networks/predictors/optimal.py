"""The "optimal" predictors: W_p solved from how inputs and targets correlate (arXiv 2102.06810, Table 1; they fail).

With F = E[z zᵀ] of the predictor's inputs and M = E[t zᵀ] of the targets with them, the best linear prediction is
W F = M. The paper does not say which variant of the authors' code its table shows; here is the code's default. F is
`correlation.py`'s. Shapes: D projector outputs.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from sslrun.networks.predictors.base import build_predictor
from sslrun.networks.predictors.correlation import CorrelationRule, MovingAverage, eigenpairs
from sslrun.networks.predictors.trained import symmetric as make_symmetric
from sslrun.recipe import schema


def solve_matrix(F_DD: Tensor, M_DD: Tensor, side: Literal["left", "right"], ridge: float) -> Tensor:
    """(F + ridge · I)⁻¹ M or M (F + ridge · I)⁻¹, negative eigenvalues of F counted as 0; right is least squares.

    (The authors' code has both, with the inverse eigenvalues multiplied in as a vector where a diagonal matrix was
    meant; here it is the matrix.) Float64 inside, F's dtype out.
    """
    s_D, U_DD = eigenpairs(F_DD)
    inverse_DD = (U_DD / (s_D + ridge)) @ U_DD.T
    M_DD = M_DD.to(U_DD)
    return (inverse_DD @ M_DD if side == "left" else M_DD @ inverse_DD).to(F_DD)


def minimal_space_matrix(F_DD: Tensor, M_DD: Tensor, ridge: float) -> Tensor:
    """The symmetric predictor's optimum for a symmetric M: where Ẇ = 2M − F W − W F comes to rest.

    In the eigenbasis of F, with eigenvalues s, entry (i, j) of M is divided by (s_i + s_j + ridge) / 2. Float64 inside,
    F's dtype out.
    """
    s_D, U_DD = eigenpairs(F_DD)
    rotated_DD = U_DD.T @ M_DD.to(U_DD) @ U_DD / ((s_D[:, None] + s_D + ridge) / 2)
    return (U_DD @ rotated_DD @ U_DD.T).to(F_DD)


class OptimalPredictor(CorrelationRule):
    """What the optimal rules observe: F, and M averaged over the pairs of a batch in the same way."""

    def __init__(self, dim: int, generator: torch.Generator, *, rho: float | None, freq: int) -> None:
        super().__init__(dim, generator, rho=rho, freq=freq)
        self.cross = MovingAverage(rho, (dim, dim))

    @torch.no_grad()
    def observe(self, inputs_ND: Sequence[Tensor], targets_ND: Sequence[Tensor]) -> None:
        """F takes in the inputs, M each target with its input."""
        super().observe(inputs_ND, targets_ND)
        z_ND, t_ND = (torch.cat(list(pairs)).to(self.layer.weight.dtype) for pairs in (inputs_ND, targets_ND))
        self.cross.update(t_ND.T @ z_ND / len(z_ND))


@build_predictor.register(schema.SolvePredictor)
class Solve(OptimalPredictor):
    """`solve_matrix` after iterations 0, freq, 2·freq, ..."""

    def __init__(self, section: schema.SolvePredictor, dim: int, generator: torch.Generator) -> None:
        super().__init__(dim, generator, rho=section.rho, freq=section.freq)
        self.section = section

    def compute_matrix(self) -> Tensor:
        """W_p from F and M of all batches so far."""
        return solve_matrix(self.estimate.value, self.cross.value, self.section.side, self.section.ridge)


@build_predictor.register(schema.MinimalSpacePredictor)
class MinimalSpace(OptimalPredictor):
    """`minimal_space_matrix` after iterations 0, freq, 2·freq, ..., M made symmetric first and W_p in between.

    With `rho: null` all averages start anew after each setting, as in the authors' code.
    """

    def __init__(self, section: schema.MinimalSpacePredictor, dim: int, generator: torch.Generator) -> None:
        super().__init__(dim, generator, rho=section.rho, freq=section.freq)
        self.section = section

    def compute_matrix(self) -> Tensor:
        """W_p from F and M since the last reset."""
        M_DD = self.cross.value
        W_DD = minimal_space_matrix(self.estimate.value, (M_DD + M_DD.T) / 2, self.section.ridge)
        if self.section.rho is None:
            self.estimate.reset()
            self.cross.reset()
        return W_DD

    def between_settings(self) -> None:
        """Keep the trained W_p symmetric."""
        make_symmetric(self.layer.weight)
