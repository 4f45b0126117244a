"""What all theory figures share: a page with a title and a foot that names what the paper leaves unstated."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STABLE, UNSTABLE, QUIET = "#c62828", "#2e7d32", "#9aa5b1"  # the paper's red and green; grey for field lines


def canvas(rows: int, columns: int, *, title: str, foot: str, height: float = 3.1) -> "tuple[Figure, Any]":
    """A figure of `rows` x `columns` panels (a 2-D array of axes) with `title` above and `foot` below."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.9 * columns, height * rows + 0.9), dpi=120, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    figure.suptitle(title, fontsize=11)
    figure.supxlabel(foot, fontsize=7.5, color="#52606d")
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8)
        for text in (axis.xaxis.label, axis.yaxis.label):
            text.set_fontsize(9.5)
    return figure, axes


def shades(count: int) -> list[Any]:
    """`count` colours in order, dark to light, for an ordered setting."""
    from matplotlib import colormaps

    return [colormaps["viridis"](value) for value in np.linspace(0.0, 0.85, count)]


def streams(axis: "Axes", x: Any, y: Any, dx: Any, dy: Any) -> None:
    """Field lines of (dx, dy), in grey, on the grid `x` x `y`; the axis then shows just that grid."""
    axis.streamplot(x, y, dx, dy, color=QUIET, density=1.1, linewidth=0.7, arrowsize=0.8)
    axis.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
