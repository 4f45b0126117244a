"""How a metric changes with each doubling of a number that a grid varies: the sensitivity to the batch size, say.

A straight line against log2 of an axis' labels, for every condition of the other axes: contrastive methods with and
without BSS, say, as arXiv 2303.06088 compares them. `document` puts the tables into a report.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from sslrun.errors import InputError
from sslrun.report.collecting import NONE, Results
from sslrun.report.layout import Cell, Table
from sslrun.report.statistics import CONFIDENCE
from sslrun.report.tables import Labels, values


@dataclass(frozen=True)
class Slope:
    """Of a line fitted by least squares; what too few points can't tell is NaN."""

    n: int
    slope: float
    low: float
    high: float
    """Bounds of Student's t interval of the slope, n − 2 degrees of freedom."""
    p: float
    """Two-sided p-value of no slope."""


def slope(x: Sequence[float], y: Sequence[float], confidence: float = CONFIDENCE) -> Slope:
    """The least-squares slope of independent values `y` against `x`; NaN where all `x` are one, its interval and p
    for fewer than three points."""
    x_N, y_N = (np.asarray(values, dtype=np.float64) for values in (x, y))
    n = len(x_N)
    spread = float(np.square(x_N - x_N.mean()).sum()) if n else 0.0
    if spread == 0:
        return Slope(n, *[math.nan] * 4)
    found = float(((x_N - x_N.mean()) * (y_N - y_N.mean())).sum()) / spread
    if n < 3:
        return Slope(n, found, *[math.nan] * 3)
    residual_N = y_N - y_N.mean() - found * (x_N - x_N.mean())
    error = math.sqrt(float(np.square(residual_N).sum()) / (n - 2) / spread)
    half = float(stdtrit(n - 2, (1 + confidence) / 2)) * error
    p = float(2 * stdtr(n - 2, -abs(found) / error)) if error > 0 else float(found == 0)
    return Slope(n, found, found - half, found + half, p)


def slopes(results: Results, metrics: Sequence[str], axis: str, without_collapsed: bool = False) -> list[Table]:
    """For each metric a table: the change per doubling of `axis`, a row for each condition of the other axes.

    Raises `InputError` where a label of the axis is not a positive number.
    """
    place = results.axes.index(axis)
    logs = {label: _log2(axis, label) for label in results.order[axis]}
    header = (*(name for name in results.axes if name != axis), f"per doubling of {axis}", "95 % interval", "p", "n")
    note = (
        f"A least-squares line against log2 of {axis}, through all finished seeds; the interval is Student's t for "
        "its slope, of each row alone."
    )
    tables = []
    for metric in metrics:
        points: dict[Labels, tuple[list[float], list[float]]] = {}
        for labels, by_seed in values(results, metric, without_collapsed).items():
            x, y = points.setdefault((*labels[:place], *labels[place + 1 :]), ([], []))
            x += [logs[labels[place]]] * len(by_seed)
            y += by_seed.values()
        rows = tuple((*map(Cell, labels), *_cells(slope(x, y))) for labels, (x, y) in points.items())
        tables.append(Table(f"{metric} per doubling of {axis}", header, rows, (note,)))
    return tables


def _log2(axis: str, label: str) -> float:
    try:
        return math.log2(float(label))
    except ValueError as error:
        raise InputError(
            f"{label!r} is not a positive number: there is no doubling of {axis}",
            where="--slope",
            remedy="Name an axis of positive numbers, training.batch_size say.",
        ) from error


def _cells(found: Slope) -> tuple[Cell, ...]:
    if math.isnan(found.slope):
        return Cell(NONE), Cell(NONE), Cell(NONE), Cell(str(found.n), found.n)
    interval = NONE if math.isnan(found.p) else f"{found.low:+.4f} to {found.high:+.4f}"
    p = NONE if math.isnan(found.p) else "< 0.001" if found.p < 0.001 else f"{found.p:.3f}"
    return (
        Cell(f"{found.slope:+.4f}", found.slope),
        Cell(interval, found.low),
        Cell(p, found.p),
        Cell(str(found.n), found.n),
    )
