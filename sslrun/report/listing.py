"""All runs of a results folder, one a line, the newest first: how each ended, with its numbers. `sslrun runs`.

What means over seeds say of them is `document`'s; where they stand at this moment `sslrun.runs.status`'s.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from sslrun.console import span
from sslrun.report.collecting import Results, every_run
from sslrun.report.differing import differing, of_a_kind, short_names
from sslrun.report.table import NONE, Cell, Table, count, number
from sslrun.report.tables import check_metrics, default_metrics, signals_of
from sslrun.runs.records import State
from sslrun.runs.verdict import WORDS

_DIFFERS, _MOST_TOLD = "unlike the oldest", 4


def runs_table(
    folder: Path, metrics: Sequence[str] = (), tags: Sequence[str] = (), grid: str | None = None
) -> tuple[Table, Results]:
    """The list, and what it was made from. Raises `InputError` for no such folder, metric or grid."""
    results = every_run(folder, tags, grid)
    runs = results.runs
    if not len(runs):
        which = f" is tagged {' and '.join(tags)}" if tags else ""
        return Table(f"Runs in {folder}", ("run",), (), (f"No run in {folder}{which}.",)), results
    usual = dict.fromkeys([*default_metrics(results), *_signals(runs)])  # std once: it stands in for evaluations
    chosen = check_metrics(results, metrics) if metrics else list(usual)
    header = ("run", "how it ended", "epoch", *chosen, "took", "started")
    noted = [name for name in ("tags", "note") if any(map(bool, runs[name]))]
    runs = runs.assign(**{_DIFFERS: _otherwise(runs)})
    noted += [_DIFFERS] * any(runs[_DIFFERS])
    ordered = runs.sort_values(["created", "folder"], ascending=[False, True]).to_dict("records")
    rows = tuple((*_row(row, chosen), *(_said(row[name]) for name in noted)) for row in ordered)
    return Table(f"Runs in {folder}", (*header, *noted), rows), results


def _otherwise(runs: pd.DataFrame) -> list[str]:
    """By row, what its recipe has otherwise than the oldest run of its name; the seed and the data too."""
    found = dict.fromkeys(runs.index, "")
    for _, alike in runs.sort_values(["created", "folder"]).groupby("name"):
        recipes = differing(alike)
        columns = {name: labels for name, labels in recipes.items() if not of_a_kind(name, recipes)}
        columns |= {name: [str(one) for one in alike[name]] for name in ("seed", "data") if name in alike}
        names = short_names(list(columns))
        for index, *own in zip(alike.index, *columns.values(), strict=True):
            other = [
                f"{name} {label}"
                for name, label, labels in zip(names, own, columns.values(), strict=True)
                if label != labels[0] and label not in (NONE, "nan", "None")
            ]
            more = len(other) - _MOST_TOLD
            found[index] = ", ".join(other[:_MOST_TOLD]) + (f" and {more} more" if more > 0 else "")
    return list(found.values())


def _signals(runs: Any) -> list[str]:
    return [name for name in signals_of(runs) if runs[name].notna().any()]


def _row(row: dict[Any, Any], metrics: Sequence[str]) -> tuple[Cell, ...]:
    finished = row["status"] in (State.DONE, State.COLLAPSED)
    ended = WORDS.get(row["verdict"], row["status"]) if finished else str(row["status"])
    values = (None if row[name] is None else float(row[name]) for name in metrics)
    times = (row[name] for name in ("started", "created"))
    started = next((time[:16].replace("T", " ") for time in times if isinstance(time, str) and time), NONE)
    return (
        Cell(str(row["folder"])),
        Cell(ended),
        count(int(row["epoch"])),
        *(number(value, ".3f") for value in values),
        Cell(span(row["seconds"]), row["seconds"]),
        Cell(started),
    )


def _said(value: Any) -> Cell:
    return Cell(value if isinstance(value, str) else ", ".join(value))
