"""Runs beside each other in what their features know of the domains, and in how hard their negatives were.

Tables of the cells that `sslrun.jobs.analysing` gives and of the runs' histories; `analyses_plot` draws the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sslrun.report.collecting import NONE
from sslrun.report.layout import Cell, Table
from sslrun.report.summary import starting

MEASURES = {
    "domain_purity": "domain purity",
    "domain_purity_same_class": "within a class",
    "cluster_purity": "clusters",
    "domain_probe": "domain probe",
    "class_purity": "class purity",
}
"""The measures, in words; all but the last are of domains."""
CHANCE = {
    "domain_purity": "domain_purity_chance",
    "domain_purity_same_class": "domain_purity_same_class_chance",
    "cluster_purity": "cluster_purity_chance",
    "domain_probe": "cluster_purity_chance",  # all domains have equally many images
    "class_purity": "class_purity_chance",
}
VIEWS = {"hardness_own": "the method's own views", "hardness_plain": "common plain views"}
"""Where histories keep the hardness of negatives: `hardness_own.own_column` and so on."""
HARDNESS = {
    "own_column": "own column",
    "other_columns": "other columns",
    "percentile_95": "95th percentile",
    "largest": "largest",
    "negative_mass": "1 − p⁺",
    "style_gap": "style gap",
}


@dataclass(frozen=True)
class Analysed:
    """A run's name, the metrics of its cell `analyses`, its history, and the file that its encoder started from."""

    name: str
    metrics: Mapping[str, Any]
    history: Sequence[Mapping[str, Any]]
    weights: str | None = None


def beside(runs: Sequence[Analysed]) -> dict[str, dict[str, float]]:
    """What the runs are judged beside, starting encoders and raw pixels: measures by title, equal ones once."""
    found = {}
    for prefix in ("untrained.", "pixels."):
        different: list[tuple[Analysed, dict[str, float]]] = []
        for run in runs:
            own = {name: run.metrics[prefix + name] for name in MEASURES if prefix + name in run.metrics}
            if own and own not in [other for _, other in different]:
                different.append((run, own))
        for run, own in different:
            title = starting(run.weights) if prefix == "untrained." else "raw pixels"
            found[title if len(different) == 1 else f"{title} of {run.name}"] = own
    return found


def tables(runs: Sequence[Analysed]) -> list[Table]:
    """What the features know, then the hardness of negatives where a history has it."""
    return [_knowledge(runs), *_hardness(runs)]


def _knowledge(runs: Sequence[Analysed]) -> Table:
    first = runs[0].metrics
    measured = {
        **{run.name: run.metrics for run in runs},
        **beside(runs),
        "chance": {name: first[chance] for name, chance in CHANCE.items()},
    }
    rows = [(Cell(title), *(_number(metrics[name]) for name in MEASURES)) for title, metrics in measured.items()]
    notes = (
        f"On {first['images']:,} images, equally many of each domain. Purity: the part of the nearest neighbours that",
        "share an image's domain. A useless encoder has low domain purity too: read it beside class purity.",
    )
    return Table("What the features know of the domains", ("", *MEASURES.values()), tuple(rows), notes)


def _hardness(runs: Sequence[Analysed]) -> list[Table]:
    found = []
    for kind, views in VIEWS.items():
        columns = {f"{kind}.{name}": title for name, title in HARDNESS.items()}
        columns |= {"std_within": "std within"} if kind == "hardness_own" else {}
        ends = {run.name: [_ends(run.history, name) for name in columns] for run in runs}
        rows = tuple((Cell(name), *cells) for name, cells in ends.items() if any(cell.value for cell in cells))
        note = (
            "After the first epoch → after the last. Cosine similarities; between methods compare at equal temperature."
        )
        if rows:
            found.append(Table(f"Hardness of negatives, {views}", ("", *columns.values()), rows, (note,)))
    return found


def course(history: Sequence[Mapping[str, Any]], name: str) -> tuple[list[int], list[float]]:
    """(epochs, values) of a signal where it was recorded."""
    rows = [(row["epoch"], row[name]) for row in history if row.get(name) is not None]
    return [epoch for epoch, _ in rows], [value for _, value in rows]


def _ends(history: Sequence[Mapping[str, Any]], name: str) -> Cell:
    _, values = course([row for row in history if row["epoch"] > 0], name)
    return Cell(f"{values[0]:.3f} → {values[-1]:.3f}", values[-1]) if values else Cell(NONE)


def _number(value: float) -> Cell:
    return Cell(f"{value:.3f}", value)


def as_json(runs: Sequence[Analysed], at: int | None) -> dict[str, Any]:
    """The same for programs: metrics in full, and the hardness of every epoch."""
    names = ["std_within", *(f"{kind}.{name}" for kind in VIEWS for name in HARDNESS)]
    return {"at": at, "runs": [{"run": run.name, "metrics": run.metrics, **_courses(run, names)} for run in runs]}


def _courses(run: Analysed, names: Sequence[str]) -> dict[str, Any]:
    courses = {name: course(run.history, name) for name in names}
    return {name: {"epochs": epochs, "values": values} for name, (epochs, values) in courses.items() if values}
