"""F, the correlation of the predictor's inputs, estimated while training; and DirectPred, which sets W_p from it.

Source: arXiv 2102.06810, eq. 18 and 19, and the authors' code, which divides by the largest eigenvalue first.
`directset.py` has the follow-up's rules, `partition.py` several F at once.
Shapes: N samples, D projector outputs; a leading X stands for any batch of matrices.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sslrun.errors import InputError
from sslrun.networks.predictors.base import Captured, MatrixRule, Predictor, build_predictor
from sslrun.networks.predictors.roots import root_predictor
from sslrun.recipe import schema


class MovingAverage(nn.Module):
    """rho · past + (1 − rho) · new, whose first value is taken as is; `rho=None` weighs all updates alike.

    Count and value live in buffers and are only ever used on their device, so an update never waits for it, and a
    checkpoint continues bit for bit. Without a `shape` the value is allocated by the first update, too late for
    `load_state_dict`. With `several`, the first dimension counts averages that go on independently.
    """

    stored: Tensor | None
    updates: Tensor

    def __init__(self, rho: float | None, shape: Sequence[int] | None = None, *, several: bool = False) -> None:
        super().__init__()
        if rho is not None and not 0 <= rho < 1:
            raise InputError(f"rho is {rho}", remedy="rho is the weight of the past, in [0, 1), or None.")
        self.rho = rho
        self.register_buffer("stored", None if shape is None else torch.zeros(*shape))
        self.register_buffer("updates", torch.zeros(shape[:1] if several and shape else (), dtype=torch.int64))

    @torch.no_grad()
    def update(self, new: Tensor, valid: Tensor | None = None) -> None:
        """Take in `new`, unless it has a non-finite entry or `valid` (a bool each average, on its device) is false."""
        if self.stored is None:
            self.stored, self.updates = torch.zeros_like(new), self.updates.to(new.device)
        taken = new.isfinite().flatten(self.updates.ndim).all(dim=-1)
        if valid is not None:
            taken = taken & valid
        self.updates += taken
        if self.rho is None:
            weight = 1 / self.updates.clamp(min=1).to(new.dtype)
        else:
            weight = (self.updates <= 1).to(new.dtype).clamp(min=1 - self.rho)
        one_each = taken.shape + (1,) * (new.ndim - taken.ndim)
        self.stored.lerp_(torch.where(taken.view(one_each), new, self.stored), weight.view(one_each))

    def reset(self) -> None:
        """Forget everything."""
        self.updates.zero_()
        if self.stored is not None:
            self.stored.zero_()

    @property
    def value(self) -> Tensor:
        """The average; zeros before the first update. Raises InputError if it is not allocated yet."""
        if self.stored is None:
            raise InputError("no batch has been observed yet", remedy="Call update, or give the shape.")
        return self.stored


class CorrelationEstimate(nn.Module):
    """F = E[z zᵀ] of the predictor's inputs z: raw outputs, neither normalised nor centred, all views together.

    The first batch is taken as it is; later F ← rho · F + (1 − rho) · E_batch[z zᵀ] (arXiv 2102.06810, eq. 18).
    `rho=None` is the running average in which every batch weighs the same, whatever its size. `dim` allocates F at
    once, as loading a checkpoint needs; `center` keeps the mean of z in the same way and takes it off.
    """

    def __init__(self, rho: float | None, *, dim: int | None = None, center: bool = False) -> None:
        super().__init__()
        self.second = MovingAverage(rho, None if dim is None else (dim, dim))
        self.mean = MovingAverage(rho, None if dim is None else (dim,)) if center else None

    @torch.no_grad()
    def update(self, *views_ND: Tensor) -> None:
        """Take in one batch, given as the outputs (N, D) of each view. A batch that is not finite is left out."""
        z_ND = torch.cat([view.detach() for view in views_ND])
        stored = self.second.stored
        dtype = torch.promote_types(z_ND.dtype, torch.float32) if stored is None else stored.dtype
        # In float64 (which MPS lacks) whatever the precision of training: TF32 products would cost the small modes.
        z_ND = z_ND.to(dtype if z_ND.device.type == "mps" else torch.float64)
        self.second.update((z_ND.T @ z_ND / z_ND.shape[0]).to(dtype))
        if self.mean is not None:
            self.mean.update(z_ND.mean(dim=0).to(dtype))

    def reset(self) -> None:
        """Forget everything."""
        self.second.reset()
        if self.mean is not None:
            self.mean.reset()

    @property
    def value(self) -> Tensor:
        """A copy of F (D, D), less the mean's outer product if `center`. Raises InputError if there is none yet."""
        F_DD = self.second.value
        return F_DD.clone() if self.mean is None else F_DD - torch.outer(self.mean.value, self.mean.value)


