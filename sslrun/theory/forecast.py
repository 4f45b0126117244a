"""One mode's fate in plain sentences: collapse or useful size, the threshold, whether alignment holds, and why.

Relies on `phase` for the outcome, `dynamics` for the course and `fixed_points` for its landmarks.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from sslrun.theory.dynamics import Modes, kappa, offset
from sslrun.theory.fixed_points import critical_decay, fixed_points
from sslrun.theory.integration import check_range
from sslrun.theory.phase import Outcome, final_tau, parabola, phase_map, settling_time


@dataclass(frozen=True)
class Forecast:
    """What becomes of a mode, for people (`lines`) and for programs (`numbers`)."""

    lines: tuple[str, ...]
    numbers: dict[str, Any]


class _Mode(NamedTuple):
    """A start and its constants, as `simulate` takes them."""

    p0: float
    s0: float
    tau0: float
    alpha_p: float
    eta: float
    beta: float | None
    sigma2: float
    eta_p: float

    @property
    def on_parabola(self) -> float:
        return self.p0**2 / self.alpha_p

    @property
    def unequal(self) -> bool:
        """Whether network and predictor decay at different rates, and not by rounding."""
        return not math.isclose(self.eta_p, self.eta)


def describe_mode(
    p0: float,
    *,
    eta: float,
    s0: float | None = None,
    tau0: float = 1.0,
    alpha_p: float = 1.0,
    beta: float | None = None,
    sigma2: float = 0.0009,
    eta_p: float | None = None,
    run_time: float | None = None,
) -> Forecast:
    """What will happen to one mode and why. Arguments (scalars), defaults and errors as in `phase.phase_map`.

    `run_time` is where a run ends in flow time; the forecast then also says how far the mode is by then. Lines: what
    happens and why, then the alignment. Numbers, at the tau that a living mode ends with: `threshold` and `useful_p`
    are p_minus and p_plus, None beyond `critical_decay`; `useful_s` the size of the features at p_plus, None where
    there is none or it grows without end; `t90` when p comes within 10 % of its end, None for a collapse; `min_kappa`
    the smallest kappa, met at `t_min_kappa`.
    """
    check_range(p0=p0, s0=s0, tau0=tau0, alpha_p=alpha_p, eta=eta, beta=beta, sigma2=sigma2, eta_p=eta_p)
    s0 = float(parabola(p0, alpha_p)) if s0 is None else s0
    mode = _Mode(p0, s0, tau0, alpha_p, eta, beta, sigma2, eta if eta_p is None else eta_p)
    outcome = Outcome(int(phase_map(**mode._asdict())))
    tau_end = float(final_tau(tau0, beta))
    points, limit = fixed_points(tau_end, eta, sigma2), critical_decay(tau_end, sigma2)

    times = np.union1d(np.linspace(0.0, 400.0, 20001), np.geomspace(400.0, settling_time(eta, mode.eta_p, beta), 2001))
    p, s, tau = Modes(*mode).at(times)
    signal = kappa(p, s, tau, alpha_p, eta, sigma2, mode.eta_p)
    lowest = int(np.argmin(signal))
    t90 = None
    if points is not None and outcome != Outcome.COLLAPSE:
        away = np.abs(p - points[1]) - 0.1 * points[1]
        first = int(np.argmax(away <= 0))
        if first > 0:
            t90 = float(np.interp(0.0, -away[first - 1 : first + 1], times[first - 1 : first + 1]))
        elif away[0] <= 0:
            t90 = 0.0
    useful_s = None if points is None else _useful_s(mode, points[1])

    if outcome == Outcome.COLLAPSE:
        fate = _why_collapse(mode, tau_end, limit, points)
    else:
        fate = _why_useful(mode, useful_s, t90, points or (0.0, 0.0))
    sentences = [fate, _alignment(float(signal[lowest]), float(times[lowest]), outcome)]
    if run_time is not None:
        ends = "p = {:.4g}, s = {:.4g}, tau = {:.4g}".format(*Modes(*mode).at(run_time))
        sentences.append(f"When the run ends, at t = {run_time:.4g}: {ends}.")
    numbers = {
        "outcome": outcome.name.lower(),
        "threshold": points and points[0],
        "useful_p": points and points[1],
        "useful_s": useful_s,
        "critical_decay": limit,
        "t90": t90,
        "min_kappa": float(signal[lowest]),
        "t_min_kappa": float(times[lowest]),
    }
    return Forecast(tuple(sentences), numbers)


def _useful_s(mode: _Mode, p_plus: float) -> float | None:
    """Size of the features at p_plus. Where ds = dp = 0, s = (eta_p / eta) p^2 / alpha_p; undecayed, s keeps c."""
    if mode.eta > 0:
        return mode.eta_p / mode.eta * p_plus**2 / mode.alpha_p
    return None if mode.eta_p > 0 else float(offset(mode.p0, mode.s0, mode.alpha_p)) + p_plus**2 / mode.alpha_p


def _why_collapse(mode: _Mode, tau_end: float, limit: float, points: tuple[float, float] | None) -> str:
    p0, s0, eta = mode.p0, mode.s0, mode.eta
    if s0 == 0:
        return "Collapse: s(0) = 0, so there is nothing to grow from."
    if points is None:
        return (
            f"Collapse: weight decay {eta:g} is beyond the critical {limit:.6g} (at tau = {tau_end:g}), "
            "and zero is the only fixed point left."
        )
    if eta == 0:
        return (
            f"Collapse: without weight decay s - p^2/alpha_p stays at {float(offset(p0, s0, mode.alpha_p)):.4g}, "
            f"and on that line s reaches zero before p comes to rest at {points[1]:.6g}."
        )
    if mode.unequal:
        return f"Collapse: {_integrated(mode, points[0])}"
    if p0 < points[0]:
        return (
            f"Collapse: p(0) = {p0:g} starts below the threshold p- = {points[0]:.6g}, "
            f"where weight decay {eta:g} outruns growth."
        )
    if mode.beta is not None and mode.tau0 < tau_end:
        return (
            f"Collapse: p(0) = {p0:g} is above the threshold p- = {points[0]:.6g} of tau = {tau_end:g}, but tau starts "
            f"at {mode.tau0:g}; while it is small the threshold is higher, and the mode is lost before it has risen."
        )
    return (
        f"Collapse: p(0) = {p0:g} is above the threshold p- = {points[0]:.6g}, but s(0) = {s0:g} is below "
        f"p^2/alpha_p = {mode.on_parabola:.4g}: p shrinks under the threshold before s has grown."
    )


def _why_useful(mode: _Mode, useful_s: float | None, t90: float | None, points: tuple[float, float]) -> str:
    p0, s0 = mode.p0, mode.s0
    if useful_s is None:
        end = f"Useful: p comes ever nearer to {points[1]:.6g} while s grows without end"
        return f"{end}, because weight decay {mode.eta_p:g} acts on the predictor only."
    arrival = "" if t90 is None else f" (within 10 % of p from t = {t90:.4g} on)"
    end = f"Useful: the mode ends at p+ = {points[1]:.6g}, s = {useful_s:.6g}{arrival}"
    if mode.eta == 0:
        return f"{end}; without weight decay the size of its features still depends on where it started."
    if mode.unequal:
        return f"{end}: {_integrated(mode, points[0])}"
    if p0 >= points[0]:
        return f"{end}, because p(0) = {p0:g} starts above the threshold p- = {points[0]:.6g}."
    return (
        f"{end}: p(0) = {p0:g} is below the threshold p- = {points[0]:.6g}, but s(0) = {s0:g}, above "
        f"p^2/alpha_p = {mode.on_parabola:.4g}, pulls the predictor over it."
    )


def _integrated(mode: _Mode, threshold: float) -> str:
    """Of unequal decays, under which s = p^2/alpha_p is no invariant line, and p- alone parts no starts on it."""
    s_minus = mode.eta_p / mode.eta * threshold**2 / mode.alpha_p
    return (
        f"integrated from p(0) = {mode.p0:g}, s(0) = {mode.s0:g}, as no threshold has a closed form where network and "
        f"predictor decay unequally; the saddle between the two fates lies at p- = {threshold:.6g}, s- = {s_minus:.4g}."
    )


def _alignment(lowest: float, when: float, outcome: Outcome) -> str:
    if lowest > 0:
        return (
            "Alignment is stable throughout: kappa, the rate at which the eigenvectors of predictor and features are "
            f"pulled together, never falls below {lowest:.4g}."
        )
    growing = "the mode dies" if outcome == Outcome.COLLAPSE else "the mode grows"
    return (
        f"Alignment is unstable while {growing}: kappa, the rate at which the eigenvectors of predictor and features "
        f"are pulled together, falls to {lowest:.4g} at t = {when:.4g}, and they can come apart. More weight decay or "
        "a slower EMA raises kappa."
    )
