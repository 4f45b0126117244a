"""Figure 5, one mode's course under varied decay and EMA; the map of outcomes over decay or EMA and start; a run's
modes as measured, over the courses that the theory foretells for them.
"""

from typing import Any

import numpy as np
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from sslrun.drawing import GREY, INK, family, panels, plain, shades, style
from sslrun.errors import InputError
from sslrun.theory.dynamics import kappa, simulate
from sslrun.theory.fixed_points import fixed_points
from sslrun.theory.overlay import Eigenvalues, Overlay
from sslrun.theory.phase import Outcome, phase_map
from sslrun.theory.setting import SIGMA2

START = (0.2, 0.04, 0.0)  # p, s, tau
_OUTCOMES = {
    Outcome.COLLAPSE: ("#a8a8a8", "collapse"),
    Outcome.USEFUL: ("#9ecae1", "useful, aligned throughout"),
    Outcome.UNSTABLE: ("#f4b183", "useful, alignment unstable on the way"),
}
_POINTS = 40


@style()
def figure_5() -> Figure:
    """p, s and kappa over time: decay varied above, EMA rate varied below."""
    etas, betas = (0.0, 0.01, 0.04, 0.1, 0.2), (None, 2.0, 0.4, 0.1, 0.05)
    figure, axes = panels(
        2,
        3,
        3.6,
        2.6,
        title="More decay and a slower EMA keep κ up; too much decay collapses, a slow EMA takes its time",
        foot="After figure 5 of arXiv 2102.06810 (β = 0.4 above, η = 0.04 below, as there). Not stated there, "
        "chosen here: p(0) = 0.2, s(0) = 0.04, τ(0) = 0,\n"
        f"αₚ = 1, σ² = {SIGMA2:g}, the values of η and β, the range of time. 'none' freezes τ at 1. "
        "Integrated to rounding error, the paper takes Euler steps of 0.01.",
    )
    times = np.linspace(0, 100, 1001)
    decays: list[tuple[float, float | None, str]] = [(eta, 0.4, f"η = {eta:g}") for eta in etas]
    rates = [(0.04, beta, "β none" if beta is None else f"β = {beta:g}") for beta in betas]
    for row, cases, corner in zip(axes, (decays, rates), ("center right", "lower right"), strict=True):
        courses = {}
        for eta, beta, label in cases:
            p, s, tau = simulate(*START[:2], 1.0 if beta is None else START[2], 1.0, eta, beta, SIGMA2, times)
            courses[label] = p, s, kappa(p, s, tau, 1.0, eta, SIGMA2)
        for number, (ax, name) in enumerate(zip(row, ("p", "s", "κ (unstable below 0)"), strict=True)):
            family(ax, times, {label: course[number] for label, course in courses.items()})
            ax.set_ylabel(name)
        row[2].axhline(0, color=GREY, linewidth=0.6, zorder=1)
        row[0].legend(loc=corner)
    for ax in axes[1]:
        ax.set_xlabel("flow time t")
    return figure


