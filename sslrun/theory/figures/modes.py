"""Figure 5, one mode's course under varied decay and EMA, and the map of outcomes over decay or EMA and start."""

from typing import TYPE_CHECKING, Literal

import numpy as np

from sslrun.theory.dynamics import kappa, simulate
from sslrun.theory.figures.canvas import QUIET, canvas, shades
from sslrun.theory.fixed_points import fixed_points
from sslrun.theory.phase import Outcome, phase_map

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIGMA2 = 0.0009
START = (0.2, 0.04, 0.0)  # p, s, tau


def figure_5() -> "Figure":
    """p, s and kappa over time: decay varied above, EMA rate varied below."""
    etas, betas = (0.0, 0.01, 0.04, 0.1, 0.2), (None, 2.0, 0.4, 0.1, 0.05)
    figure, axes = canvas(
        2,
        3,
        title="More decay and a slower EMA keep kappa up; too much decay collapses, a slow EMA takes its time",
        foot="After figure 5 of arXiv 2102.06810 (beta = 0.4 above, eta = 0.04 below, as there). Not stated there, "
        "chosen here: p(0) = 0.2, s(0) = 0.04, tau(0) = 0,\n"
        f"alpha_p = 1, sigma² = {SIGMA2:g}, the values of eta and beta, the range of time. 'none' freezes tau at 1. "
        "Integrated to rounding error, the paper takes Euler steps of 0.01.",
        height=2.6,
    )
    times = np.linspace(0, 100, 1001)
    decays: list[tuple[float, float | None, str]] = [(eta, 0.4, f"eta = {eta:g}") for eta in etas]
    rates = [(0.04, beta, "beta none" if beta is None else f"beta = {beta:g}") for beta in betas]
    for row, cases, corner in zip(axes, (decays, rates), ("center right", "lower right"), strict=True):
        for (eta, beta, label), colour in zip(cases, shades(len(cases)), strict=True):
            tau0 = 1.0 if beta is None else START[2]
            p, s, tau = simulate(*START[:2], tau0, 1.0, eta, beta, SIGMA2, times)
            for axis, values in zip(row, (p, s, kappa(p, s, tau, 1.0, eta, SIGMA2)), strict=True):
                axis.plot(times, values, color=colour, label=label, lw=1.4)
        row[2].axhline(0, color=QUIET, lw=0.8, zorder=0)
        row[0].legend(fontsize=7, frameon=False, loc=corner)
        for axis, name in zip(row, ("p", "s", "kappa (unstable below 0)"), strict=True):
            axis.set_ylabel(name)
    for axis in axes[1]:
        axis.set_xlabel("t")
    return figure


def phase_figure(
    against: Literal["decay", "ema"] = "decay",
    *,
    alpha_p: float = 1.0,
    eta: float = 0.04,
    beta: float | None = None,
    tau0: float = 1.0,
    sigma2: float = SIGMA2,
    resolution: int = 80,
) -> "Figure":
    """Outcome over p(0) and weight decay (`eta` is then unused) or EMA rate (`beta` is then unused).

    Every mode starts on the parabola s = p^2 / alpha_p, with target ratio `tau0`.
    """
    from matplotlib.colors import BoundaryNorm, ListedColormap
    from matplotlib.patches import Patch

    p0 = np.linspace(0.0, 1.0, resolution)
    if against == "decay":
        varied = np.linspace(0.0, 1.1 / (4 * (1 + sigma2)), resolution)
        found = phase_map(p0, alpha_p=alpha_p, eta=varied[:, None], beta=beta, tau0=tau0, sigma2=sigma2)
        held = f"tau frozen at {tau0:g}" if beta is None else f"beta = {beta:g}, tau(0) = {tau0:g}"
    else:
        varied = np.geomspace(0.02, 5.0, resolution)
        found = phase_map(p0, alpha_p=alpha_p, eta=eta, beta=varied[:, None], tau0=tau0, sigma2=sigma2)
        held = f"eta = {eta:g}, tau(0) = {tau0:g}"
    figure, axes = canvas(
        1,
        1,
        title=f"What becomes of a mode  ({held})",
        foot=f"alpha_p = {alpha_p:g}, sigma² = {sigma2:g}, s(0) = p(0)²/alpha_p",
        height=3.9,
    )
    figure.set_figwidth(6.2)
    axis = axes[0, 0]
    names = {
        Outcome.COLLAPSE: ("#90a4ae", "collapse"),
        Outcome.USEFUL: ("#a5d6a7", "useful, aligned throughout"),
        Outcome.UNSTABLE: ("#ffcc80", "useful, alignment unstable on the way"),
    }
    colours = ListedColormap([colour for colour, _ in names.values()])
    axis.pcolormesh(
        p0, varied, found.outcome, cmap=colours, norm=BoundaryNorm([-0.5, 0.5, 1.5, 2.5], 3), shading="nearest"
    )
    if against == "decay":
        end_tau = tau0 if beta is None else 1.0
        curve = np.linspace(0, 1, 300)
        axis.plot(curve, curve * (end_tau - (1 + sigma2) * curve), color="#1f2933", lw=1.2, ls="--")
        axis.set(ylabel="weight decay eta", ylim=(varied[0], varied[-1]))
        label = f"fixed points at tau = {end_tau:g}"
    else:
        axis.set(ylabel="EMA rate beta", yscale="log", ylim=(varied[0], varied[-1]))
        points = fixed_points(1.0, eta, sigma2)
        label = "threshold at tau = 1" if points else "eta is beyond critical"
        if points:
            axis.axvline(points[0], color="#1f2933", lw=1.2, ls="--")
    axis.set(xlabel="p(0)", xlim=(0, 1))
    handles = [Patch(color=colour, label=name) for colour, name in names.values()]
    dashed = axis.plot([], [], color="#1f2933", lw=1.2, ls="--", label=label)
    figure.legend(handles=[*handles, *dashed], fontsize=7.5, frameon=False, loc="outside right center")
    return figure
