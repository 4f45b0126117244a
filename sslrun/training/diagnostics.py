"""Has it collapsed? The signals that every epoch records; the verdict on the last is `sslrun.runs.verdict`.

All signals come from the projector's outputs of a fixed set of training images, unaugmented, under evaluation-mode
batch norm; each formula is a function of `sslrun.networks.statistics`.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from sslrun.errors import RunFailed
from sslrun.methods import Method
from sslrun.networks import statistics
from sslrun.networks.backbones import Linear
from sslrun.runs.history import size_of
from sslrun.training.optimizers import calmer

MOST_IMAGES = 1024
MOST_WEIGHTS = 4096  # of a linear network, to be kept in every row of the history
_CHUNK = 256


def spread(count: int, most: int) -> Tensor:
    """At most `most` of the numbers below `count`, evenly spread, int64: the same ones whenever asked."""
    return torch.linspace(0, count - 1, min(most, count)).round().long()


def fixed_images(images_NCHW: Tensor) -> Tensor:
    """At most 1,024 images spread evenly over the set: the same ones in every epoch and for every seed."""
    return images_NCHW[spread(len(images_NCHW), MOST_IMAGES)].clone()


@torch.no_grad()
def outputs(method: Method, images_NCHW: Tensor, view: Callable[[Tensor], Tensor] = lambda x_NCHW: x_NCHW) -> Tensor:
    """The projector's outputs (N, D) for `view(images)` under evaluation-mode batch norm, some images at a time.

    Changes nothing in `method`, batch norm's running statistics included.
    """
    was_training = method.training
    method.eval()
    z_ND = torch.cat([method.online(view(chunk)) for chunk in images_NCHW.split(_CHUNK)])
    method.train(was_training)
    return z_ND


@torch.no_grad()
def signals(
    method: Method, images_NCHW: Tensor, plain: Callable[[Tensor], Tensor], *, alpha_p: float
) -> dict[str, Any]:
    """The signals of `method` on uint8 `images_NCHW`, whose unaugmented view is `plain(images)`.

    Of the projector's outputs: `std`, `rank` (of the covariance), `rank_correlation`, `cosine`, `size`, `spectrum` (of
    the correlation F, largest first). Of a predictor that is one matrix: `asymmetry`, `commutator`,
    `smallest_eigenvalue`, `alignment` (mean over the modes that matter) and, per mode of F, `alignments` and `p`. Of a
    moving target: `proportionality` to the online network. Of a linear network (no projector): its `weights`, for
    `sslrun.theory.overlay`, and `balance`, the residual of the theory's invariant at a predictor rate of `alpha_p`.
    Raises `RunFailed` where numbers are not finite, naming what was so first.
    """
    z_ND = outputs(method, images_NCHW, plain)
    if not z_ND.isfinite().all():
        raise not_finite(_first_not_finite(method, images_NCHW, plain), method)
    F_DD = statistics.correlation(z_ND)
    spectrum_D = statistics.spectrum(F_DD)
    found: dict[str, Any] = {
        "std": float(statistics.normalized_std(z_ND)),
        "rank": float(statistics.effective_rank(statistics.spectrum(statistics.covariance(z_ND)))),
        "rank_correlation": float(statistics.effective_rank(spectrum_D)),
        "cosine": float(statistics.mean_cosine(z_ND)),
    }
    W_DD = method.predictor.matrix_DD if method.predictor is not None else None
    if W_DD is not None:
        if not W_DD.isfinite().all():
            raise not_finite("the predictor's matrix", method)
        modes = statistics.alignment(F_DD, W_DD)
        found |= {
            "asymmetry": float(statistics.asymmetry(W_DD)),
            "commutator": float(statistics.relative_commutator(F_DD, W_DD)),
            "smallest_eigenvalue": float(statistics.smallest_eigenvalue(W_DD)),
            "alignment": float(modes.mean),
            "alignments": modes.a.tolist(),
            "p": modes.p.tolist(),
        }
    if method.target is not None:
        pairs = method.target.parameters(), method.online.parameters()
        found["proportionality"] = float(statistics.ema_proportionality(*pairs))
    if (W_DI := _linear(method.online)) is not None:
        found["weights"] = {"online": W_DI.tolist()}
        if W_DD is not None:
            found["weights"]["predictor"] = W_DD.tolist()
            found["balance"] = float(statistics.balance_residual(W_DI, W_DD, alpha_p))
        if method.target is not None:
            found["weights"]["target"] = next(method.target.parameters()).tolist()
    spectrum = spectrum_D.tolist()
    return found | {"size": size_of(spectrum), "spectrum": spectrum}


def not_finite(what: str, method: Method) -> RunFailed:
    """The failure of a run in which `what` became infinite or NaN, so that nothing can be said of it."""
    return RunFailed(
        f"infinite numbers or NaN in {what}",
        remedy=f"Look at views.normalize (mean, std) and the images; else try {calmer(method)}",
    )


def _first_not_finite(method: Method, images_NCHW: Tensor, plain: Callable[[Tensor], Tensor]) -> str:
    """What comes first on the way to outputs that are not finite: the views, the weights, or what they make of them."""
    if not all(plain(chunk).isfinite().all() for chunk in images_NCHW.split(_CHUNK)):
        return "the views of the images"
    spoilt = (name for name, value in method.online.state_dict().items() if not value.isfinite().all())
    name = next(spoilt, None)
    return "the projector's outputs" if name is None else f"the weights of the online network ({name})"


def _linear(online: nn.Sequential) -> Tensor | None:
    """The matrix that an online network is, if it is one of at most 4,096 entries."""
    encoder: nn.Module = online[0]
    projector: nn.Module = online[1]
    if not isinstance(encoder, Linear) or any(True for _ in projector.parameters()):
        return None
    W_DI: Tensor = encoder.weight.detach()
    return W_DI if W_DI.numel() <= MOST_WEIGHTS else None
