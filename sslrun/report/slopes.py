"""How a metric changes with each doubling of a number that a grid varies: the sensitivity to the batch size, say.

A straight line against log2 of an axis' labels, for every condition of the other axes: contrastive methods with and
without BSS, say, as arXiv 2303.06088 compares them. `document` puts the tables into a report.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scipy.special import stdtrit

from sslrun.errors import InputError
from sslrun.grids.power import CONFIDENCE
from sslrun.report.collecting import Results
from sslrun.report.intervals import NO_SPREAD
from sslrun.report.table import Cell, Table, count, interval, number, p_value
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


def slope(x: Sequence[float], y: Sequence[float]) -> Slope:
    """The least-squares slope of independent values `y` against `x`; NaN where all `x` are one, its interval and p
    for fewer than three points and for points that lie on a line."""
    from scipy.stats import linregress  # takes a second to import

    n = len(x)
    if len(set(x)) < 2:
        return Slope(n, *[math.nan] * 4)
    line = linregress(x, y)
    if n < 3:
        return Slope(n, float(line.slope), *[math.nan] * 3)
    found, half = float(line.slope), float(stdtrit(n - 2, (1 + CONFIDENCE) / 2) * line.stderr)
    if line.stderr * math.dist(x, [sum(x) / n] * n) <= NO_SPREAD:  # points on a line: no spread to judge by
        return Slope(n, found, *[math.nan] * 3)
    return Slope(n, found, found - half, found + half, float(line.pvalue))


def slopes(
    results: Results, metrics: Sequence[str], axis: str, without_collapsed: bool = False
) -> list[dict[str, Any]]:
    """For each metric and each condition of the other axes a row: labels, `metric`, `doubling_of` (the axis), and the
    `Slope` of its line.

    Raises `InputError` where a label of the axis is not a positive number.
    """
    place = results.axes.index(axis)
    logs = {label: _log2(axis, label) for label in results.order[axis]}
    others = (*results.axes[:place], *results.axes[place + 1 :])
    rows = []
    for metric in metrics:
        points: dict[Labels, tuple[list[float], list[float]]] = {}
        for labels, by_seed in values(results, metric, without_collapsed).items():
            x, y = points.setdefault((*labels[:place], *labels[place + 1 :]), ([], []))
            x += [logs[labels[place]]] * len(by_seed)
            y += by_seed.values()
        for labels, (x, y) in points.items():
            about = {**dict(zip(others, labels, strict=True)), "metric": metric, "doubling_of": axis}
            rows.append({**about, **vars(slope(x, y))})
    return rows


def slope_tables(rows: Sequence[dict[str, Any]]) -> list[Table]:
    """A table for each metric."""
    tables = []
    for metric, axis in dict.fromkeys((row["metric"], row["doubling_of"]) for row in rows):
        ours = [row for row in rows if row["metric"] == metric]
        others = list(ours[0])[: list(ours[0]).index("metric")]
        cells = tuple(
            (
                *(Cell(row[name]) for name in others),
                number(row["slope"], "+.4f"),
                interval(row["low"], row["high"], "+.4f"),
                p_value(row["p"]),
                count(row["n"]),
            )
            for row in ours
        )
        note = (
            f"A least-squares line against log2 of {axis}, through all finished seeds; the interval is Student's t for "
            "its slope, of each row alone."
        )
        header = (*others, f"per doubling of {axis}", "95 % interval", "p", "n")
        tables.append(Table(f"{metric} per doubling of {axis}", header, cells, (note,)))
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
