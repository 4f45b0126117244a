"""What becomes of modes: collapsed, useful, or useful with alignment unstable on the way, as maps over settings.

Relies on `dynamics` for the course and on the threshold of `fixed_points`. One mode in plain sentences:
`forecast`; drawn maps: `figures.phase_figure`.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sslrun.errors import InputError
from sslrun.theory.dynamics import Modes, offset
from sslrun.theory.integration import LONGEST, check_range

Array = NDArray[np.float64]


class Outcome(IntEnum):
    """What becomes of a mode. The last two end alike; in the last one kappa was negative on the way."""

    COLLAPSE = 0
    USEFUL = 1
    UNSTABLE = 2


def phase_map(
    p0: ArrayLike,
    *,
    eta: ArrayLike,
    s0: ArrayLike | None = None,
    tau0: ArrayLike = 1.0,
    alpha_p: ArrayLike = 1.0,
    beta: ArrayLike | None = None,
    sigma2: ArrayLike = 0.0009,
    eta_p: ArrayLike | None = None,
) -> NDArray[np.int64]:
    """The `Outcome` of every mode, followed until its fate is settled. All arguments broadcast: p0[None, :] with
    eta[:, None], say.

    The meaning of each is in `dynamics.flow`. `s0=None` starts on the invariant parabola, s0 = p0^2 / alpha_p;
    `beta=None` freezes tau at tau0. Very close to the threshold a mode may not have settled by the end.
    Raises `InputError` as `dynamics.simulate` does, and for a target that never moves (beta = 0).
    """
    p0, eta, sigma2 = (np.asarray(value, dtype=np.float64) for value in (p0, eta, sigma2))
    s0 = parabola(p0, alpha_p) if s0 is None else np.asarray(s0, dtype=np.float64)
    eta_p = eta if eta_p is None else np.asarray(eta_p, dtype=np.float64)
    tau = final_tau(tau0, beta)
    course = Modes(p0, s0, tau0, alpha_p, eta, beta, sigma2, eta_p).follow(settling_time(eta, eta_p, beta))

    discriminant = tau**2 - 4 * eta * (1 + sigma2)
    threshold = (tau - np.sqrt(np.clip(discriminant, 0, None))) / (2 * (1 + sigma2))
    above = (discriminant >= 0) & (course.p > threshold)
    without_decay = np.where(eta_p > 0, s0 > 0, _survives_undecayed(p0, s0, tau, np.asarray(alpha_p), sigma2))
    useful = np.where(eta > 0, above, without_decay)
    grown = np.where(course.min_kappa < 0, Outcome.UNSTABLE, Outcome.USEFUL)
    return np.where(useful, grown, Outcome.COLLAPSE).astype(np.int64)


def parabola(p0: ArrayLike, alpha_p: ArrayLike) -> Array:
    """s0 on the invariant parabola, p0^2 / alpha_p. Raises `InputError` where that can't be followed."""
    check_range(p0=p0, alpha_p=alpha_p)
    if np.any(np.asarray(alpha_p) <= 0):
        raise InputError("must be positive", where="alpha_p")
    s0: Array = np.asarray(p0, dtype=np.float64) ** 2 / np.asarray(alpha_p)
    check_range(**{"p0^2 / alpha_p": s0})
    return s0


def final_tau(tau0: ArrayLike, beta: ArrayLike | None) -> Array:
    """Where tau ends for a mode that lives: at its frozen value, or at 1 with EMA.

    Raises `InputError` for a frozen tau below zero and for beta = 0, a target that never moves.
    """
    if beta is None:
        if np.any(np.asarray(tau0) < 0):
            raise InputError("a frozen tau must not be negative", where="tau0")
        return np.asarray(tau0, dtype=np.float64)
    if np.any(np.asarray(beta) <= 0):
        raise InputError("must be positive: a target that never moves has no fixed points here", where="beta")
    return np.ones(np.shape(beta))


def settling_time(eta: ArrayLike, eta_p: ArrayLike, beta: ArrayLike | None) -> float:
    """A time by which every mode has settled: many times the slowest rate among decays and EMA, at least 400."""
    rates = np.concatenate([np.ravel(eta), np.ravel(eta_p), np.ravel([] if beta is None else beta)])
    rates = rates[rates > 0]
    slowest = float(rates.min()) if rates.size else 1.0
    if slowest * LONGEST < 20.0:
        what = (
            f"a rate of {slowest:g} settles so late that floating point can't follow: at least {20 / LONGEST:g}, or 0"
        )
        raise InputError(what, where="eta, eta_p or beta")
    return max(400.0, 20.0 / slowest)


def _survives_undecayed(p0: Array, s0: Array, tau: Array, alpha_p: Array, sigma2: Array) -> NDArray[np.bool_]:
    """The fate without any decay, exact for any course of tau that ends at `tau`.

    c = s - p^2 / alpha_p is conserved, so s reaches zero only where p^2 = -alpha_p c. Above the parabola (c > 0)
    that is nowhere; on or under it, a mode from p0 > 0 lives if p comes to rest at tau / (1 + sigma2) before that.
    (With predictor decay alone and s0 > 0 every mode grows in the end: p falls below its goal and s then rises.)
    """
    c = offset(p0, s0, alpha_p)
    barrier = np.sqrt(np.clip(-alpha_p * c, 0, None))
    return np.asarray((s0 > 0) & ((c > 0) | ((p0 > 0) & (barrier < tau / (1 + sigma2)))))
