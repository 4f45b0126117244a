"""The synthetic figures of arXiv 2102.06810 drawn anew from our own settings, and phase maps.

Each figure says at its foot what the paper leaves unstated and we chose. `plane` has 3, 4 and 10; `modes` has 5, the
phase map and the overlay of a run; `matrices` has 7, 8 and 9. How they look: `sslrun.drawing`.
"""

from collections.abc import Callable

from matplotlib.figure import Figure

from sslrun.errors import InputError
from sslrun.theory.figures.matrices import figure_7, figure_8, figure_9
from sslrun.theory.figures.modes import figure_5, overlay_figure, phase_figure
from sslrun.theory.figures.plane import figure_3, figure_4, figure_10

__all__ = ["FIGURES", "draw", "overlay_figure", "phase_figure"]

FIGURES: dict[int, Callable[[], Figure]] = {
    3: figure_3,
    4: figure_4,
    5: figure_5,
    7: figure_7,
    8: figure_8,
    9: figure_9,
    10: figure_10,
}


def draw(figure: int) -> Figure:
    """Figure `figure` of the paper. Raises `InputError` for one that isn't simulated."""
    if figure not in FIGURES:
        allowed = ", ".join(map(str, FIGURES))
        raise InputError(f"figure {figure} is not one of the simulated ones", remedy=f"ask for one of {allowed}")
    return FIGURES[figure]()
