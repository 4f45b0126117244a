"""DirectPred's matrix by matrix products alone, for GPUs: there an eigensolver is slow and makes the host wait.

W_p = (F / λ_max)^½ + epsilon · I needs no eigenvectors. The price is accuracy: `predictor_from_correlation`, which
stays the definition, and this differ by at most 1e-3 in spectral norm, and by that only in modes of F below `SHIFT`.
Shapes: D projector outputs.
"""

import math

import torch
from torch import Tensor

SHIFT = 1e-6
"""Added to the eigenvalues of F / λ_max. The iteration diverges on a negative one, and rounding leaves some in a
float32 F: −1e-7 was seen, in moving averages that forget."""

_MARGIN = 1e-2  # How far the eigenvalues of F / λ_max may exceed 1, its λ_max being an estimate from below.


def largest_eigenvalue(F_DD: Tensor) -> Tensor:
    """λ_max of a positive semi-definite matrix by repeated squaring, never above the truth.

    tr(F B) / tr(B) with B = F^65536, which is the projection onto the leading modes: low by at most D / 178,000 of
    itself, and that only if all other modes crowd just below the first. 0 for a zero matrix.
    """
    power_DD = F_DD
    for squaring in range(16):
        if squaring % 4 == 0:  # four squarings in a row keep float64 from underflow
            power_DD = _of_unit_trace(power_DD)
        power_DD = power_DD @ power_DD
    return (F_DD * _of_unit_trace(power_DD)).sum()


def _of_unit_trace(F_DD: Tensor) -> Tensor:
    trace = F_DD.trace()
    return F_DD / torch.where(trace > 0, trace, 1.0)


def square_root(A_DD: Tensor) -> Tensor:
    """(A + SHIFT · I)^½ of a symmetric A with eigenvalues from −SHIFT / 2 to 1 + _MARGIN.

    The coupled Newton-Schulz iteration Y → A^½, Z → A^(−½), each step scaled to be the best cubic on the interval
    that still holds all eigenvalues of (Z Y)^½ (Chen & Chow, 2014): eleven steps of three products.
    """
    eye_DD = torch.eye(len(A_DD), dtype=A_DD.dtype, device=A_DD.device)
    largest = 1 + _MARGIN + SHIFT
    Y_DD, Z_DD = (A_DD + SHIFT * eye_DD) / largest, eye_DD
    low = math.sqrt(SHIFT / 2 / largest)
    while low < 1 - 1e-6:
        scale = math.sqrt(3 / (1 + low + low * low))
        step_DD = 1.5 * scale * eye_DD - 0.5 * scale**3 * (Z_DD @ Y_DD)
        Y_DD, Z_DD = Y_DD @ step_DD, step_DD @ Z_DD
        low = scale * low * (3 - (scale * low) ** 2) / 2
    return Y_DD * math.sqrt(largest)


def root_predictor(F_DD: Tensor, epsilon: float) -> Tensor:
    """`predictor_from_correlation(F, 0.5, epsilon, floor)` for any floor ≤ epsilon, without waiting for the device.

    Float64 inside, F's dtype out; epsilon · I for an all-zero F. Accurate as the module says.
    """
    F64_DD = (F_DD.double() + F_DD.double().T) / 2
    largest = largest_eigenvalue(F64_DD)
    root_DD = square_root(F64_DD / torch.where(largest > 0, largest, 1.0))
    eye_DD = torch.eye(len(F_DD), dtype=torch.float64, device=F_DD.device)
    W_DD = torch.where(largest > 0, (root_DD + root_DD.T) / 2, 0.0) + epsilon * eye_DD
    return W_DD.to(F_DD.dtype)
