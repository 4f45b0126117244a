"""Many runs drawn: the mean of each condition with its seeds, the mean course and last spectrum of each condition;
or all conditions as a map (`sslrun report --map`).

Reads histories of the conditions drawn only. `page` puts these into the report's page.
"""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from sslrun.drawing import COLOURS, INK, LEVEL, STROKES, panels, plain, style
from sslrun.errors import SslrunError
from sslrun.recipe.schema import Collapse
from sslrun.report.collecting import Results
from sslrun.report.intervals import estimate
from sslrun.report.plots import Rows, bounds, courses, matrix, signals, thresholds
from sslrun.report.table import NONE
from sslrun.report.tables import Labels, conditions, level, proportion, reach, signals_of, summary, values, whose
from sslrun.runs.folder import RunFolder
from sslrun.runs.records import FINISHED, State

MOST_DOTS = 60
MOST_CURVES = 14
_MOST_SEEDS = 10
_SAYS_NOTHING = ("true", "false", "none", "on", "off", "yes", "no", "with", "without", NONE)
"""Labels that say nothing without their axis, as numbers do."""
MARKS = {"complete": "×", "dimensional": "○"}
"""How kinds of collapse are marked, as often as there are such runs: by shape, since ink is white on dark squares."""

Courses = dict[str, list[Rows]]
"""By the condition's name."""


@style()
def dots(results: Results, metric: str, without_collapsed: bool) -> Figure | None:
    """A dot for each condition's mean (the first `MOST_DOTS`) on its 95 % interval, a small one for every seed, and a
    cross where runs have collapsed; lines at what others are compared with. The axis shows where the numbers are."""
    found = [(labels, by_seed) for labels, by_seed in values(results, metric, without_collapsed).items() if by_seed]
    if not found:
        return None
    whole, found = len(found), found[:MOST_DOTS]
    names, of_one = names_of(results), proportion(results, metric)
    collapsed = _collapsed(results)
    figure, ((ax,),) = panels(1, 1, 6.6, 0.27 * len(found) + 1.0)
    for place, (labels, by_seed) in enumerate(found):
        numbers = list(by_seed.values())
        mean = estimate(numbers).within(*reach(results, metric))
        colour = COLOURS[1] if collapsed[labels] else COLOURS[0]
        ax.plot(numbers, [place] * len(numbers), "|", color=INK, markersize=7, alpha=0.6)
        if mean.n > 1:
            ax.plot([mean.low, mean.high], [place, place], color=colour, linewidth=1.6, solid_capstyle="butt")
        ax.plot(mean.mean, place, "X" if collapsed[labels] else "o", color=colour, markersize=6)
    _levels(ax, results, metric)
    ax.set_yticks(range(len(found)), [_told(names[labels], collapsed[labels]) for labels, _ in found])
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.invert_yaxis()
    ax.margins(x=0.04, y=0.6 / len(found))
    ax.set(xlabel=f"{metric}, part of 1" if of_one else metric)
    if whole > len(found):
        left = f"the first {len(found)} of {whole} conditions: --where and --mean choose"
        figure.suptitle(left, x=0.01, horizontalalignment="left")
    shown: Any = {"linestyle": "", "color": COLOURS[0]}
    marks = [
        Line2D([], [], marker="o", label="mean", **shown),
        Line2D([], [], color=COLOURS[0], linewidth=1.6, label="95 % interval of the mean"),
        Line2D([], [], marker="|", linestyle="", color=INK, alpha=0.6, label="a seed"),
    ]
    if any(collapsed[labels] for labels, _ in found):
        marks.append(Line2D([], [], marker="X", linestyle="", color=COLOURS[1], label="with collapsed runs"))
    figure.legend(handles=[*marks, *ax.get_legend_handles_labels()[0]], loc="outside lower left", ncols=3)
    return figure


