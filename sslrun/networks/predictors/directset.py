"""DirectSet(α) and DirectCopy (arXiv 2110.04947): W_p is a power of F, scaled, plus a multiple of the identity.

Sources disagree on the norm: two independent re-implementations divide by the spectral and the Frobenius norm, the
authors' code by nothing (and there `directcopy` can't run at all: it never accumulates F). All three are here.
Stands on F of `correlation.py`. Shapes: D projector outputs.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from sslrun.networks.predictors.base import MatrixRule
from sslrun.networks.predictors.correlation import CorrelationEstimate, eigenpairs, from_eigenpairs

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


class DirectSet(MatrixRule):
    """`directset_matrix` of the moving correlation, in DirectPred's order (see `DirectPred`)."""

    def __init__(
        self,
        dim: int,
        generator: torch.Generator,
        *,
        alpha: float = 0.5,
        norm: Norm = "spectral",
        epsilon: float = 0.3,
        rho: float | None = 0.5,
        freq: int = 1,
    ) -> None:
        super().__init__(dim, freq, generator)
        self.estimate = CorrelationEstimate(rho, dim=dim)
        self.alpha, self.norm, self.epsilon = alpha, norm, epsilon

    def observe(self, inputs_ND: Sequence[Tensor], targets_ND: Sequence[Tensor]) -> None:
        """F takes in all inputs together."""
        self.estimate.update(*inputs_ND)

    def compute_matrix(self) -> Tensor:
        """W_p from the F of all batches so far."""
        return directset_matrix(self.estimate.value, self.alpha, self.epsilon, self.norm)


class DirectCopy(DirectSet):
    """`directcopy_matrix` of the moving correlation: DirectSet(1) without its eigendecomposition."""

    def compute_matrix(self) -> Tensor:
        """W_p from the F of all batches so far."""
        return directcopy_matrix(self.estimate.value, self.epsilon, self.norm)
