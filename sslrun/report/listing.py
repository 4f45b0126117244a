"""All runs of a results folder, one a line, the newest first: how each ended, with its numbers. `sslrun runs`.

What means over seeds say of them is `document`'s; where they stand at this moment `sslrun.runs.status`'s.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sslrun.console import clock
from sslrun.report.collecting import Results, every_run
from sslrun.report.table import NONE, Cell, Table, count, number
from sslrun.report.tables import check_metrics, default_metrics
from sslrun.runs.records import State
from sslrun.runs.verdict import WORDS


def runs_table(
    folder: Path, metrics: Sequence[str] = (), tags: Sequence[str] = (), grid: str | None = None
) -> tuple[Table, Results]:
    """The list, and what it was made from. Raises `InputError` for no such folder, metric or grid."""
    results = every_run(folder, tags, grid)
    runs = results.runs
    if not len(runs):
        which = f" tagged {' and '.join(tags)}" if tags else ""
        return Table(f"Runs in {folder}", ("run",), (), (f"None{which}.",)), results
    usual = dict.fromkeys([*default_metrics(results), *_signals(runs)])  # std once: it stands in for evaluations
    chosen = check_metrics(results, metrics) if metrics else list(usual)
    header = ("run", "how it ended", "epoch", *chosen, "took", "started")
    noted = [name for name in ("tags", "note") if any(map(bool, runs[name]))]
    ordered = runs.sort_values(["created", "folder"], ascending=[False, True]).to_dict("records")
    rows = tuple((*_row(row, chosen), *(_said(row[name]) for name in noted)) for row in ordered)
    return Table(f"Runs in {folder}", (*header, *noted), rows), results


def _signals(runs: Any) -> list[str]:
    return [name for name in ("std", "rank") if name in runs and runs[name].notna().any()]


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
        Cell(clock(row["seconds"]), row["seconds"]),
        Cell(started),
    )


def _said(value: Any) -> Cell:
    return Cell(value if isinstance(value, str) else ", ".join(value))