def _levels(ax: Axes, results: Results, metric: str) -> None:
    """What an evaluation gives the untrained encoder, and the bounds of the verdict, as lines with their names."""
    if (untrained := level(results, metric, "untrained")) is not None:
        who = whose(results, metric, "untrained").removeprefix("the ")
        ax.axvline(untrained, label=f"{who}, {untrained:.3f}", **LEVEL)
    collapse = bounds_of(results)
    verdicts = {"std": ("complete", collapse.std), "rank": ("dimensional", collapse.rank)}
    verdicts |= {"size": ("complete", collapse.std)} if "size" in signals_of(results.runs) else {}
    if metric in verdicts:
        kind, bound = verdicts[metric]
        ax.axvline(bound, label=f"{kind} collapse below {bound:g}", **LEVEL)


def _collapsed(results: Results) -> dict[Labels, str]:
    """Of how many finished runs of each condition how many have collapsed, in words; empty for none."""
    states = results.runs["status"].tolist()
    told = {}
    for labels, members in conditions(results).items():
        ended = [states[row] for row in members if states[row] in FINISHED]
        count = sum(state == State.COLLAPSED for state in ended)
        told[labels] = f"{count} of {len(ended)} collapsed" if count else ""
    return told


def _told(name: str, collapsed: str) -> str:
    return f"{name}\n({collapsed})" if collapsed else name


def bounds_of(results: Results) -> Collapse:
    """The bounds of the verdict, as the first run's recipe has them."""
    first = next((name for name in results.runs.get("folder", []) if isinstance(name, str)), None)
    return Collapse() if first is None else thresholds(RunFolder(results.folder / first))


def names_of(results: Results) -> dict[Labels, str]:
    """What to call each condition: by its labels on the axes that have several, with the axis where one alone would say
    nothing (a number, yes or no)."""
    axes = [(at, axis) for at, axis in enumerate(results.axes) if len(results.order[axis]) > 1]
    bare = {axis: all(_says_what(label) for label in results.order[axis]) for _, axis in axes}

    def name(labels: Labels) -> str:
        parts = (labels[at] if bare[axis] else f"{axis.replace('_', ' ')} {labels[at]}" for at, axis in axes)
        return plain(" · ".join(parts) or "all runs")

    return {labels: name(labels) for labels in conditions(results)}


def _says_what(label: str) -> bool:
    return label not in _SAYS_NOTHING and not label.replace(".", "").replace("-", "").isdecimal()


def histories(results: Results, unfinished: bool = False) -> Courses:
    """The histories of the first `MOST_CURVES` conditions that have finished runs (or any at all that have begun, if
    `unfinished` ones are wanted), at most 10 seeds of each."""
    folders, states = (results.runs[name].tolist() for name in ("folder", "status"))
    found: Courses = {}
    names = names_of(results)
    for labels, members in conditions(results).items():
        done = [row for row in members if states[row] in FINISHED or unfinished][:_MOST_SEEDS]
        histories = [rows for row in done if (rows := _history(RunFolder(results.folder / str(folders[row]))))]
        if histories:
            found[names[labels]] = histories
        if len(found) == MOST_CURVES:
            break
    return found


def _history(folder: RunFolder) -> Rows:
    try:
        return folder.history.read()
    except (OSError, SslrunError):
        return []


