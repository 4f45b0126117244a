"""The "optimal" predictors: W_p solved from how inputs and targets correlate (arXiv 2102.06810, Table 1; they fail).

With F = E[z zᵀ] of the predictor's inputs and M = E[t zᵀ] of the targets with them, the best linear prediction is
W F = M. The paper does not say which variant its table shows. F is `correlation.py`'s. Shapes: D projector outputs.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from sslrun.networks.predictors.base import build_predictor
from sslrun.networks.predictors.correlation import CorrelationRule, MovingAverage, eigenpairs
from sslrun.networks.predictors.trained import symmetric as make_symmetric
from sslrun.recipe import schema

Variant = Literal["full", "diagonal", "finite_time"]


def solve_matrix(F_DD: Tensor, M_DD: Tensor, side: Literal["left", "right"], ridge: float) -> Tensor:
    """(F + ridge · I)⁻¹ M or M (F + ridge · I)⁻¹, negative eigenvalues of F counted as 0; right is least squares.

    (The authors' code has both, with the inverse eigenvalues multiplied in as a vector where a diagonal matrix was
    meant; here it is the matrix.) Float64 inside, F's dtype out.
    """
    s_D, U_DD = eigenpairs(F_DD)
    inverse_DD = (U_DD / (s_D + ridge)) @ U_DD.T
    M_DD = M_DD.to(U_DD)
    return (inverse_DD @ M_DD if side == "left" else M_DD @ inverse_DD).to(F_DD)


def minimal_space_matrix(
    F_DD: Tensor,
    M_DD: Tensor,
    *,
    variant: Variant,
    ridge: float,
    time: float,
    psd_steps: int | None,
) -> Tensor:
    """The symmetric predictor's optimum: where Ẇ = 2M − F W − W F comes to rest, solved in the eigenbasis of F.

    With s the eigenvalues of F: `full` divides entry (i, j) of M by (s_i + s_j + ridge) / 2; `diagonal` keeps only
    the entries (i, i); `finite_time` multiplies them by exp(−(s_i + s_j) · time) instead. `psd_steps` clips negative
    eigenvalues of (the symmetric part of) W and, if not 0, refines it (`_refined`). Float64 inside, F's dtype out.
    """
    s_D, U_DD = eigenpairs(F_DD)
    F64_DD, M_DD = (U_DD * s_D) @ U_DD.T, M_DD.to(U_DD)
    rotated_DD = U_DD.T @ M_DD @ U_DD
    if variant == "finite_time":
        decay_D = (-time * s_D).exp()
        rotated_DD = decay_D[:, None] * rotated_DD * decay_D
    else:
        rotated_DD = rotated_DD / ((s_D[:, None] + s_D + ridge) / 2)
        if variant == "diagonal":
            rotated_DD = torch.diag(rotated_DD.diagonal())
    W_DD = U_DD @ rotated_DD @ U_DD.T
    if psd_steps is not None:
        p_D, V_DD = torch.linalg.eigh((W_DD + W_DD.T) / 2)
        H_DD = _refined(V_DD * p_D.clamp(min=0).sqrt(), F64_DD, M_DD, psd_steps)
        W_DD = H_DD @ H_DD.T
    return W_DD.to(F_DD)


def _refined(H_DD: Tensor, F_DD: Tensor, M_DD: Tensor, steps: int, rate: float = 0.01) -> Tensor:
    """Of `steps` iterates H ← H + rate · [2M − (F W + W F)] H, W = H Hᵀ, the one whose own step is smallest."""
    best_DD, smallest = H_DD, torch.full((), torch.inf, dtype=H_DD.dtype, device=H_DD.device)
    for _ in range(steps):
        W_DD = H_DD @ H_DD.T
        step_DD = (2 * M_DD - (F_DD @ W_DD + W_DD @ F_DD)) @ H_DD
        size = step_DD.norm()
        better = size < smallest  # never for a step that overflowed
        best_DD, smallest = torch.where(better, H_DD, best_DD), torch.where(better, size, smallest)
        H_DD = H_DD + rate * step_DD
    return best_DD


class OptimalPredictor(CorrelationRule):
    """What the optimal rules observe: F, and M averaged over the pairs of a batch in the same way."""

    def __init__(
        self, dim: int, generator: torch.Generator, *, rho: float | None, freq: int, center: bool = False
    ) -> None:
        super().__init__(dim, generator, rho=rho, freq=freq, center=center)
        self.cross = MovingAverage(rho, (dim, dim))
        self.target_mean = MovingAverage(rho, (dim,)) if center else None

    @torch.no_grad()
    def observe(self, inputs_ND: Sequence[Tensor], targets_ND: Sequence[Tensor]) -> None:
        """F takes in the inputs, M each target with its input."""
        super().observe(inputs_ND, targets_ND)
        z_ND, t_ND = (torch.cat(list(pairs)).to(self.layer.weight.dtype) for pairs in (inputs_ND, targets_ND))
        self.cross.update(t_ND.T @ z_ND / len(z_ND))
        if self.target_mean is not None:
            self.target_mean.update(t_ND.mean(dim=0))

    def cross_value(self) -> Tensor:
        """M (D, D), less the outer product of the means of t and z if `center`."""
        M_DD = self.cross.value
        if self.target_mean is None or self.estimate.mean is None:
            return M_DD
        return M_DD - torch.outer(self.target_mean.value, self.estimate.mean.value)


@build_predictor.register(schema.SolvePredictor)
class Solve(OptimalPredictor):
    """`solve_matrix` after iterations 0, freq, 2·freq, ..."""

    def __init__(self, section: schema.SolvePredictor, dim: int, generator: torch.Generator) -> None:
        super().__init__(dim, generator, rho=section.rho, freq=section.freq)
        self.section = section

    def compute_matrix(self) -> Tensor:
        """W_p from F and M of all batches so far."""
        return solve_matrix(self.estimate.value, self.cross_value(), self.section.side, self.section.ridge)


@build_predictor.register(schema.MinimalSpacePredictor)
class MinimalSpace(OptimalPredictor):
    """`minimal_space_matrix` after iterations 0, freq, 2·freq, ..., M made symmetric first and W_p in between.

    With `rho: null` all averages start anew after each setting, as in the authors' code.
    """

    def __init__(self, section: schema.MinimalSpacePredictor, dim: int, generator: torch.Generator) -> None:
        super().__init__(dim, generator, rho=section.rho, freq=section.freq, center=section.center)
        self.section = section

    def compute_matrix(self) -> Tensor:
        """W_p from F and M since the last reset."""
        rule, M_DD = self.section, self.cross_value()
        if rule.symmetric:
            M_DD = (M_DD + M_DD.T) / 2
        W_DD = minimal_space_matrix(
            self.estimate.value, M_DD, variant=rule.variant, ridge=rule.ridge, time=rule.time, psd_steps=rule.psd_steps
        )
        if rule.rho is None:
            for average in (self.estimate, self.cross, self.target_mean):
                if average is not None:
                    average.reset()
        return W_DD

    def between_settings(self) -> None:
        """Keep the trained W_p symmetric."""
        if self.section.symmetric:
            make_symmetric(self.layer.weight)
