"""The analyses of several runs in one figure: purity against chance, hardness over epochs, features in a plane.

Draws what `purity_tables` tables; the planes are `sslrun.jobs.analysing`'s.
"""

from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from sslrun.drawing import COLOURS, GREY, INK, STROKES, plain, style
from sslrun.report.purity_tables import CHANCE, MEASURES, VIEWS, Analysed, measured, references
from sslrun.runs.history import series

if TYPE_CHECKING:
    from sslrun.jobs.analysing import Plane

MOST_PLANES = 8
_A_LINE = 4  # planes
_MARKERS = "os^vDPX<>*"
_PALE = ("#8A8A8A", "#C4C4C4", "#A8A8A8", "#D8D8D8")  # what runs are compared with
_CHANCE: Any = {"color": INK, "linewidth": 1, "linestyle": (0, (4, 2))}
_CURVES = {
    "own_column": "Similarity of negatives, own column",
    "other_columns": "Similarity of negatives, other columns",
    "negative_mass": "Softmax mass on negatives, 1 − $p^+$",
    "style_gap": "Same domain less other domains",
}


@style()
def plot(runs: Sequence[Analysed], planes: Sequence[tuple[str, "Plane"]]) -> Figure:
    """The figure of some runs and of titled planes, of which the first `MOST_PLANES` are drawn."""
    planes = planes[:MOST_PLANES]
    views = [kind for kind in VIEWS if any(_has(run, kind) for run in runs)]
    lines = -(-len(planes) // _A_LINE)
    heights = [2.5 + 0.17 * len(runs), *[2.1] * len(views), 2.75 * lines + 0.25]
    figure = Figure(figsize=(10.5, sum(heights)), layout="constrained")
    parts = figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights).ravel()
    _purity(parts[0], runs)
    for part, kind in zip(parts[1:], views, strict=False):
        _hardness(part, runs, kind)
    _planes(parts[-1], planes, lines)
    return figure


def _has(run: Analysed, kind: str) -> bool:
    return any(series(run.history, f"{kind}.{name}")[1] for name in _CURVES)


def _purity(part: SubFigure, runs: Sequence[Analysed]) -> None:
    """A dot for each run, and for what it is compared with, and a line at the level of chance."""
    ax = part.subplots()
    titled = [(run.name, run.metrics, colour) for run, (colour, _) in zip(runs, cycle(STROKES), strict=False)]
    titled += [
        (title, metrics, _PALE[number % len(_PALE)]) for number, (title, metrics) in enumerate(references(runs).items())
    ]
    width, names = 0.8 / len(titled), list(measured(runs[0].metrics))
    for number, (title, metrics, colour) in enumerate(titled):
        places = np.arange(len(names)) + (number + 0.5) * width - 0.4
        marker = "o" if number < len(runs) else "s"
        ax.plot(places, [metrics[name] for name in names], marker, color=colour, markersize=6, label=plain(title))
    for place, name in enumerate(names):
        level = runs[0].metrics[CHANCE[name]]
        ax.plot([place - 0.44, place + 0.44], [level, level], **_CHANCE)
    ax.plot([], [], **_CHANCE, label="chance")
    ax.set_xticks(range(len(names)), [MEASURES[name][0].upper() + MEASURES[name][1:] for name in names])
    ax.tick_params(axis="x", length=0)
    ax.margins(y=0.08)
    ax.set(title="What the features know of the domains", ylabel="part of 1")
    part.legend(loc="outside lower left", ncols=2)


def _hardness(part: SubFigure, runs: Sequence[Analysed], kind: str) -> None:
    """Curves over epochs in the colours of the dots."""
    shown = {
        name: title for name, title in _CURVES.items() if any(series(run.history, f"{kind}.{name}")[1] for run in runs)
    }
    axes: Sequence[Axes] = part.subplots(1, len(shown), squeeze=False)[0]
    for ax, (name, title) in zip(axes, shown.items(), strict=True):
        for run, (colour, dashes) in zip(runs, cycle(STROKES), strict=False):
            ax.plot(*series(run.history, f"{kind}.{name}"), color=colour, linestyle=dashes)
        ax.set_title(title, fontsize=8, weight="normal")
        ax.set(xlabel="epoch")
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        if name == "style_gap":
            ax.axhline(0, color=GREY, linewidth=0.6, zorder=1)
    part.suptitle(f"Hardness of negatives, {VIEWS[kind]}", x=0.01, ha="left", fontsize=9, weight="bold")


def _planes(part: SubFigure, planes: Sequence[tuple[str, "Plane"]], lines: int) -> None:
    """Points in the colour of their domain; classes have markers of their own if there are any, and at most ten."""
    axes = np.atleast_1d(part.subplots(lines, min(_A_LINE, len(planes)))).ravel()
    first = planes[0][1]
    domains, classes = np.unique(first.domains), np.unique(first.labels)
    marked = bool(first.class_names) and len(classes) <= len(_MARKERS)
    for ax, (title, plane) in zip(axes, planes, strict=False):
        order = np.random.default_rng(0).permutation(len(plane.points))  # no domain lies on top of the others
        colours = np.array(COLOURS)[np.searchsorted(domains, plane.domains) % len(COLOURS)]
        for number, label in enumerate(classes):
            of_class = order[plane.labels[order] == label]
            marker = _MARKERS[number] if marked else "o"
            x, y = plane.points[of_class].T
            ax.scatter(x, y, c=colours[of_class], marker=marker, s=9, linewidths=0, alpha=0.6, rasterized=True)
        ax.set_title(plain(title), fontsize=8, weight="normal")
        ax.set(xticks=[], yticks=[], aspect="equal", adjustable="datalim")
        ax.spines[["top", "right"]].set_visible(True)
    for ax in axes[len(planes) :]:
        ax.set_axis_off()
    names = [(first.domain_names[domain], "o", COLOURS[i % len(COLOURS)]) for i, domain in enumerate(domains)]
    if marked:
        names += [(first.class_names[label], _MARKERS[i], GREY) for i, label in enumerate(classes)]
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="", markersize=4.5, label=plain(name))
        for name, marker, colour in names
    ]
    part.legend(handles=handles, loc="outside lower left", ncols=max(len(domains), len(classes) if marked else 0))
    part.suptitle("Features along their first two principal axes", x=0.01, ha="left", fontsize=9, weight="bold")
