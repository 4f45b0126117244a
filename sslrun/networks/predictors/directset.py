"""DirectSet(α) and DirectCopy (arXiv 2110.04947): W_p is a power of F, scaled, plus a multiple of the identity.

Sources disagree on the norm: two independent re-implementations divide by the spectral and the Frobenius norm, the
authors' code by nothing (and there `directcopy` can't run at all: it never accumulates F). All three are here.
Stands on F of `correlation.py`. Shapes: D projector outputs.
"""

from typing import Literal

import torch
from torch import Tensor

from sslrun.networks.predictors.base import Captured, build_predictor
from sslrun.networks.predictors.correlation import CorrelationRule, eigenpairs, from_eigenpairs
from sslrun.recipe import schema

Norm = Literal["spectral", "frobenius", "none"]


def directset_matrix(F_DD: Tensor, alpha: float, epsilon: float, norm: Norm) -> Tensor:
    """W_p = F^α / ‖F^α‖ + epsilon · I; epsilon · I if F is all zero. Float64 inside, F's dtype out."""
    s_D, U_DD = eigenpairs(F_DD)
    p_D = s_D.pow(alpha)
    if norm != "none":
        size = p_D[-1] if norm == "spectral" else p_D.norm()
        p_D = p_D / torch.where(size > 0, size, 1.0)
    return from_eigenpairs(p_D + epsilon, U_DD).to(F_DD)


def directcopy_matrix(F_DD: Tensor, epsilon: float, norm: Norm) -> Tensor:
    """W_p = F / ‖F‖ + epsilon · I; epsilon · I if F is all zero. No eigenvectors: at most the largest eigenvalue."""
    W_DD = F_DD
    if norm != "none":
        if norm == "spectral":
            exact = F_DD.cpu().double() if F_DD.device.type == "mps" else F_DD.double()
            size = torch.linalg.eigvalsh(exact)[-1].to(F_DD)
        else:
            size = torch.linalg.matrix_norm(F_DD)
        W_DD = F_DD / torch.where(size > 0, size, 1.0)
    return W_DD + epsilon * torch.eye(len(F_DD), dtype=F_DD.dtype, device=F_DD.device)


@build_predictor.register(schema.DirectSetPredictor)
class DirectSet(CorrelationRule):
    """`directset_matrix` of F."""

    def __init__(self, section: schema.DirectSetPredictor, dim: int, generator: torch.Generator) -> None:
        super().__init__(dim, generator, rho=section.rho, freq=section.freq)
        self.section = section

    def compute_matrix(self) -> Tensor:
        """W_p from the F of all batches so far."""
        return directset_matrix(self.estimate.value, self.section.alpha, self.section.epsilon, self.section.norm)


@build_predictor.register(schema.DirectCopyPredictor)
class DirectCopy(CorrelationRule):
    """`directcopy_matrix` of F: DirectSet(1) without its eigendecomposition."""

    def __init__(self, section: schema.DirectCopyPredictor, dim: int, generator: torch.Generator) -> None:
        super().__init__(dim, generator, rho=section.rho, freq=section.freq)
        self.section = section

    @property
    def captured(self) -> Captured:
        """All, if it takes no eigenvalue."""
        return "whole" if self.section.norm != "spectral" and self.freq == 1 else "beside"

    def compute_matrix(self) -> Tensor:
        """W_p from the F of all batches so far."""
        return directcopy_matrix(self.estimate.value, self.section.epsilon, self.section.norm)
