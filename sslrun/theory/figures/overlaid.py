"""A run's modes as measured, over the courses that the theory foretells for them."""

from typing import TYPE_CHECKING

import numpy as np

from sslrun.theory.figures.canvas import canvas, shades
from sslrun.theory.overlay import Overlay
from sslrun.theory.setting import heading

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_POINTS = 40


def overlay_figure(found: Overlay) -> "Figure":
    """p and s of every mode over flow time: dots measured, lines the exact flow, dashes each mode alone."""
    qualitative = "".join(f"  ({line})" for line in heading(found.setting.differences)[:1])
    figure, axes = canvas(
        1,
        2,
        title=f"{found.name}: measured and foretold",
        foot=f"Dots: measured. Lines: the exact flow from the same start. Dashes: each mode alone.{qualitative}",
        height=3.4,
    )
    figure.set_figwidth(9.5)
    J = found.measured.p_TJ.shape[1]
    shown = np.unique(np.linspace(0, len(found.times_T) - 1, _POINTS).round().astype(int))
    for column, name in enumerate(("p", "s")):
        axis = axes[0, column]
        for mode, colour in enumerate(shades(J)):
            axis.plot(found.times_T[shown], found.measured[column][shown, mode], ".", color=colour, ms=4)
            for modes, style in ((found.exact, "-"), (found.alone, "--")):
                if modes is not None:
                    axis.plot(found.times_T, modes[column][:, mode], style, color=colour, lw=1)
        axis.set(xlabel="t", ylabel=name)
    return figure
