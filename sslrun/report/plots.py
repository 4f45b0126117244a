"""Runs drawn: one with its loss, the signals with the thresholds of the verdict, and what became of its spectrum; or
two side by side.

Reads the runs' folders alone and draws what their histories hold, of a run that is still training too.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sslrun.drawing import COLOURS, GREY, LEVEL, STROKES, panels, plain, style
from sslrun.errors import InputError
from sslrun.recipe import read_recipe
from sslrun.recipe.explain import explain, value_text
from sslrun.recipe.schema import Collapse
from sslrun.recipe.schema.base import defined
from sslrun.recipe.schema.judging import EvaluationSection
from sslrun.runs.cells import ACCURACY, Number
from sslrun.runs.folder import RunFolder
from sslrun.runs.history import DAMAGED, series
from sslrun.runs.records import State
from sslrun.runs.status import state_of
from sslrun.runs.verdict import WORDS

Rows = Sequence[dict[str, Any]]
_MOST_OPTIONS = 3  # that name a curve
Panel = Callable[[Figure, Axes, Rows], None]
SIGNALS = {
    "loss": "Loss",
    "std": "Spread of the outputs",
    "size": "Size of the outputs",
    "rank": "Effective rank",
}
_AXES = {
    "loss": "loss",
    "std": "std, 1 where fully spread",
    "size": "root mean square",
    "rank": "dimensions in use",
}


@style()
def plot_run(folder: RunFolder) -> Figure:
    """The figure of a run. Raises `InputError` if it has no history yet."""
    rows, collapse = history(folder), thresholds(folder)
    there = [name for name in signals(sized(folder)) if series(rows, name)[1]]
    drawn: list[Panel] = [partial(_signal, name=name, collapse=collapse) for name in there]
    if any(_probes(row) for row in rows):
        drawn.append(_probe)
    drawn.append(_spectrum)
    if any(row.get("alignments") for row in rows):
        drawn += [_alignment, _eigenvalues]
    if any(row.get("asymmetry") is not None for row in rows):
        drawn.append(_structure)
    columns = 2 if len(drawn) <= 4 else 3 if len(drawn) <= 6 else 4
    figure, axes = panels(-(-len(drawn) // columns), columns, 2.75, 2.35, title=_title(folder))
    for panel, ax in zip(drawn, axes.flat, strict=False):
        panel(figure, ax, rows)
        if ax.get_xlabel().startswith("epoch"):
            ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
            if len(rows) == 1:
                ax.set(xlim=(rows[0]["epoch"] - 0.5, rows[0]["epoch"] + 0.5), xticks=[rows[0]["epoch"]])
    for ax in axes.flat[len(drawn) :]:
        ax.set_axis_off()
    figure.draw_without_rendering()  # once is not enough: ticks change with the sizes that the layout gives
    return figure


@style()
def plot_two(a: RunFolder, b: RunFolder) -> Figure:
    """Loss, what the verdict rests on, and the last spectrum of both. Raises `InputError` if one has no history yet."""
    names = differing(a, b)
    both = [(plain(name), [history(folder)]) for name, folder in zip(names, (a, b), strict=True)]
    shown = signals(sized(a) or sized(b))
    figure, axes = panels(1, len(shown) + 1, 2.75, 2.9)
    courses(axes[0], both, shown)
    bounds(axes[0], shown, thresholds(a))
    for (_, (rows,)), (colour, _) in zip(both, STROKES, strict=False):
        _, s_ED = matrix(rows, "spectrum")
        if s_ED.size and s_ED[-1].max() > 0:
            s_D = s_ED[-1][s_ED[-1] > 1e-9 * s_ED[-1].max()]
            axes[0, -1].plot(range(1, len(s_D) + 1), s_D, color=colour)
    axes[0, -1].set(title="Eigenvalues of F, last epoch", xlabel="mode j", ylabel="$s_j$", yscale="log")
    axes[0, -1].xaxis.set_major_locator(MaxNLocator(6, integer=True))
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower left", ncols=2)
    return figure


def signals(of_size: bool) -> list[str]:
    """What is drawn of a run first: its loss and the signals that its verdict rests on, by size where its loss is."""
    return [name for name in SIGNALS if of_size or name != "size"]


def courses(axes: Sequence[Axes], found: Sequence[tuple[str, Sequence[Rows]]], names: Sequence[str]) -> None:
    """The named signals over epochs, a panel each: of each labelled group of runs the mean."""
    for ax, name in zip(axes, names, strict=False):
        for (label, histories), (colour, dashes) in zip(found, STROKES, strict=False):
            course(ax, *mean_course(histories, name), color=colour, linestyle=dashes, label=label)
        ax.set(title=SIGNALS[name], xlabel="epoch", ylabel=_AXES[name])


def course(ax: Axes, epochs: Sequence[int], values: Any, **look: Any) -> None:
    """A line over epochs; a point where there is one alone, of which no line would be seen."""
    ax.plot(epochs, values, marker="." if len(epochs) == 1 else None, **look)


def mean_course(histories: Sequence[Rows], name: str) -> tuple[list[int], list[float]]:
    """(epochs, mean over the runs that have got so far) of one signal."""
    by_epoch: dict[int, list[float]] = {}
    for rows in histories:
        for epoch, value in zip(*series(rows, name), strict=True):
            by_epoch.setdefault(epoch, []).append(value)
    epochs = sorted(by_epoch)
    return epochs, [float(np.mean(by_epoch[epoch])) for epoch in epochs]


def history(folder: RunFolder) -> Rows:
    """The rows of a run's history. Raises `InputError` if there is none yet, or its first line is damaged."""
    rows = folder.history.read()
    if not rows:
        if damage := folder.history.damage():
            raise InputError(f"{damage[1]}: nothing to draw", where=damage[0], remedy=DAMAGED)
        if gone := folder.last_row(folder.status)[1]:
            raise InputError(f"{gone[1]}: nothing to draw", where=gone[0], remedy=DAMAGED)
        raise InputError("this run has no history yet: nothing to draw", where=str(folder.path))
    return rows