@style()
def curves(found: Courses, results: Results) -> Figure | None:
    """Loss and the verdict's signals over epochs, each condition's mean over its seeds; dashed the verdict's bounds."""
    if not found:
        return None
    shown = signals("size" in signals_of(results.runs))
    figure, axes = panels(1, len(shown), 9.6 / len(shown), 2.6 + 0.17 * -(-len(found) // 3))
    courses(axes[0], list(found.items()), shown)
    bounds(axes[0], shown, bounds_of(results))
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower left", ncols=3)
    return figure


@style()
def spectra(found: Courses) -> Figure | None:
    """The last epoch's eigenvalues of F over their largest, each condition's geometric mean over its seeds."""
    lasts = {labels: [matrix(rows[-1:], "spectrum")[1] for rows in several] for labels, several in found.items()}
    lasts = {labels: [s_1D for s_1D in several if s_1D.size and s_1D.max() > 0] for labels, several in lasts.items()}
    if not any(lasts.values()):
        return None
    figure, ((ax,),) = panels(1, 1, 6.6, 3 + 0.17 * -(-len(found) // 2))
    for (labels, several), (colour, dashes) in zip(lasts.items(), STROKES, strict=False):
        if several:
            alike = [s_1D[0] for s_1D in several if len(s_1D[0]) == len(several[0][0])]
            mean_D = np.exp(np.mean(np.log([np.maximum(s_D / s_D.max(), 1e-9) for s_D in alike]), axis=0))
            ax.plot(range(1, len(mean_D) + 1), mean_D, color=colour, linestyle=dashes, label=labels)
    ax.set(yscale="log", xlabel="mode j of F", ylabel="$s_j / s_1$ after the last epoch")
    ax.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower left", ncols=2)
    return figure


@style()
def draw_map(results: Results, metric: str, along: Sequence[str], across: Sequence[str]) -> Figure:
    """`along` the axes down the side, `across` those along the top; both together must be all axes. A square without a
    number says why; one that is not in the grid is empty."""
    means = {tuple(row[axis] for axis in results.axes): row for row in summary(results, [metric]).to_dict("records")}
    rows, columns = (list(product(*(results.order[axis] for axis in axes))) for axes in (along, across))
    grid, texts = np.full((len(rows), len(columns)), np.nan), []
    for line, down in enumerate(rows):
        for column, labels in enumerate(columns):
            found = dict(zip([*along, *across], [*down, *labels], strict=True))
            row = means.get(tuple(found[axis] for axis in results.axes))
            if row is None:
                continue
            if row["n"] == 0:
                why = (f"{int(row[state])} {state}" for state in ("failed", "unfinished", "missing") if row[state])
                texts.append((column, line, "\n".join(why)))
                continue
            grid[line, column] = row["mean"]
            marks = "".join(MARKS[kind] * int(row[kind]) for kind in MARKS)
            texts.append((column, line, f"{row['mean']:#.3g}".rstrip(".") + (f"\n{marks}" if marks else "")))
    longest = max((len(plain(label)) for labels in columns for label in labels), default=0)
    width = max(0.8, 0.09 * longest)  # an inch has eleven letters
    figure = Figure(figsize=(1.6 + width * len(columns), 1.5 + 0.42 * len(rows)), layout="constrained")
    ax = figure.subplots()
    image = ax.imshow(grid, aspect="auto", cmap="cividis")
    for axis, count in ((ax.xaxis, len(columns)), (ax.yaxis, len(rows))):
        axis.set_ticks(np.arange(1, count) - 0.5, minor=True)
    ax.grid(which="minor", color="white", linewidth=1)
    ax.set_xticks(range(len(columns)), ["\n".join(map(plain, labels)) for labels in columns])
    ax.set_yticks(range(len(rows)), [", ".join(map(plain, labels)) for labels in rows])
    ax.set_xlabel(plain(", ".join(across)))
    ax.set_ylabel(plain(", ".join(along)))
    ax.tick_params(which="both", length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    ax.xaxis.set_label_position("top")
    for spine in ax.spines.values():
        spine.set_visible(False)
    low, high = np.nanmin(grid, initial=np.inf), np.nanmax(grid, initial=-np.inf)
    for column, line, text in texts:
        dark = (grid[line, column] - low) < 0.6 * (high - low)
        ax.text(column, line, text, ha="center", va="center", fontsize=7, color="white" if dark else "black")
    figure.colorbar(image, ax=ax, label=plain(metric), shrink=0.8)
    legend = f"{MARKS['complete']}  complete\n{MARKS['dimensional']}  few dimensions"
    legend += "\nempty: no such runs" * (len(texts) < grid.size)
    figure.supxlabel(f"Mean over seeds, a mark for each collapse:\n{legend}", x=0.01, ha="left", fontsize=7)
    return figure
