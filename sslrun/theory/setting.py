"""What a recipe is in the theory's terms, and what that foretells: from its numbers to `forecast`.

Exactly the theory's setting are linear networks on Gaussian data (recipe `linear_theory`); for every other recipe the
numbers are converted all the same, the differences are named, and what follows is called qualitative.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

from sslrun.errors import InputError
from sslrun.recipe.schema import Byol, Gaussian, NoEma, NonContrastive, NoPredictor, Recipe, SymmetricPredictor
from sslrun.theory.directset import Rule, rule_of, surviving_size
from sslrun.theory.fixed_points import critical_decay, fixed_points
from sslrun.theory.forecast import Forecast, describe_mode
from sslrun.theory.integration import check_range
from sslrun.theory.phase import Outcome

_RATES = ("eta", "eta_p", "alpha_p", "beta")
P0, ETA, SIGMA2 = 0.2, 0.04, 0.0009  # of a forecast where nothing is given; the paper's decay and sigma of 0.03


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

    That loss is c J, so one step of size lr is c lr of time: c = 4 for the squared distance summed over both view
    orders (each is twice J), 2 for one order alone.

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


@dataclass(frozen=True)
class Setting:
    """A training in the flow's units. `sigma2` is the augmentation's variance over the data's, None if not known.

    `alpha` is the power of F that a rule sets W_p to, `rule` all that it does; None for a trained one. `run_time` is
    how long the run is in flow time, None if that takes a look at the data. `differences` says what the flow does not
    have: none, and it is exact.
    `trained` is false for numbers that come from no training.
    """

    flow: FlowSettings
    sigma2: float | None = None
    stop_gradient: bool = True
    predictor: bool = True
    symmetric: bool = False
    alpha: float | None = None
    rule: Rule | None = None
    run_time: float | None = None
    differences: tuple[str, ...] = ()
    trained: bool = True

    def starts(self) -> tuple[str, ...]:
        """Which of p0, s0 and tau0 decide what becomes of a mode: a predictor that is set has one number alone."""
        if not (self.stop_gradient and self.predictor):
            return ()
        return ("p0", "s0", "tau0") if self.alpha is None else ("p0",)


def setting_of(recipe: Recipe) -> Setting:
    """Convert a recipe; momentum m counts as steps 1 / (1 − m) times as long, and is named as a difference.

    Raises `InputError` for a learning rate of 0, and for methods other than BYOL and SimSiam.
    """
    method, network = _noncontrastive(recipe), recipe.optimizer.network
    predictor_optimizer = recipe.optimizer.predictor or network
    ema = None
    if isinstance(method, Byol) and not isinstance(method.ema, NoEma) and method.stop_gradient:
        ema = method.ema.momentum
    flow = flow_settings(
        lr=network.lr / (1 - network.momentum),
        lr_predictor=predictor_optimizer.lr / (1 - predictor_optimizer.momentum),
        weight_decay=network.weight_decay,
        weight_decay_predictor=predictor_optimizer.weight_decay,
        ema=ema,
        symmetric=method.symmetric,
    )
    data, noise = recipe.data, recipe.views.noise
    sigma2 = run_time = None
    if isinstance(data, Gaussian) and noise is not None:
        steps, rest = divmod(data.count, recipe.training.batch_size)
        steps += 1 if rest and recipe.training.last_batch == "keep" else 0
        run_time = flow.time_per_step * steps * recipe.training.epochs
        if len(set(data.variances or (1.0,))) == 1:
            check_range(noise=noise)
            sigma2 = noise**2 / (data.variances or (1.0,))[0]
            check_range(sigma2=sigma2)
    return Setting(
        flow=flow,
        sigma2=sigma2,
        stop_gradient=method.stop_gradient,
        predictor=not isinstance(method.predictor, NoPredictor),
        symmetric=isinstance(method.predictor, SymmetricPredictor),
        alpha=method.predictor.power(),
        rule=rule_of(method.predictor),
        run_time=run_time,
        differences=tuple(_differences(recipe)),
    )


def _noncontrastive(recipe: Recipe) -> NonContrastive:
    if not isinstance(recipe.method, NonContrastive):
        raise InputError(
            f"the theory is of networks that predict, not of {recipe.method.kind}",
            where="method.kind",
            remedy="Take a recipe with byol or simsiam.",
        )
    return recipe.method


def _differences(recipe: Recipe) -> list[str]:
    """What the recipe has and the flow has not, in words."""
    method, optimizer = _noncontrastive(recipe), recipe.optimizer
    found = []
    if recipe.network.backbone.kind != "linear" or recipe.network.projector.kind != "none":
        found.append("the network is not one matrix")
    if method.loss == "cosine":
        found.append("the cosine loss leaves the scale of outputs and predictor free")
    for section in (optimizer.network, optimizer.predictor or optimizer.network):
        if section.kind != "sgd":
            found.append(f"{section.kind} takes other steps than the gradient's")
        elif section.momentum:
            found.append(
                f"momentum {section.momentum:g} counts here as steps {1 / (1 - section.momentum):g} times as long"
            )
    if optimizer.schedule.kind != "constant" or optimizer.schedule.warmup_epochs:
        found.append("the learning rate changes")
    if isinstance(method, Byol) and method.ema.kind == "cosine" and method.stop_gradient:
        found.append("the EMA's momentum rises")
    found += method.predictor.beyond_theory()
    if recipe.training.precision != "float32":
        found.append(f"{recipe.training.precision} rounds")
    return list(dict.fromkeys(found))


def heading(differences: tuple[str, ...]) -> list[str]:
    """The first line of what is not exact; nothing for what is."""
    return [f"qualitative: {'; '.join(differences)}"] if differences else []


def forecast(
    setting: Setting, *, p0: float = P0, s0: float | None = None, tau0: float = 1.0, sigma2: float | None = None
) -> Forecast:
    """What becomes of a mode that starts at (p0, s0, tau0), and why. Arguments as in `forecast.describe_mode`.

    `sigma2` is needed where the setting does not know it; 0.0009 is taken, and said, if it is not given either.
    """
    flow = setting.flow
    check_range(p0=p0, s0=s0, tau0=tau0, sigma2=sigma2, **{name: getattr(flow, name) for name in _RATES})
    known = setting.sigma2 if sigma2 is None else sigma2
    noise = SIGMA2 if known is None else known
    lines = heading(setting.differences)
    rate = "the target is the online network" if flow.beta is None else f"EMA rate beta = {flow.beta:.4g}"
    if flow.beta is None and tau0 != 1.0 and "tau0" in setting.starts():
        rate = f"the target is held at tau = {tau0:g} of the online network"
    decays = f"decay eta = {flow.eta:.4g}" + ("" if flow.eta_p == flow.eta else f", of the predictor {flow.eta_p:.4g}")
    about = [
        f"alpha_p = {flow.alpha_p:g} (predictor's over network's learning rate)",
        decays,
        rate,
        f"sigma2 = {noise:g}{', assumed' if known is None else ''}",
    ]
    step = [f"a step is {flow.time_per_step:.4g} of flow time"] if setting.trained else []
    lines.append("; ".join([*step, *about]))
    numbers: dict[str, Any] = {"sigma2": noise, **asdict(flow), "differences": list(setting.differences)}
    rate_of_death = noise + flow.eta
    if not setting.stop_gradient:
        fate = (
            "Collapse: without stop-gradient d vec(W)/dt = -H vec(W), and H is positive semi-definite whatever the "
            f"predictor does: all features die at least as fast as exp(-{rate_of_death:.4g} t)."
        )
        return Forecast((*lines, fate), numbers | {"outcome": "collapse"})
    if not setting.predictor:
        how = f" as exp(-{rate_of_death:.4g} t)" if flow.beta is None else ", more slowly the slower the EMA"
        fate = (
            f"Collapse: without predictor dW/dt = -W (X' + eta I) once the target has followed: all features die{how}."
            if rate_of_death
            else "Nothing moves: without predictor, noise and decay the online network is its own target already."
        )
        return Forecast((*lines, fate), numbers | {"outcome": "collapse" if rate_of_death else "rest"})
    if setting.alpha is not None:
        return _set_predictor(setting.alpha, flow.eta, noise, p0, lines, numbers)
    rates = {name: getattr(flow, name) for name in _RATES}
    mode = describe_mode(p0, s0=s0, tau0=tau0, sigma2=noise, run_time=setting.run_time, **rates)
    return Forecast((*lines, *mode.lines), numbers | mode.numbers)


def _set_predictor(
    alpha: float, eta: float, sigma2: float, p0: float, lines: list[str], numbers: dict[str, Any]
) -> Forecast:
    """W_p = F^alpha at all times, without EMA: a mode's p = s^alpha has a threshold and a useful size of its own."""
    points, limit = fixed_points(1.0, eta, sigma2), critical_decay(1.0, sigma2)
    ends = {"threshold": points and points[0], "useful_p": points and points[1]}
    numbers |= {"alpha": alpha, "critical_decay": limit, **ends}
    rule = f"W_p follows F^{alpha:g} (theory: at once, without EMA, epsilon or scaling)"
    if points is None or p0 <= points[0]:
        why = (
            f"weight decay {eta:g} is beyond the critical {limit:.6g}"
            if points is None
            else f"p(0) = {p0:g} starts below the threshold p- = {points[0]:.6g}"
        )
        return Forecast((*lines, f"Collapse: {rule}, and {why}."), numbers | {"outcome": "collapse"})
    size = surviving_size(alpha, eta, sigma2)
    fate = (
        f"Useful: {rule}; the mode ends at p+ = {points[1]:.6g}, |w| = {size:.6g}, because p(0) = {p0:g} starts above "
        f"the threshold p- = {points[0]:.6g}. Modes of augmentation variance so large that decay {eta:g} is beyond "
        f"1 / (4 (1 + sigma2)) die: here from sigma2 = {1 / (4 * eta) - 1:.4g} on."
        if eta > 0
        else f"Useful: {rule}; without decay every mode ends at p+ = {points[1]:.6g}, |w| = {size:.6g}."
    )
    return Forecast((*lines, fate), numbers | {"outcome": Outcome.USEFUL.name.lower(), "size": size})


def flags_setting(alpha_p: float | None, eta: float | None, beta: float | None) -> Setting:
    """A setting from flags alone; decay is the paper's 0.04 where it is not given."""
    eta = ETA if eta is None else eta
    rate = 1.0 if alpha_p is None else alpha_p
    if not rate > 0:
        raise InputError("must be positive", where="--alpha-p")
    return Setting(FlowSettings(time_per_step=1.0, alpha_p=rate, eta=eta, eta_p=eta, beta=beta), trained=False)