def thresholds(folder: RunFolder) -> Collapse:
    """The std and the rank below which the run's recipe calls it collapsed; the defaults if it can't be read."""
    try:
        return Collapse(**folder.record.recipe["training"]["collapse"])
    except (InputError, ValueError, KeyError, TypeError):
        return Collapse()


def sized(folder: RunFolder) -> bool:
    """Whether the run's loss is of its outputs' size too; no if its recipe can't be read."""
    try:
        return read_recipe(folder.recipe).method.sized
    except (InputError, OSError):
        return False


def _title(folder: RunFolder) -> str:
    try:
        status = folder.status
    except InputError:
        return plain(folder.path.name)
    where = f"epoch {status.epoch} of {status.epochs}" if status.epochs else f"epoch {status.epoch}"
    state = WORDS.get(status.verdict or "", state_of(folder).value)
    why = f": {plain(status.reason.splitlines()[0])}" if status.reason and state == State.FAILED else ""
    return f"{plain(folder.path.name)}   {state}, {where}{why}"


def _signal(figure: Figure, ax: Axes, rows: Rows, name: str, collapse: Collapse) -> None:
    course(ax, *series(rows, name), color=COLOURS[0])
    ax.set(title=SIGNALS[name], xlabel="epoch", ylabel=_AXES[name])
    bounds([ax], [name], collapse)


def differing(a: RunFolder, b: RunFolder) -> tuple[str, str]:
    """What to call two runs: by the options in which they differ, sections by their kinds; by their folders' names if
    these are many, or none."""
    names = a.path.name, b.path.name
    try:
        found = explain(read_recipe(a.recipe), read_recipe(b.recipe)).differences
    except (InputError, OSError):
        return names
    told = [each for each in found if each.part == "science"]
    if not 0 < len(told) <= _MOST_OPTIONS:
        return names
    options = [each.path.rpartition(".")[2].replace("_", " ") for each in told]
    ours, theirs = (
        ", ".join(f"{option} {_kind_or_value(value)}" for option, value in zip(options, values, strict=True))
        for values in ([each.a for each in told], [each.b for each in told])
    )
    return ours, theirs


def _kind_or_value(value: Any) -> str:
    return str(value["kind"]) if isinstance(value, dict) and "kind" in value else value_text(value)


def bounds(axes: Sequence[Axes], names: Sequence[str], collapse: Collapse) -> None:
    """The verdict's bounds in the panels of the named signals, as `courses` has them."""
    for ax, name in zip(axes, names, strict=False):
        if name in ("std", "size"):
            threshold(ax, collapse.std, "complete collapse")
        elif name == "rank":
            threshold(ax, collapse.rank, "dimensional collapse")


def threshold(ax: Axes, value: float, below: str) -> None:
    """A dashed line; under the axis, where no curve goes, what ends below it. The axis starts at zero."""
    largest = ax.dataLim.y1 if np.isfinite(ax.dataLim.y1) else 0.0
    ax.set_ylim(0, max(1.05 * largest, 1.25 * value))
    ax.axhline(value, **LEVEL)
    # In short lines, which do not meet those of the next panel.
    ax.set_xlabel(f"{ax.get_xlabel()}\ndashed: below {value:.2g}\n{below}")


def _probes(row: dict[str, Any]) -> list[Number]:
    return [number for name in row if row[name] is not None and (number := Number.of_signal(name))]


