"""Where one mode can rest, which rest is stable, and which start leads where (arXiv 2102.06810).

On the invariant parabola s = p^2 / alpha_p, at fixed tau, the flow of `dynamics` is
dp = p^2 [tau - (1 + sigma2) p] - eta p. Scalars in, scalars out; maps over many starts are in `phase`.
"""

import math
from enum import StrEnum

from sslrun.errors import InputError
from sslrun.theory.integration import check_range


class Stability(StrEnum):
    """What a small push does at a fixed point: it comes back, runs off, or depends on the side (half-stable)."""

    STABLE = "stable"
    UNSTABLE = "unstable"
    SADDLE = "saddle"


def critical_decay(tau: float, sigma2: float) -> float:
    """Weight decay tau^2 / (4 (1 + sigma2)) beyond which only collapse is left."""
    _check(tau, 0.0, sigma2)
    return tau**2 / (4 * (1 + sigma2))


def fixed_points(tau: float, eta: float, sigma2: float) -> tuple[float, float] | None:
    """(p_minus, p_plus), the roots of (1 + sigma2) p^2 - tau p + eta = 0; `None` beyond `critical_decay`.

    p_minus is unstable and the threshold, p_plus the stable useful size; 0 is the third fixed point. Without
    weight decay p_minus is 0. Raises `InputError` for negative or non-finite numbers.
    """
    _check(tau, eta, sigma2)
    discriminant = tau**2 - 4 * eta * (1 + sigma2)
    if abs(discriminant) <= 8 * math.ulp(tau**2):  # at the critical decay up to rounding: both roots are one
        discriminant = 0.0
    if discriminant < 0:
        return None
    upper = (tau + math.sqrt(discriminant)) / (2 * (1 + sigma2))
    # The product of the roots is eta / (1 + sigma2); tau - sqrt(...) would cancel for small decay.
    lower = eta / ((1 + sigma2) * upper) if upper > 0 else 0.0
    return lower, upper


def stability(p: float, tau: float, eta: float, sigma2: float) -> Stability:
    """Stability of the fixed point `p` (0, p_minus or p_plus) of the flow on the parabola.

    Off the parabola a push dies as exp(-2 eta t) for eta > 0, so the slope along it decides. A saddle is zero
    without weight decay, or the two roots where they meet. Raises `InputError` if `p` is no fixed point.
    """
    _check(tau, eta, sigma2)
    growing, damping = p * tau, (1 + sigma2) * p**2
    if p != 0 and abs(growing - damping - eta) > 1e-6 * (abs(growing) + damping + eta):
        raise InputError(f"p = {p:g} is not a fixed point at tau {tau:g}, eta {eta:g}, sigma2 {sigma2:g}", where="p")
    if p == 0:
        return Stability.STABLE if eta > 0 else Stability.SADDLE
    # There the slope is p [tau - 2 (1 + sigma2) p]. Where the roots meet, rounding leaves about 1e-8 of tau.
    slack = tau - 2 * (1 + sigma2) * p
    if abs(slack) <= 1e-7 * tau:
        return Stability.SADDLE
    return Stability.UNSTABLE if p * slack > 0 else Stability.STABLE


def _check(tau: float, eta: float, sigma2: float) -> None:
    for name, value in (("tau", tau), ("eta", eta), ("sigma2", sigma2)):
        if not (math.isfinite(value) and value >= 0):
            raise InputError(f"must be finite and not negative, not {value}", where=name)
    check_range(tau=tau, eta=eta, sigma2=sigma2)
