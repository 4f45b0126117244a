"""What outputs and weights say of collapse and alignment: one pure function a quantity.

All take and return tensors, in float64 on the input's device (on the CPU where the device has no float64); the caller
reads them. For once an epoch, not for every step. Collapse is judged in `sslrun.training.diagnostics`.
Shapes: N samples, D projector outputs; F is E[z zᵀ] of the outputs z, W_p the predictor, s and u eigenpairs of F.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from sslrun.errors import InputError


def _exact(x: Tensor) -> Tensor:
    x = x.detach()
    return x.cpu().double() if x.device.type == "mps" else x.double()


def normalized_std(z_ND: Tensor) -> Tensor:
    """√D · mean over dimensions of the standard deviation over samples of z / ‖z‖.

    About 1 when outputs spread over the sphere, 0 when they have collapsed to one direction.
    """
    unit_ND = functional.normalize(_exact(z_ND), dim=1)
    return unit_ND.std(dim=0, correction=0).mean() * math.sqrt(unit_ND.shape[1])


def mean_cosine(z_ND: Tensor) -> Tensor:
    """Mean cosine of all pairs of different samples; near 1 when collapsed. O(N · D): ‖Σ z‖² holds every pair.

    Raises InputError for fewer than two samples.
    """
    n = len(z_ND)
    if n < 2:
        raise InputError(f"pairs of {n} samples", remedy="Give at least two.")
    unit_ND = functional.normalize(_exact(z_ND), dim=1)
    return (unit_ND.sum(dim=0).square().sum() - unit_ND.square().sum()) / (n * (n - 1))


def correlation(z_ND: Tensor) -> Tensor:
    """F = E[z zᵀ] (D, D), not centred."""
    z_ND = _exact(z_ND)
    return z_ND.T @ z_ND / len(z_ND)


def covariance(z_ND: Tensor) -> Tensor:
    """E[(z − E z)(z − E z)ᵀ] (D, D)."""
    z_ND = _exact(z_ND)
    return correlation(z_ND - z_ND.mean(dim=0))


def _symmetric_part(W_DD: Tensor) -> Tensor:
    W_DD = _exact(W_DD)
    return (W_DD + W_DD.T) / 2


def spectrum(F_DD: Tensor) -> Tensor:
    """Eigenvalues (D,) of a positive semi-definite matrix, largest first, rounding below 0 clipped."""
    s_D: Tensor = torch.linalg.eigvalsh(_symmetric_part(F_DD))
    return s_D.flip(0).clamp(min=0)


def effective_rank(s_D: Tensor) -> Tensor:
    """exp(entropy of s / Σ s) of a spectrum: from 1 to D; 0 if it is all zero."""
    s_D = _exact(s_D)
    total = s_D.sum()
    q_D = s_D / torch.where(total > 0, total, 1.0)
    return torch.where(total > 0, (-torch.xlogy(q_D, q_D).sum()).exp(), 0.0)


class Alignment(NamedTuple):
    """How W_p acts on the eigenvectors u_j of F, one number a mode (D,), in order of falling s_j."""

    s: Tensor
    """Eigenvalues of F."""
    p: Tensor
    """u_jᵀ W_p u_j: the predictor's eigenvalues, if it shares F's eigenvectors."""
    a: Tensor
    """u_jᵀ W_p u_j / ‖W_p u_j‖: 1 where u_j is an eigenvector of W_p; 0 where W_p u_j vanishes."""
    mean: Tensor
    """Mean a_j over the modes with s_j > 1e-3 · s_1."""


def alignment(F_DD: Tensor, W_DD: Tensor) -> Alignment:
    """Eigenspace alignment of the predictor with F (arXiv 2102.06810, Fig. 2); 1 by construction if W_p is set from F.

    W acts on columns: prediction = W_p z.
    """
    s_D, u_DD = torch.linalg.eigh(_symmetric_part(F_DD))
    s_D, u_DD = s_D.flip(0), u_DD.flip(1)
    moved_DD = _exact(W_DD) @ u_DD
    p_D, size_D = (u_DD * moved_DD).sum(dim=0), moved_DD.norm(dim=0)
    a_D = p_D / torch.where(size_D > 0, size_D, 1.0)
    leading_D = (s_D > 1e-3 * s_D[0]).double()
    mean = (a_D * leading_D).sum() / leading_D.sum().clamp(min=1)
    return Alignment(s_D.clamp(min=0), p_D, a_D, mean)


def relative_commutator(F_DD: Tensor, W_DD: Tensor) -> Tensor:
    """‖F W_p − W_p F‖ / (‖F‖ ‖W_p‖) in Frobenius norms; 0 where they share eigenvectors, or if one is zero."""
    F_DD, W_DD = _exact(F_DD), _exact(W_DD)
    return _ratio((F_DD @ W_DD - W_DD @ F_DD).norm(), F_DD.norm() * W_DD.norm())


def asymmetry(W_DD: Tensor) -> Tensor:
    """‖W_p − W_pᵀ‖ / ‖W_p‖ in Frobenius norms, from 0 to 2; 0 for a zero matrix."""
    W_DD = _exact(W_DD)
    return _ratio((W_DD - W_DD.T).norm(), W_DD.norm())


def smallest_eigenvalue(W_DD: Tensor) -> Tensor:
    """The smallest eigenvalue of (W_p + W_pᵀ) / 2: negative if W_p turns some input against itself."""
    s_D: Tensor = torch.linalg.eigvalsh(_symmetric_part(W_DD))
    return s_D[0]


def balance_residual(W_DI: Tensor, W_p_DD: Tensor, alpha_p: float = 1.0) -> Tensor:
    """‖W Wᵀ − W_pᵀ W_p / α_p‖ of a linear network (Frobenius norm): decays as e^(−2ηt) (arXiv 2102.06810, Theorem 1).

    W (D, I) is the online network, α_p the predictor's learning rate over the network's.
    """
    W_DI, W_p_DD = _exact(W_DI), _exact(W_p_DD)
    residual: Tensor = (W_DI @ W_DI.T - W_p_DD.T @ W_p_DD / alpha_p).norm()
    return residual


def ema_proportionality(target: Iterable[Tensor], online: Iterable[Tensor]) -> Tensor:
    """⟨W_a, W⟩ / (‖W_a‖ ‖W‖) of all weights together: 1 if the target is a multiple of the online network.

    Raises ValueError if the two have different numbers of tensors.
    """
    pairs = [(_exact(a), _exact(w)) for a, w in zip(target, online, strict=True)]
    inner, target_2, online_2 = (
        torch.stack([(x * y).sum() for x, y in products])
        for products in (pairs, [(a, a) for a, _ in pairs], [(w, w) for _, w in pairs])
    )
    return _ratio(inner.sum(), (target_2.sum() * online_2.sum()).sqrt())


def _ratio(above: Tensor, below: Tensor) -> Tensor:
    return above / torch.where(below > 0, below, 1.0)
