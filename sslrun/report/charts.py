"""Many runs drawn: bars of each condition with its seeds, and the mean course and last spectrum of each condition.

Reads histories of the conditions drawn only. `page` puts these into the report's page.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sslrun.errors import SslrunError
from sslrun.report.collecting import Results
from sslrun.report.drawing import COLOURS, GREY, plain, style
from sslrun.report.plots import Rows, matrix, series
from sslrun.report.statistics import estimate
from sslrun.report.tables import Labels, conditions, values
from sslrun.runs.folder import RunFolder
from sslrun.runs.records import FINISHED

MOST_BARS = 60
MOST_CURVES = 14
_MOST_SEEDS = 10
_STROKES = [(colour, dashes) for dashes, colour in product(("-", (0, (3, 1.5))), COLOURS)]

Courses = dict[Labels, list[Rows]]


def bars(results: Results, metric: str, without_collapsed: bool) -> Figure | None:
    """A bar for each condition's mean (the first `MOST_BARS`), its 95 % interval, and a dot for every seed."""
    found = [(labels, by_seed) for labels, by_seed in values(results, metric, without_collapsed).items() if by_seed]
    if not found:
        return None
    found = found[:MOST_BARS]
    with style():
        figure = Figure(figsize=(6.6, 0.27 * len(found) + 0.75), layout="constrained")
        ax = figure.subplots()
        for place, (_, by_seed) in enumerate(found):
            numbers = list(by_seed.values())
            mean = estimate(numbers)
            ax.barh(place, mean.mean, height=0.62, color="#C6DBEF", edgecolor="none")
            if mean.n > 1:
                ax.plot([mean.low, mean.high], [place, place], color=COLOURS[0], linewidth=1.6, solid_capstyle="butt")
            ax.plot(numbers, [place] * len(numbers), ".", color="#202020", markersize=3.2, alpha=0.75)
        number = results.numbers.get(metric)
        untrained = str(replace(number, baseline="untrained")) if number else ""
        found_too = values(results, untrained) if untrained in results.runs else {}
        level = [number for by_seed in found_too.values() for number in by_seed.values()]
        if level:
            ax.axvline(float(np.mean(level)), color=GREY, linewidth=0.9, linestyle=(0, (4, 3)), zorder=0.5)
        ax.set_yticks(range(len(found)), [_name(labels) for labels, _ in found])
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        ax.invert_yaxis()
        ax.set(xlabel=metric)
        spread = [number for _, by_seed in found for number in by_seed.values()]
        if min(spread) >= 0 and max(spread) <= 1:
            ax.set_xlim(0, 1)
    return figure


def courses(results: Results) -> Courses:
    """The histories of the first `MOST_CURVES` conditions that have finished runs, at most 10 seeds of each."""
    folders, states = (results.runs[name].tolist() for name in ("folder", "status"))
    found: Courses = {}
    for labels, members in conditions(results).items():
        done = [row for row in members if states[row] in FINISHED][:_MOST_SEEDS]
        histories = [rows for row in done if (rows := _history(RunFolder(results.folder / str(folders[row]))))]
        if histories:
            found[labels] = histories
        if len(found) == MOST_CURVES:
            break
    return found


def _history(folder: RunFolder) -> Rows:
    try:
        return folder.history.read()
    except (OSError, SslrunError):
        return []


def curves(found: Courses) -> Figure | None:
    """Loss, std and effective rank over epochs, each condition's mean over its seeds."""
    if not found:
        return None
    panels = {"loss": "Loss", "std": "Spread of the outputs, std", "rank": "Effective rank"}
    with style():
        figure = Figure(figsize=(9.6, 2.6 + 0.17 * -(-len(found) // 3)), layout="constrained")
        axes: Sequence[Axes] = figure.subplots(1, 3)
        for ax, (name, title) in zip(axes, panels.items(), strict=True):
            for (labels, histories), (colour, dashes) in zip(found.items(), _STROKES, strict=False):
                epochs, mean = mean_course(histories, name)
                ax.plot(epochs, mean, color=colour, linestyle=dashes, label=_name(labels))
            ax.set(title=title, xlabel="epoch")
        _legend(figure, axes[0])
    return figure


def mean_course(histories: Sequence[Rows], name: str) -> tuple[list[int], list[float]]:
    """(epochs, mean over the runs that have got so far) of one signal."""
    by_epoch: dict[int, list[float]] = {}
    for rows in histories:
        for epoch, value in zip(*series(rows, name), strict=True):
            by_epoch.setdefault(epoch, []).append(value)
    epochs = sorted(by_epoch)
    return epochs, [float(np.mean(by_epoch[epoch])) for epoch in epochs]


def spectra(found: Courses) -> Figure | None:
    """The last epoch's eigenvalues of F over their largest, each condition's geometric mean over its seeds."""
    lasts = {labels: [matrix(rows[-1:], "spectrum")[1] for rows in histories] for labels, histories in found.items()}
    lasts = {labels: [s_1D for s_1D in several if s_1D.size and s_1D.max() > 0] for labels, several in lasts.items()}
    if not any(lasts.values()):
        return None
    with style():
        figure = Figure(figsize=(6.6, 3 + 0.17 * -(-len(found) // 2)), layout="constrained")
        ax = figure.subplots()
        for (labels, several), (colour, dashes) in zip(lasts.items(), _STROKES, strict=False):
            if several:
                shares = [
                    np.maximum(s_1D[0] / s_1D.max(), 1e-9) for s_1D in several if len(s_1D[0]) == len(several[0][0])
                ]
                mean_D = np.exp(np.mean(np.log(shares), axis=0))
                modes = range(1, len(mean_D) + 1)
                ax.plot(modes, mean_D, color=colour, linestyle=dashes, label=_name(labels))
        ax.set(yscale="log", xlabel="mode j", ylabel="$s_j / s_1$ after the last epoch")
        _legend(figure, ax)
    return figure


def _name(labels: Labels) -> str:
    return plain(" · ".join(labels) or "all runs")


def _legend(figure: Figure, ax: Axes) -> None:
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=3 if figure.get_figwidth() > 8 else 2)
