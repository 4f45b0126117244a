"""Two runs side by side: the options in which they differ, and how each ended; `plots.plot_two` draws their courses.

Reads the two folders; `sslrun compare A B`. Why two recipes are, or are not, one science is `sslrun explain`'s.
"""

from typing import Any

from sslrun.recipe import read_recipe
from sslrun.recipe.explain import MEANINGS, explain, value_text
from sslrun.report.table import NONE, Cell, Table
from sslrun.runs.cells import SECONDS
from sslrun.runs.folder import RunFolder
from sslrun.runs.status import state_of
from sslrun.runs.table import evaluation_numbers

_SIGNALS = ("loss", "std", "rank", "alignment", "asymmetry", "commutator")


def compare(a: RunFolder, b: RunFolder) -> list[Table]:
    """What differs between two runs, and what came of it. Raises `InputError` if a file of theirs can't be read."""
    names = ("A", "B")
    runs = tuple((Cell(name), Cell(folder.path.name)) for name, folder in zip(names, (a, b), strict=True))
    differences = explain(read_recipe(a.recipe), read_recipe(b.recipe)).differences
    settings = tuple(
        (Cell(each.path), Cell(value_text(each.a)), Cell(value_text(each.b)), Cell(MEANINGS[each.part]))
        for each in differences
        if each.part != "operational"
    )
    left, right = _outcome(a), _outcome(b)
    rows = tuple(
        (Cell(name), _cell(left.get(name)), _cell(right.get(name)), _difference(left.get(name), right.get(name)))
        for name in dict.fromkeys((*left, *right))
    )
    return [
        Table("Runs", ("", "run"), runs),
        Table("Settings that differ", ("option", *names, "makes"), settings, () if settings else ("None.",)),
        Table("What came of it", ("", *names, "difference"), rows),
    ]


def _outcome(folder: RunFolder) -> dict[str, Any]:
    status = folder.status
    last = folder.history.last() or {}
    numbers = evaluation_numbers(folder.evaluations(), folder.record.recipe.get("evaluation") or {})
    return {
        "status": state_of(folder).value,
        "verdict": status.verdict or "none yet",
        "epoch": status.epoch,
        **{name: last[name] for name in _SIGNALS if last.get(name) is not None},
        **{str(number): value for number, value in numbers.items() if number.metric != SECONDS},
    }


def _cell(value: Any) -> Cell:
    if isinstance(value, float):
        return Cell(f"{value:.4f}", value)
    return Cell(NONE if value is None else str(value), value if isinstance(value, int) else None)


def _difference(a: Any, b: Any) -> Cell:
    return Cell(f"{b - a:+.4f}", b - a) if isinstance(a, float) and isinstance(b, float) else Cell("")