def eigenpairs(F_XDD: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues s (ascending) and eigenvectors U (columns) of the symmetric part of F, in float64.

    Eigenvalues below D · 1e-15 of the largest (negative ones with them) count as 0. On a device without float64
    (MPS) the result is on the CPU. Raises InputError if F is not square.
    """
    if F_XDD.ndim < 2 or F_XDD.shape[-1] != F_XDD.shape[-2]:
        raise InputError(f"a correlation matrix of shape {tuple(F_XDD.shape)}", remedy="F is square: (D, D).")
    F_XDD = F_XDD.cpu().double() if F_XDD.device.type == "mps" else F_XDD.double()
    s_XD, U_XDD = torch.linalg.eigh((F_XDD + F_XDD.mT) / 2)
    noise_X1 = s_XD[..., -1:] * (s_XD.shape[-1] * 1e-15)
    return torch.where(s_XD > noise_X1.clamp(min=0), s_XD, 0.0), U_XDD


def from_eigenpairs(p_XD: Tensor, U_XDD: Tensor) -> Tensor:
    """U diag(p) Uᵀ, symmetric to the last bit."""
    W_XDD = (U_XDD * p_XD.unsqueeze(-2)) @ U_XDD.mT
    return (W_XDD + W_XDD.mT) / 2


def predictor_from_correlation(
    F_DD: Tensor,
    exponent: float = 0.5,
    epsilon: float = 0.1,
    floor: float = 1e-4,
    *,
    epsilon_inside: bool = False,
) -> Tensor:
    """DirectPred's W_p = U diag(p) Uᵀ from F = U diag(s) Uᵀ (arXiv 2102.06810, eq. 19, scale-free as in the code).

    With v = max(s, 0) / max s: p = max(v^exponent + epsilon, floor), or with `epsilon_inside`
    p = max(v + epsilon, floor)^exponent; epsilon may be negative. The paper writes √s + epsilon · max s, which is
    the same once its s are read as divided by their maximum. An all-zero F has v = 0, so W_p = max(epsilon, floor) · I.

    F (D, D), or a batch of such; computed in float64 by the symmetric solver, returned in F's dtype on its device.
    (The authors' general solver returns a skewed basis where F is rank-deficient; there the two differ.)
    Raises InputError if F is not square.
    """
    s_XD, U_XDD = eigenpairs(F_DD)
    largest_X1 = s_XD[..., -1:]
    v_XD = s_XD / torch.where(largest_X1 > 0, largest_X1, 1.0)
    if epsilon_inside:
        p_XD = (v_XD + epsilon).clamp(min=floor).pow(exponent)
    else:
        p_XD = (v_XD.pow(exponent) + epsilon).clamp(min=floor)
    return from_eigenpairs(p_XD, U_XDD).to(F_DD)


class CorrelationRule(MatrixRule):
    """A rule that sets W_p from the moving correlation F of its inputs (arXiv 2102.06810, section 4), in the authors'
    order.

    F takes in a batch before the batch is predicted, but W_p follows at the iteration's end: it lags F by one step,
    and iteration 0 predicts with the random initial W_p. F is never reset. Rules set W_p from `self.estimate.value`.
    """

    def __init__(
        self, dim: int, generator: torch.Generator, *, rho: float | None, freq: int, center: bool = False
    ) -> None:
        super().__init__(dim, freq, generator)
        self.estimate = CorrelationEstimate(rho, dim=dim, center=center)

    def observe(self, inputs_ND: Sequence[Tensor], targets_ND: Sequence[Tensor]) -> None:
        """F takes in all inputs together."""
        self.estimate.update(*inputs_ND)


@build_predictor.register(schema.DirectPredictor)
class DirectPred(CorrelationRule):
    """`predictor_from_correlation` of F."""

    def __init__(self, section: schema.DirectPredictor, dim: int, generator: torch.Generator) -> None:
        super().__init__(dim, generator, rho=section.rho, freq=section.freq, center=section.center)
        self.section = section

    def compute_matrix(self) -> Tensor:
        """W_p from the F of all batches so far; on CUDA by matrix products where they do (see `roots.py`)."""
        F_DD, rule = self.estimate.value, self.section
        if self.root_does and F_DD.device.type == "cuda":
            return root_predictor(F_DD, rule.epsilon)
        return predictor_from_correlation(
            F_DD, rule.exponent, rule.epsilon, rule.floor, epsilon_inside=rule.epsilon_inside
        )

    @property
    def captured(self) -> Captured:
        """All, if products do after every iteration."""
        return "whole" if self.root_does and self.freq == 1 else "beside"

    @property
    def root_does(self) -> bool:
        """Whether `root_predictor` is the same rule, and F precise enough for it (no long averages, no differences)."""
        rule = self.section
        same = rule.exponent == 0.5 and not rule.epsilon_inside and rule.epsilon >= max(rule.floor, 1e-4)
        return same and not rule.center and rule.rho is not None and rule.rho <= 0.99


@build_predictor.register
def offset(section: schema.OffsetPredictor, dim: int, generator: torch.Generator) -> Predictor:
    """√max(s − c, 0) is DirectPred's rule with −c inside the root (our inference; the code names no option c)."""
    rule = {"kind": "directpred", "epsilon": -section.offset, "epsilon_inside": True}
    shared = section.model_dump(include={"rho", "freq", "floor"})
    return DirectPred(schema.DirectPredictor.model_validate(rule | shared), dim, generator)
