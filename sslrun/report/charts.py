"""Many runs drawn: bars of each condition with its seeds, and the mean course and last spectrum of each condition.

Reads histories of the conditions drawn only. `page` puts these into the report's page.
"""

from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure

from sslrun.drawing import COLOURS, INK, LEVEL, STROKES, panels, plain, style
from sslrun.errors import SslrunError
from sslrun.report.collecting import Results
from sslrun.report.intervals import estimate
from sslrun.report.plots import Rows, courses, matrix
from sslrun.report.tables import Labels, conditions, proportion, values
from sslrun.runs.folder import RunFolder
from sslrun.runs.records import FINISHED

MOST_BARS = 60
MOST_CURVES = 14
_MOST_SEEDS = 10

Courses = dict[Labels, list[Rows]]


@style()
def bars(results: Results, metric: str, without_collapsed: bool) -> Figure | None:
    """A bar for each condition's mean (the first `MOST_BARS`), its 95 % interval, and a dot for every seed."""
    found = [(labels, by_seed) for labels, by_seed in values(results, metric, without_collapsed).items() if by_seed]
    if not found:
        return None
    found = found[:MOST_BARS]
    figure, ((ax,),) = panels(1, 1, 6.6, 0.27 * len(found) + 0.75)
    for place, (_, by_seed) in enumerate(found):
        numbers = list(by_seed.values())
        mean = estimate(numbers)
        mean = mean.within(0.0, 1.0) if proportion(results, metric) else mean
        ax.barh(place, mean.mean, height=0.62, color="#C6DBEF", edgecolor="none")
        if mean.n > 1:
            ax.plot([mean.low, mean.high], [place, place], color=COLOURS[0], linewidth=1.6, solid_capstyle="butt")
        ax.plot(numbers, [place] * len(numbers), ".", color=INK, markersize=3.2, alpha=0.75)
    judged = results.numbers.get(metric)
    untrained = str(replace(judged, baseline="untrained")) if judged else ""
    levels = values(results, untrained) if untrained in results.runs else {}
    level = [number for by_seed in levels.values() for number in by_seed.values()]
    if level:
        ax.axvline(float(np.mean(level)), **LEVEL)
    ax.set_yticks(range(len(found)), [_name(labels) for labels, _ in found])
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.invert_yaxis()
    ax.set(xlabel=metric)
    spread = [number for _, by_seed in found for number in by_seed.values()]
    if min(spread) >= 0 and max(spread) <= 1:
        ax.set_xlim(0, 1)
    return figure


def histories(results: Results) -> Courses:
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


@style()
def curves(found: Courses) -> Figure | None:
    """Loss, std and effective rank over epochs, each condition's mean over its seeds."""
    if not found:
        return None
    figure, axes = panels(1, 3, 3.2, 2.6 + 0.17 * -(-len(found) // 3))
    courses(axes[0], [(_name(labels), histories) for labels, histories in found.items()])
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
            ax.plot(range(1, len(mean_D) + 1), mean_D, color=colour, linestyle=dashes, label=_name(labels))
    ax.set(yscale="log", xlabel="mode j", ylabel="$s_j / s_1$ after the last epoch")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower left", ncols=2)
    return figure


def _name(labels: Labels) -> str:
    return plain(" · ".join(labels) or "all runs")
