"""Runs as tables that anything reads: a csv file of each run's epochs, and one of all runs with what came of them."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sslrun.files import locked, write_text
from sslrun.runs.history import Row
from sslrun.runs.records import Status
from sslrun.trackers.told import Telling, Told, numbers, tracker

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TABLE = "runs.csv"


class Csv:
    """`<out>/<run>.csv`, written anew whenever there is more; and the run's line of `<out>/runs.csv` at its end."""

    def __init__(self, told: Told, out: Path) -> None:
        self.path, self.rows = out / f"{told.name}.csv", list[dict[str, Any]]()

    def tell(self, rows: Sequence[Row]) -> None:
        self.rows += [{"epoch": row["epoch"], "step": row.get("step"), **numbers(row)} for row in rows]
        write_text(self.path, _csv(self.rows))

    def picture(self, name: str, epoch: int, figure: "Figure") -> None:
        """A table takes none."""

    def end(self, told: Told, status: Status) -> None:
        line = {"run": told.name, "status": status.state.value, "verdict": status.verdict, **told.settings}
        path = self.path.with_name(_TABLE)
        with locked(path.with_name(f".{_TABLE}.lock")):
            known = list(csv.DictReader(io.StringIO(path.read_text("utf-8")))) if path.exists() else []
            others = [one for one in known if one.get("run") != told.name]
            write_text(path, _csv([*others, {**line, **told.outcome()}]))


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    table = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    table.writeheader()
    table.writerows({key: _plain(value) for key, value in row.items()} for row in rows)
    return text.getvalue()


def _plain(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, bool) else value


@tracker("csv")
def begin(told: Told, out: Path) -> Telling:
    """Tables of a run."""
    return Csv(told, out)
