"""Runs side by side in what their features know of the domains, and in how hard their negatives were.

Tables of the cells that `sslrun.jobs.analysing` gives and of the runs' histories; `purity_figure` draws the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sslrun.report.summary import starting
from sslrun.report.table import NONE, Cell, Table, number
from sslrun.runs.history import series

MEASURES = {
    "domain_purity": "domain purity",
    "domain_purity_same_class": "within a class",
    "cluster_purity": "clusters",
    "domain_probe": "domain probe",
    "class_purity": "class purity",
    "class_purity_across": "from other domains",
}
"""The measures, in words; all but the last two are of domains, and the last is only of runs that were asked for it."""
CHANCE = {
    "domain_purity": "domain_purity_chance",
    "domain_purity_same_class": "domain_purity_same_class_chance",
    "cluster_purity": "cluster_purity_chance",
    "domain_probe": "cluster_purity_chance",  # all domains have equally many images
    "class_purity": "class_purity_chance",
    "class_purity_across": "class_purity_across_chance",
}
OWN_STATISTICS = "own_statistics."
"""In front of the measures of features under batch norm statistics of each domain's own."""
VIEWS = {"hardness_none": "views with their own styles", "hardness_bss": "the same views under BSS"}
"""Where histories keep the hardness of negatives: `hardness_bss.own_column` and so on."""
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


def measured(metrics: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """The measures among the metrics that have this in front of their names."""
    return {name: metrics[prefix + name] for name in MEASURES if prefix + name in metrics}


def references(runs: Sequence[Analysed], part: str = "") -> dict[str, dict[str, float]]:
    """What the runs are compared with, starting encoders and raw pixels: measures by title, equal ones once.

    `part` comes before the measures' names, as `OWN_STATISTICS`.
    """
    found = {}
    for prefix in ("untrained.", "pixels."):
        different: list[tuple[Analysed, dict[str, float]]] = []
        for run in runs:
            own = measured(run.metrics, prefix + part)
            if own and own not in [other for _, other in different]:
                different.append((run, own))
        for run, own in different:
            title = starting(run.weights) if prefix == "untrained." else "raw pixels"
            found[title if len(different) == 1 else f"{title} of {run.name}"] = own
    return found


def tables(runs: Sequence[Analysed]) -> list[Table]:
    """What the features know, the same under batch norm statistics of each domain's own where it was asked for, then
    the hardness of negatives where a history has it."""
    useless = "read it with class purity" if "class_purity" in runs[0].metrics else "of classes, none are known here"
    notes = (
        f"On {runs[0].metrics['images']:,} images, equally many of each domain. Purity: the part of the nearest "
        "neighbours that",
        f"share an image's domain. A useless encoder has low domain purity too: {useless}.",
    )
    found = [_knowledge(runs, "", "What the features know of the domains", notes)]
    if any(measured(run.metrics, OWN_STATISTICS) for run in runs):
        notes = (
            "Batch norms have the statistics of each domain's own images in place of the running averages of training;",
            "what differs from the table above is due to these. Target images were looked at: none is unseen.",
        )
        found.append(_knowledge(runs, OWN_STATISTICS, "The same under batch norm statistics of each domain", notes))
    return found + _hardness(runs)


def _knowledge(runs: Sequence[Analysed], part: str, title: str, notes: tuple[str, ...]) -> Table:
    first = runs[0].metrics
    names = list(measured(first))
    rows = {run.name: measured(run.metrics, part) for run in runs}
    rows |= {**references(runs, part), "chance": {name: first[CHANCE[name]] for name in names}}
    cells = tuple((Cell(of), *(number(row.get(name), ".3f") for name in names)) for of, row in rows.items())
    return Table(title, ("", *(MEASURES[name] for name in names)), cells, notes)


def _hardness(runs: Sequence[Analysed]) -> list[Table]:
    found = []
    for kind, views in VIEWS.items():
        columns = {f"{kind}.{name}": title for name, title in HARDNESS.items()}
        columns |= {"std_within": "std within"} if kind == "hardness_none" else {}
        ends = {run.name: [_ends(run.history, name) for name in columns] for run in runs}
        rows = tuple((Cell(name), *cells) for name, cells in ends.items() if any(cell.value for cell in cells))
        note = (
            "Before training → after the last epoch. Cosine similarities. What differs between this table and the "
            "other is the style's doing; between methods compare at equal temperature and equal loss."
        )
        if rows:
            found.append(Table(f"Hardness of negatives, {views}", ("", *columns.values()), rows, (note,)))
    return found


def _ends(history: Sequence[Mapping[str, Any]], name: str) -> Cell:
    _, values = series(history, name)
    return Cell(f"{values[0]:.3f} → {values[-1]:.3f}", values[-1]) if values else Cell(NONE)


def as_json(runs: Sequence[Analysed], at: int | None) -> dict[str, Any]:
    """The same for programs: metrics in full, and the hardness of every epoch."""
    names = ["std_within", *(f"{kind}.{name}" for kind in VIEWS for name in HARDNESS)]
    return {"at": at, "runs": [{"run": run.name, "metrics": run.metrics, **_courses(run, names)} for run in runs]}


def _courses(run: Analysed, names: Sequence[str]) -> dict[str, Any]:
    courses = {name: series(run.history, name) for name in names}
    return {name: {"epochs": epochs, "values": values} for name, (epochs, values) in courses.items() if values}
