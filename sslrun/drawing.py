"""How all figures look: one style, one palette that colour-blind readers tell apart, and how a figure becomes a file.

Figures are matplotlib's own objects, never pyplot's global ones; what draws one is decorated with `@style()`. What is
drawn: `sslrun.report.plots` (one or two runs), `charts` and `purity_figure` (many), `sslrun.theory.figures`.
"""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from textwrap import wrap
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sslrun.console import visible
from sslrun.errors import InputError
from sslrun.files import replacing

# Okabe and Ito's colours: distinct in any colour vision. Yellow, hard to see on white, is left out.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY, INK = "#767676", "#202020"
STROKES = [(colour, dashes) for dashes, colour in product(("-", (0, (3, 1.5))), COLOURS)]
"""Colour and dashes of the first, the second, ... of many lines in one panel."""
LEVEL: Any = {"color": GREY, "linewidth": 0.9, "linestyle": (0, (4, 3)), "zorder": 0.5}
"""A line at a value that others are compared with."""
_LETTERS_AN_INCH = 19.0
"""Of a foot's small type, at the least."""
_LONGEST = 80
"""Letters of a user's text in a figure."""
SUFFIXES = (".png", ".svg", ".pdf")

_STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.labelsize": 8.5,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#404040",
    "axes.labelcolor": "#202020",
    "xtick.color": "#404040",
    "ytick.color": "#404040",
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.4,
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "svg.fonttype": "none",
    "pdf.fonttype": 42,  # TrueType: those who check submissions refuse matplotlib's own Type 3
    "axes.formatter.useoffset": False,
    "svg.hashsalt": "sslrun",
    "image.cmap": "cividis",
}


def plain(text: str) -> str:
    """A user's text for a figure: one line, not too long; no sign is taken for mathematics, and none steers."""
    line = visible(text).replace("\n", " ").replace("\t", " ")
    return (line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…").replace("$", r"\$")


@contextmanager
def style() -> Iterator[None]:
    """Everything drawn and saved within looks alike; also a decorator."""
    with matplotlib.rc_context(_STYLE):
        yield


def panels(
    lines: int, columns: int, width: float, height: float, *, title: str = "", foot: str = ""
) -> tuple[Figure, Any]:
    """A figure of lines × columns panels (a 2-D array of axes), each about `width` × `height` inches, with a title
    above and a foot below, wrapped where it would be cut off."""
    letters = round(width * columns * _LETTERS_AN_INCH)
    foot = "\n".join("\n".join(wrap(line, letters)) for line in foot.splitlines())
    extra = 0.3 * bool(title) + (0.3 + 0.13 * foot.count("\n")) * bool(foot)
    figure = Figure(figsize=(width * columns, height * lines + extra), layout="constrained")
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=9)
    if foot:
        figure.supxlabel(foot, x=0.01, ha="left", fontsize=7, color=GREY)
    return figure, figure.subplots(lines, columns, squeeze=False)


def shades(count: int) -> list[Any]:
    """`count` colours in order, dark to light, for an ordered setting."""
    return [matplotlib.colormaps["viridis"](value) for value in np.linspace(0.0, 0.85, count)]


def family(ax: Axes, x: Any, curves: Mapping[str, Any]) -> None:
    """Curves over `x` by their labels, in the shades of an ordered setting."""
    for (label, y), colour in zip(curves.items(), shades(len(curves)), strict=True):
        ax.plot(x, y, color=colour, label=label)


def check_suffix(path: Path) -> Path:
    """`path`, if figures can be written so. Raises `InputError` for another kind of file."""
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"figures are written as {', '.join(SUFFIXES)}, not {path.suffix or 'a file without a suffix'}",
            where=str(path),
        )
    return path


def save(figure: Figure, path: Path) -> None:
    """Write a figure in the format of the file's suffix, whole or not at all. Equal figures give equal files."""
    kind = check_suffix(path).suffix[1:].lower()
    path.parent.mkdir(parents=True, exist_ok=True)
    with style(), replacing(path) as part:
        figure.savefig(part, format=kind, metadata=_UNDATED[kind])


def as_pixels(figure: Figure) -> np.ndarray:
    """A figure as RGB pixels (H, W, 3), uint8."""
    from PIL import Image

    with style():
        figure.savefig(file := io.BytesIO(), format="png", dpi=100)
    return np.asarray(Image.open(file).convert("RGB"))


_UNDATED: dict[str, dict[str, Any]] = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}


def as_svg(figure: Figure) -> str:
    """A figure as an <svg> element to stand in a page; its text stays text."""
    text = io.StringIO()
    with style():
        figure.savefig(text, format="svg", metadata=_UNDATED["svg"], transparent=True)
    whole = text.getvalue()
    return whole[whole.index("<svg") :]
