"""Figures 3, 4 and 10: flow lines in a plane, with stable fixed points filled red and unstable ones hollow green."""

from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sslrun.drawing import COLOURS, GREY, INK, panels, style
from sslrun.theory.dynamics import flow, growth
from sslrun.theory.fixed_points import Stability, critical_decay, fixed_points, stability
from sslrun.theory.linear import LinearProblem, linear_flow

TAU, SIGMA2 = 1.0, 0.0009
STABLE, UNSTABLE = COLOURS[1], COLOURS[2]  # the paper's red and green


@style()
def figure_3() -> Figure:
    """Flow of (p, s) at fixed tau for three weight decays, with the invariant parabola and the fixed points."""
    figure, axes = panels(
        1,
        3,
        3.6,
        3.4,
        title="Weight decay draws every mode onto the parabola, then decides which survive  (τ = 1, αₚ = 1)",
        foot="After figure 3 of arXiv 2102.06810. Filled red: stable, hollow green: unstable, dashed: s = p²/αₚ.\n"
        f"Not stated there, chosen here: σ² = {SIGMA2:g}, axis ranges.",
    )
    p, s = np.linspace(-0.6, 1.4, 61), np.linspace(0.0, 1.4, 61)
    P, S = np.meshgrid(p, s)
    for ax, eta in zip(axes.flat, (0.0, 0.01, 1.0), strict=True):
        dp, ds, _ = flow(P, S, np.full_like(P, TAU), 1.0, eta, None, SIGMA2)
        _streams(ax, p, s, dp, ds)
        ax.plot(p, p**2, "--", color=INK, linewidth=1)
        if eta == 0:
            _undecayed_branches(ax, p, s[-1])
        else:
            points = fixed_points(TAU, eta, SIGMA2) or ()
            dots = [(x, x**2, stability(x, TAU, eta, SIGMA2)) for x in (0.0, *points)]
            _dots(ax, dots)
            if points:
                _origin_enlarged(ax, dots, 2 * points[0])
        ax.set(xlabel="p", title=f"η = {eta:g}", ylim=(-0.04, s[-1]))
    axes[0, 0].set_ylabel("s")
    return figure


@style()
def figure_4() -> Figure:
    """dp/dt along the parabola for no, small and large weight decay: its zeros are where a mode can rest."""
    figure, axes = panels(
        1,
        3,
        3.6,
        2.7,
        title="Where a mode can rest: zeros of dp/dt = p² [τ − (1 + σ²) p] − η p",
        foot="After figure 4 of arXiv 2102.06810, a sketch there. Filled red: stable, hollow green: unstable.\n"
        f"Chosen here: τ = {TAU:g}, σ² = {SIGMA2:g}, the decays (critical: {critical_decay(TAU, SIGMA2):.6g}).",
    )
    p = np.linspace(-0.15, 1.15, 400)
    for ax, (name, eta) in zip(axes.flat, (("no", 0.0), ("small", 0.1), ("large", 0.3)), strict=True):
        ax.axhline(0, color=GREY, linewidth=0.6)
        ax.plot(p, p * growth(p, TAU, eta, SIGMA2), color=INK)
        rests = [0.0, *(x for x in fixed_points(TAU, eta, SIGMA2) or () if x > 0)]
        _dots(ax, [(x, 0.0, stability(x, TAU, eta, SIGMA2)) for x in rests])
        for left, right in pairwise([-0.15, *rests, 1.15]):
            middle = 0.5 * (left + right)
            towards = np.sign(middle * growth(middle, TAU, eta, SIGMA2)) * 0.2 * (right - left)
            arrow = {"arrowstyle": "->", "color": GREY}
            ax.annotate("", (middle + towards, 0), (middle - towards, 0), arrowprops=arrow)
        ax.set(xlabel="p", title=f"{name} decay (η = {eta:g})", xlim=(-0.15, 1.15), ylim=(-0.2, 0.2))
    axes[0, 0].set_ylabel("dp/dt")
    return figure