@style()
def phase_figure(
    against: str = "decay",
    *,
    alpha_p: float = 1.0,
    eta: float = 0.04,
    beta: float | None = None,
    tau0: float = 1.0,
    sigma2: float = SIGMA2,
    resolution: int = 80,
) -> Figure:
    """Outcome over p(0) and, `against` decay, weight decay (`eta` is then unused) or, against ema, EMA rate (`beta`).

    Every mode starts on the parabola s = p^2 / alpha_p, with target ratio `tau0`. Raises `InputError` for another map.
    """
    if against not in ("decay", "ema"):
        raise InputError(f"no such map: {against!r}", where="--phase", remedy="decay or ema")
    p0 = np.linspace(0.0, 1.0, resolution)
    if against == "decay":
        varied = np.linspace(0.0, 1.1 / (4 * (1 + sigma2)), resolution)
        found = phase_map(p0, alpha_p=alpha_p, eta=varied[:, None], beta=beta, tau0=tau0, sigma2=sigma2)
        held = f"τ frozen at {tau0:g}" if beta is None else f"β = {beta:g}, τ(0) = {tau0:g}"
    else:
        varied = np.geomspace(0.02, 5.0, resolution)
        found = phase_map(p0, alpha_p=alpha_p, eta=eta, beta=varied[:, None], tau0=tau0, sigma2=sigma2)
        held = f"η = {eta:g}, τ(0) = {tau0:g}"
    foot = f"αₚ = {alpha_p:g}, σ² = {sigma2:g}, s(0) = p(0)²/αₚ"
    figure, axes = panels(1, 1, 6.2, 3.9, title=f"What becomes of a mode  ({held})", foot=foot)
    ax = axes[0, 0]
    colours = ListedColormap([colour for colour, _ in _OUTCOMES.values()])
    bounds = BoundaryNorm([-0.5, 0.5, 1.5, 2.5], 3)
    ax.pcolormesh(p0, varied, found, cmap=colours, norm=bounds, shading="nearest")
    if against == "decay":
        end_tau = tau0 if beta is None else 1.0
        curve = np.linspace(0, 1, 300)
        ax.plot(curve, curve * (end_tau - (1 + sigma2) * curve), "--", color=INK)
        ax.set(ylabel="weight decay η", ylim=(varied[0], varied[-1]))
        label = f"fixed points at τ = {end_tau:g}"
    else:
        ax.set(ylabel="EMA rate β", yscale="log", ylim=(varied[0], varied[-1]))
        points = fixed_points(1.0, eta, sigma2)
        label = "threshold at τ = 1" if points else "η is beyond critical"
        if points:
            ax.axvline(points[0], color=INK, linestyle="--")
    ax.set(xlabel="predictor's eigenvalue at the start, p(0)", xlim=(0, 1))
    handles = [Patch(color=colour, label=name) for colour, name in _OUTCOMES.values()]
    figure.legend(handles=[*handles, *ax.plot([], [], "--", color=INK, label=label)], loc="outside right center")
    return figure


@style()
def overlay_figure(found: Overlay) -> Figure:
    """p and s of every mode over flow time, measured and foretold; at its foot what the flow does not have."""
    qualitative = "; ".join(found.setting.differences)
    foot = f"Qualitative: {qualitative}." if qualitative else ""
    figure, axes = panels(1, 2, 4.7, 3.4, title=plain(f"{found.name}: measured and foretold"), foot=foot)
    shown = np.unique(np.linspace(0, len(found.times_T) - 1, _POINTS).round().astype(int))
    modes = shades(found.measured.p_TJ.shape[1])
    courses: dict[str, tuple[Eigenvalues | None, Any]]
    courses = {"the exact flow": (found.exact, "-"), "each mode alone": (found.alone, "--")}
    if found.setting.rule is not None:
        courses = {"the rule's flow": (found.alone, "-")}
    for column, name in enumerate(("p, eigenvalues of Wₚ", "s, eigenvalues of F")):
        ax = axes[0, column]
        for mode, colour in enumerate(modes):
            ax.plot(found.times_T[shown], found.measured[column][shown, mode], ".", color=colour, markersize=4)
            for course, dashes in courses.values():
                if course is not None:
                    ax.plot(found.times_T, course[column][:, mode], dashes, color=colour, linewidth=1)
        of_largest = ", of the largest" if column and found.setting.rule is not None else ""
        ax.set(xlabel="flow time t", ylabel=name + of_largest)
        low, high = ax.get_ylim()
        if column == 0 and high - low < 0.1:  # p stands still, but for rounding
            ax.set_ylim((low + high) / 2 - 0.5, (low + high) / 2 + 0.5)
    handles = [Line2D([], [], color=INK, linestyle="", marker=".", label="measured")]
    handles += [
        Line2D([], [], color=INK, linewidth=1, linestyle=dashes, label=name)
        for name, (course, dashes) in courses.items()
        if course is not None
    ]
    handles += [Line2D([], [], color=colour, linewidth=3, label=f"mode {mode}") for mode, colour in enumerate(modes, 1)]
    figure.legend(handles=handles, loc="outside right upper")
    return figure