def _probe(figure: Figure, ax: Axes, rows: Rows) -> None:
    numbers = dict.fromkeys(number for row in rows for number in _probes(row))
    accuracies = {kind.NAME: set(kind.METRICS).intersection(kind.COLUMNS) for kind in defined(EvaluationSection)}
    shown = [number for number in numbers if number.metric in accuracies.get(number.kind, {ACCURACY})]
    for number, colour in zip(shown, COLOURS, strict=False):
        label = str(number).replace("_", " ").replace(".", ", ")
        ax.plot(*series(rows, number.signal), color=colour, marker=".", markersize=4, label=label)
    ax.legend()
    ax.set(title="Probes on the way", xlabel="epoch", ylabel="accuracy, part of 1")


def matrix(rows: Rows, name: str) -> tuple[list[int], np.ndarray]:
    """(epochs, values (epochs, modes)) of a signal that is a list, as long as the last one."""
    found = [(row["epoch"], row[name]) for row in rows if row.get(name)]
    found = [(epoch, values) for epoch, values in found if len(values) == len(found[-1][1])]
    return [epoch for epoch, _ in found], np.array([values for _, values in found], dtype=float)


def _spectrum(figure: Figure, ax: Axes, rows: Rows) -> None:
    epochs, s_ED = matrix(rows, "spectrum")
    if len(epochs) == 0:
        ax.set_axis_off()
        return
    modes = s_ED.shape[1]
    colours = ScalarMappable(Normalize(1, modes), "viridis_r")
    rgba_D = colours.to_rgba(np.arange(1, modes + 1))
    for mode in reversed(range(modes)):
        course(ax, epochs, s_ED[:, mode], color=rgba_D[mode], linewidth=0.8)
    positive = s_ED[s_ED > 0]
    if len(positive):
        # Rounding's tail would stretch the axis far below what means anything.
        ax.set(yscale="log", ylim=(max(positive.min(), positive.max() * 1e-9) / 1.5, positive.max() * 1.5))
    ax.set(title="Eigenvalues of F", xlabel="epoch\ncolour: mode j", ylabel="$s_j$")
    bar = figure.colorbar(colours, ax=ax, pad=0.02, aspect=25, ticks=MaxNLocator(5, integer=True))
    bar.outline.set_visible(False)


def _alignment(figure: Figure, ax: Axes, rows: Rows) -> None:
    epochs, a_ED = matrix(rows, "alignments")
    edges = np.append(np.array(epochs) - 0.5, epochs[-1] + 0.5)
    modes = np.arange(a_ED.shape[1] + 1) + 0.5
    limits = Normalize(min(0.0, float(np.nanmin(a_ED))), 1)
    image = ax.pcolormesh(edges, modes, a_ED.T, norm=limits, rasterized=True)
    ax.invert_yaxis()
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.set(title="Alignment of $W_p$ with F", xlabel="epoch\ncolour: $a_j$, 1 where aligned", ylabel="mode j of F")
    figure.colorbar(image, ax=ax, pad=0.02, aspect=25).outline.set_visible(False)


def _eigenvalues(figure: Figure, ax: Axes, rows: Rows) -> None:
    both = [row for row in rows if row.get("p") and row.get("spectrum")]
    picked = [both[index] for index in sorted({round(part * (len(both) - 1)) for part in (0, 0.25, 1)})]
    for row, colour in zip(picked, ("#B8B8B8", "#56B4E9", COLOURS[0]), strict=False):
        s_D, p_D = np.array(row["spectrum"], dtype=float), np.array(row["p"], dtype=float)
        keep = s_D > 1e-9 * s_D.max()
        ax.plot(np.sqrt(s_D[keep]), p_D[keep], ".", color=colour, markersize=5, label=f"epoch {row['epoch']}")
    # Against the root, since on the theory's parabola p_j² = α_p s_j (arXiv 2102.06810, Theorem 1).
    ax.set(title="Eigenvalues of $W_p$ and F", xlabel=r"$\sqrt{s_j}$", ylabel="$p_j = u_j^T W_p u_j$")
    low, high = ax.dataLim.intervalx
    ax.set_xscale("log" if high > 10 * low else "linear")  # within a decade its ticks would run into each other
    ax.legend(loc="upper left", handletextpad=0.2)


def _structure(figure: Figure, ax: Axes, rows: Rows) -> None:
    names = {
        "alignment": "alignment, $s_j > s_1/1000$",
        "asymmetry": "asymmetry of $W_p$",
        "commutator": "$[F, W_p]$, relative",
        "smallest_eigenvalue": "smallest eigenvalue",
        "proportionality": "target ∝ online",
    }
    for (name, label), colour in zip(names.items(), COLOURS, strict=False):
        epochs, values = series(rows, name)
        if values:
            course(ax, epochs, values, color=colour, label=label)
    ax.axhline(0, color=GREY, linewidth=0.6, zorder=1)
    ax.set(title="Predictor and target", xlabel="epoch")
    # Below the axis, where it hides nothing.
    ax.legend(loc="upper center", bbox_to_anchor=(0.45, -0.22), fontsize=7, ncols=2, columnspacing=1, handlelength=1)
