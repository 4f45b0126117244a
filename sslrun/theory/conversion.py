"""From a training recipe's numbers to the flow's: a squared loss is c J, so one step of size lr is c lr of time.

c = 4 for the squared distance summed over both view orders (each is twice J), 2 for one order alone. Plain
numbers in and out; which recipe they come from is the caller's business. The flows: `linear`, `dynamics`.
"""

import math
from dataclasses import dataclass

from sslrun.errors import InputError
from sslrun.theory.integration import check_range


@dataclass(frozen=True)
class FlowSettings:
    """Training in the flow's units.

    `time_per_step`: flow time of one step, c lr. `alpha_p`: predictor rate over network rate. `eta`, `eta_p`: decay
    of network and predictor. `beta`: EMA rate over network rate; `None`: no EMA, the target is the online network.
    """

    time_per_step: float
    alpha_p: float
    eta: float
    eta_p: float
    beta: float | None


def flow_settings(
    *,
    lr: float,
    lr_predictor: float | None = None,
    weight_decay: float = 0.0,
    weight_decay_predictor: float | None = None,
    ema: float | None = None,
    momentum: float = 0.0,
    symmetric: bool = True,
) -> FlowSettings:
    """Convert plain SGD on a squared loss, as the optimiser writes it: w <- w - lr (gradient + weight_decay w).

    The predictor's values are the network's where `None`. `ema` is the coefficient kept by the target each step.
    `symmetric` says whether both view orders are summed. A predictor with its own rate decays in flow time by
    alpha_p weight_decay_predictor / c, so equal recipe values are equal decays only at alpha_p = 1.

    Raises `InputError` for momentum, which the flow does not have, and for numbers without meaning.
    """
    lr_predictor = lr if lr_predictor is None else lr_predictor
    weight_decay_predictor = weight_decay if weight_decay_predictor is None else weight_decay_predictor
    if momentum != 0:
        raise InputError(
            f"momentum {momentum:g} has no place in the flow: it is the limit of plain gradient steps",
            where="momentum",
            remedy="train with momentum 0 to compare with theory",
        )
    positive = {"lr": lr, "lr_predictor": lr_predictor}
    for name, value in positive.items():
        if not (math.isfinite(value) and value > 0):
            raise InputError(f"must be finite and positive, not {value}", where=name)
    for name, value in {"weight_decay": weight_decay, "weight_decay_predictor": weight_decay_predictor}.items():
        if not (math.isfinite(value) and value >= 0):
            raise InputError(f"must be finite and not negative, not {value}", where=name)
    if ema is not None and not 0 <= ema <= 1:
        raise InputError(f"must lie between 0 and 1, not {ema}", where="ema")
    check_range(**positive, weight_decay=weight_decay, weight_decay_predictor=weight_decay_predictor)
    c = 4.0 if symmetric else 2.0
    alpha_p = lr_predictor / lr
    return FlowSettings(
        time_per_step=c * lr,
        alpha_p=alpha_p,
        eta=weight_decay / c,
        eta_p=alpha_p * weight_decay_predictor / c,
        beta=None if ema is None else (1 - ema) / (c * lr),
    )
