"""A grid's conditions as a map: colour by the mean of a metric, a mark where runs collapsed. `sslrun report --map`."""

from collections.abc import Sequence
from itertools import product

import numpy as np
from matplotlib.figure import Figure

from sslrun.drawing import plain, style
from sslrun.report.collecting import Results
from sslrun.report.tables import summary

MARKS = {"complete": "●", "dimensional": "○"}
"""How kinds of collapse are marked, as often as there are such runs."""


@style()
def draw_map(results: Results, metric: str, along: Sequence[str], across: Sequence[str]) -> Figure:
    """`along` the axes down the side, `across` those along the top; both together must be all axes."""
    means = {tuple(row[axis] for axis in results.axes): row for row in summary(results, [metric]).to_dict("records")}
    rows, columns = (list(product(*(results.order[axis] for axis in axes))) for axes in (along, across))
    grid, texts = np.full((len(rows), len(columns)), np.nan), []
    for line, down in enumerate(rows):
        for column, labels in enumerate(columns):
            found = dict(zip([*along, *across], [*down, *labels], strict=True))
            row = means.get(tuple(found[axis] for axis in results.axes))
            if row is None or row["n"] == 0:
                continue
            grid[line, column] = row["mean"]
            marks = "".join(MARKS[kind] * int(row[kind]) for kind in MARKS)
            texts.append((column, line, f"{row['mean']:.3g}" + (f"\n{marks}" if marks else "")))
    figure = Figure(figsize=(1.6 + 0.8 * len(columns), 1.3 + 0.42 * len(rows)), layout="constrained")
    ax = figure.subplots()
    image = ax.imshow(grid, aspect="auto", cmap="cividis")
    ax.set_xticks(range(len(columns)), ["\n".join(map(plain, labels)) for labels in columns])
    ax.set_yticks(range(len(rows)), [", ".join(map(plain, labels)) for labels in rows])
    ax.set_xlabel(plain(", ".join(across)))
    ax.set_ylabel(plain(", ".join(along)))
    ax.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    ax.xaxis.set_label_position("top")
    for spine in ax.spines.values():
        spine.set_visible(False)
    low, high = np.nanmin(grid, initial=np.inf), np.nanmax(grid, initial=-np.inf)
    for column, line, text in texts:
        dark = (grid[line, column] - low) < 0.6 * (high - low)
        ax.text(column, line, text, ha="center", va="center", fontsize=7, color="white" if dark else "black")
    figure.colorbar(image, ax=ax, label=plain(metric), shrink=0.8)
    figure.supxlabel(
        f"Mean over seeds. {MARKS['complete']} a complete collapse, {MARKS['dimensional']} one to few dimensions.",
        x=0.01,
        ha="left",
        fontsize=7,
    )
    return figure