@style()
def figure_10() -> Figure:
    """The scalar system of appendix D: predictor free, predictor tied to the network, no predictor."""
    same, across = 1.0, 0.5
    figure, axes = panels(
        1,
        3,
        3.6,
        3.4,
        title=r"One mode, $\lambda_s = 1$, $\lambda_d = 1/2$, $\alpha_p = \beta = 1$, no weight decay",
        foot="After figure 10 of arXiv 2102.06810. Filled red: stable, hollow green: unstable.\n"
        "Chosen here: axis ranges.",
    )
    grid = np.linspace(-1.5, 1.5, 61)
    X, Y = np.meshgrid(grid, grid)
    one = np.ones_like(X)
    problem = LinearProblem(X_MM=np.eye(1) * across, X_prime_MM=np.eye(1) * (same - across), beta=1.0)

    def scalar_flow(*weights: np.ndarray) -> list[np.ndarray]:
        return [change[..., 0, 0] for change in linear_flow(problem, *(w[..., None, None] for w in weights))]

    free, tied, none = axes.flat
    dw, dw_p, _ = scalar_flow(X, Y, one)
    _streams(free, grid, grid, dw, dw_p)
    for branch in (np.linspace(across / 1.5, 1.5, 100), np.linspace(-1.5, -across / 1.5, 100)):
        free.plot(branch, across / (same * branch), color=STABLE, linewidth=2)
    _dots(free, [(0, 0, Stability.SADDLE)])
    free.set(title="target frozen at wₐ = 1", xlabel="w", ylabel="wₚ")

    dw, _, dw_a = scalar_flow(X, X, Y)
    _streams(tied, grid, grid, dw, dw_a)
    _dots(tied, [(0, 0, Stability.UNSTABLE), (across / same, across / same, Stability.STABLE)])
    tied.set(title="predictor tied to the network, wₚ = w", xlabel="w = wₚ", ylabel="wₐ")

    dw, _, dw_a = scalar_flow(X, one, Y)
    _streams(none, grid, grid, dw, dw_a)
    _dots(none, [(0, 0, Stability.STABLE)])
    none.set(title="no predictor, wₚ = 1: only collapse", xlabel="w", ylabel="wₐ")
    return figure


def _streams(ax: Axes, x: np.ndarray, y: np.ndarray, dx: np.ndarray, dy: np.ndarray) -> None:
    """Field lines of (dx, dy), in grey, on the grid `x` x `y`; the axes then show just that grid."""
    ax.streamplot(x, y, dx, dy, color="#9aa5b1", density=1.1, linewidth=0.7, arrowsize=0.8)
    ax.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))


def _dots(ax: Axes, points: list[tuple[float, float, Stability]]) -> None:
    for x, y, kind in points:
        stable = kind == Stability.STABLE
        colour = STABLE if stable else UNSTABLE
        face = colour if stable else "white"
        look: Any = {"markerfacecolor": face, "markeredgecolor": colour, "markeredgewidth": 1.8}
        ax.plot(x, y, "o", markersize=7, zorder=5, clip_on=False, **look)


def _undecayed_branches(ax: Axes, p: np.ndarray, top: float) -> None:
    """Without decay: a line of useful rests, and s = 0, where s grows (unstable) for 0 < p < tau / (1 + sigma2)."""
    goal = TAU / (1 + SIGMA2)
    ax.plot([goal, goal], [0, top], color=STABLE, linewidth=2.5)
    for left, right, colour in ((p[0], 0.0, STABLE), (0.0, goal, UNSTABLE), (goal, p[-1], STABLE)):
        ax.plot([left, right], [0, 0], color=colour, linewidth=2.5, clip_on=False)


def _origin_enlarged(ax: Axes, dots: list[tuple[float, float, Stability]], width: float) -> None:
    """An inset that shows the collapsed point and the threshold apart, which are too near at full size."""
    inset = ax.inset_axes((0.05, 0.56, 0.36, 0.36))
    p = np.linspace(-0.5 * width, width, 50)
    inset.plot(p, p**2, "--", color=INK, linewidth=1)
    _dots(inset, [dot for dot in dots if dot[0] <= width])
    inset.set(xlim=(p[0], width), ylim=(-0.1 * width**2, width**2), xticks=[0, 0.5 * width], yticks=[])
    inset.set_xticklabels(["0", f"{0.5 * width:.3g}"], fontsize=7)
    inset.set_title("near the origin", fontsize=7, pad=2, backgroundcolor="white")
