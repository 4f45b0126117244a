"""All runs of a results folder with the conditions they stand for: what every table and page of a report is made of.

Conditions come from a sweep's file (`<results>/sweeps/<grid>.json`: a label on each axis for every cell) or, without
one, from the recipe's options in which the runs differ. Builds on `sslrun.runs.load_runs`; `tables` goes on from here.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from sslrun.errors import InputError
from sslrun.files import content_digest
from sslrun.report.differing import ascending, axes, short_names, told
from sslrun.runs.cells import BASELINES, SECONDS, Number
from sslrun.runs.folder import RunFolder
from sslrun.runs.records import FINISHED, CellRecord, GridRecord, State, grid_records
from sslrun.runs.resolving import grid_named, one_of
from sslrun.runs.status import state_of
from sslrun.runs.table import evaluation_numbers, load_runs


@dataclass(frozen=True)
class Results:
    """Runs (or cells of a grid), one a row, each with its label on every axis."""

    folder: Path
    runs: pd.DataFrame
    """As `load_runs` gives them, with a column `axis.<name>` of labels for each axis. A cell whose run is not there
    has the status `missing`."""
    axes: tuple[str, ...]
    order: dict[str, list[str]]
    """The labels of each axis, in the order of the grid, or ascending."""
    grid: str | None
    baseline: dict[str, str]
    """Axis → label: what others are compared with, where the grid or the user names it."""
    notes: tuple[str, ...]
    """What a reader must know of how this came about."""
    asked: tuple[str, ...] = ()
    """What the grid's cells ask for: the columns of their own evaluations. Empty without a grid."""
    averaged: tuple[str, ...] = ()
    """Axes over whose labels each seed's numbers are meant: no axes of the tables any more."""

    @property
    def left_out(self) -> list[tuple[str, str]]:
        """(path, why) of what could not be read."""
        return list(self.runs.attrs["left_out"])

    @property
    def timing(self) -> list[str]:
        """The columns that say when and how fast: they differ between equal runs."""
        return list(self.runs.attrs["timing"])

    @property
    def numbers(self) -> dict[str, Number]:
        """What each column of an evaluation holds."""
        return {name: Number(**fields) for name, fields in self.runs.attrs["numbers"].items()}

    def over(self, names: Sequence[str]) -> "Results":
        """The same with axes taken out, for the mean over their labels. Raises `InputError` for no such axis."""
        averaged = tuple(dict.fromkeys(self.axis(name) for name in names))
        means = [f"each seed's number is its mean over {axis} ({', '.join(self.order[axis])})" for axis in averaged]
        return replace(
            self,
            axes=tuple(axis for axis in self.axes if axis not in averaged),
            baseline={axis: label for axis, label in self.baseline.items() if axis not in averaged},
            notes=(*self.notes, *means),
            averaged=averaged,
        )

    def only(self, wanted: Sequence[tuple[str, str]]) -> "Results":
        """The runs alone that have one of the wanted labels on each axis that is named; an axis of which one label is
        left is no axis any more."""
        labels: dict[str, list[str]] = {}
        for axis, label in wanted:
            labels.setdefault(axis, []).append(label)
        rows = pd.Series(True, self.runs.index)
        for axis, left in labels.items():
            rows &= self.runs[f"axis.{axis}"].isin(left)
        order = {
            axis: [label for label in every if label in labels.get(axis, every)] for axis, every in self.order.items()
        }
        axes = tuple(axis for axis in self.axes if axis not in labels or len(order[axis]) > 1)
        return replace(
            self,
            runs=self.runs[rows].reset_index(drop=True),
            axes=axes,
            order=order,
            baseline={axis: label for axis, label in self.baseline.items() if axis in axes and label in order[axis]},
            notes=(
                *self.notes,
                *(f"only {axis} {' and '.join(order[axis])}: p is adjusted for what is left alone" for axis in labels),
            ),
        )

    def axis(self, name: str) -> str:
        """The axis that a user means: its name, or a part of it that only it has. Raises `InputError`."""
        paths = {axis: [*axis.split("."), *self.runs.attrs["paths"].get(axis, "").split(".")] for axis in self.axes}
        return one_of(name, self.axes, "axis", [axis for axis, parts in paths.items() if name in parts])

    def label(self, axis: str, text: str) -> str:
        """The label of `axis` that a user means. Raises `InputError`."""
        return one_of(text, self.order[axis], f"label of {axis}")


def collect(folder: Path, grid: str | None = None, *, tags: Sequence[str] = ()) -> Results:
    """Read a results folder: all its runs, by their recipes, or by the grid that has made them all; or those of `grid`
    alone, named as its file is, whatever --set and --small have made of its name. With `tags`, runs that have them all.

    Half-written and foreign folders are left out and named. Raises `InputError` if there is no such folder or grid.
    """
    runs, notes = _tagged(load_runs(folder), tags)
    grids = grid_records(folder, runs.attrs["left_out"])
    there = set(runs["identity"]) if len(runs) else set()
    if tags:
        kept = {name: tuple(cell for cell in record.cells if cell.identity in there) for name, record in grids.items()}
        grids = {name: replace(grids[name], cells=cells) for name, cells in kept.items() if cells or name == grid}
    if grid is None:
        whole = [name for name, record in grids.items() if there <= {cell.identity for cell in record.cells}]
        if len(whole) != 1:
            parts = (f"--grid {name} ({len(record.cells)})" for name, record in grids.items())
            told = f"all runs, by the options that differ; the cells of one grid, by its axes: {', '.join(parts)}"
            notes += [told] if grids else []
            return _by_recipe(folder, runs, notes)
        name = whole[0]
    else:
        name, also = grid_named(grid, grids, folder)
        notes += also
    record = grids[name]
    now = content_digest(Path(record.source)) if record.source else ""
    if now and record.digest and now != record.digest:
        notes.append(f"{record.source} has changed since it was swept here: these are the cells and baseline of then")
    found = _by_grid(folder, runs, record)
    return replace(found, notes=(*found.notes, *notes))


def every_run(folder: Path, tags: Sequence[str] = (), grid: str | None = None) -> Results:
    """All runs, or a grid's, that have all `tags`, by their recipes. Raises `InputError` for no such folder or grid."""
    runs, notes = _tagged(load_runs(folder), tags)
    if grid is not None:
        grids = grid_records(folder, runs.attrs["left_out"])
        cells = {cell.identity for cell in grids[grid_named(grid, grids, folder)[0]].cells}
        runs = runs[runs["identity"].isin(cells)].reset_index(drop=True) if len(runs) else runs
    return _by_recipe(folder, runs, notes)


def _tagged(runs: pd.DataFrame, tags: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    """The runs that have all tags, and a line that says so."""
    if not tags or not len(runs):
        return runs, []
    kept = runs[[set(tags) <= set(found) for found in runs["tags"]]].reset_index(drop=True)
    return kept, [f"only runs tagged {', '.join(tags)}: {len(runs) - len(kept)} others are left out"]


def _by_grid(folder: Path, runs: pd.DataFrame, grid: GridRecord) -> Results:
    """One row a cell of the grid, whether its run is there or not."""
    rows = {identity: row for row, identity in enumerate(runs["identity"])} if len(runs) else {}
    at = [rows.get(cell.identity) for cell in grid.cells]
    table = runs.reindex(at).reset_index(drop=True)
    names = runs["folder"].tolist() if len(runs) else []
    folders = [None if row is None else RunFolder(folder / names[row]) for row in at]
    # Where the grid says how to evaluate, a cell has the numbers of its own evaluations and no other cell's.
    own = [_own_numbers(run, cell) for run, cell in zip(folders, grid.cells, strict=True)]
    judged = list(dict.fromkeys(number for each in own for number in each))
    states = [state_of(run, cell.asked) for run, cell in zip(folders, grid.cells, strict=True)]
    if "status" in table:  # a run that ended since the table was read has no verdict in it, and is told of as running
        read = zip(states, table["status"], strict=True)
        states = [State.RUNNING if now in FINISHED and then not in FINISHED else now for now, then in read]
    ours = {str(number): _series([each.get(number) for each in own]) for number in judged} | {
        "identity": [cell.identity for cell in grid.cells],
        "seed": [cell.seed for cell in grid.cells],
        "status": [state.value for state in states],
        **{f"axis.{axis}": [cell.labels[axis] for cell in grid.cells] for axis in grid.axes},
    }
    order = list(dict.fromkeys([*table, *ours]))
    table = pd.concat([table.drop(columns=[*ours], errors="ignore"), pd.DataFrame(ours)], axis=1)[order]
    others = len(rows.keys() - {cell.identity for cell in grid.cells})
    notes = [f"grid {grid.grid}: {len(grid.cells)} cells", *([grid.notes] if grid.notes else [])]
    if others:
        notes.append(
            f"{others} run{'s' * (others > 1)} here {'are' if others > 1 else 'is'} not part of this grid: "
            "without --grid all are shown"
        )
    timing = dict.fromkeys([*runs.attrs["timing"], *(str(number) for number in judged if number.metric == SECONDS)])
    numbers = runs.attrs["numbers"] | {str(number): asdict(number) for number in judged}
    table.attrs = {**runs.attrs, "timing": list(timing), "numbers": numbers, "paths": {}}
    labels = {axis: _in_order(ordered, table[f"axis.{axis}"].tolist()) for axis, ordered in grid.axes.items()}
    baseline = {axis: label for axis, label in (grid.baseline or {}).items() if axis in grid.axes}
    asked = tuple(str(number) for number in judged)
    return Results(folder, table, tuple(grid.axes), labels, grid.grid, baseline, tuple(notes), asked)


def _in_order(ordered: Sequence[str], there: list[str]) -> list[str]:
    """The labels that are there as the grid orders them; by first appearance `exclude` would decide."""
    return [label for label in dict.fromkeys([*ordered, *there]) if label in there]


def _series(numbers_or_none: list[Any]) -> pd.Series:
    plain = all(value is None or isinstance(value, int | float) for value in numbers_or_none)
    return pd.Series(numbers_or_none, dtype=float if plain else object)


def _own_numbers(run: RunFolder | None, cell: CellRecord) -> dict[Number, Any]:
    """The numbers of a cell's own evaluations under their plain names; empty as long as they are not there."""
    numbers: dict[Number, Any] = {}
    for name, identity in cell.asked:
        numbers |= dict.fromkeys(Number(name.kind, name.epoch, baseline=baseline) for baseline in (None, *BASELINES))
        numbers |= {Number(name.kind, name.epoch, SECONDS): None}
        with suppress(InputError):  # `load_runs` has named what can't be read
            found = run.read_evaluation(name, identity) if run is not None else None
            numbers |= evaluation_numbers([found], {found.kind: found.settings}) if found is not None else {}
    return numbers


def _by_recipe(folder: Path, runs: pd.DataFrame, notes: list[str]) -> Results:
    """Axes are the options in which recipes differ."""
    kept, hidden = axes(runs)
    if hidden:
        notes = [*notes, f"also differ between rows, not shown: {told(hidden)}"]
    names = short_names(list(kept))
    table = runs.copy()
    for labels, name in zip(kept.values(), names, strict=True):
        table[f"axis.{name}"] = labels
    order = dict(zip(names, map(ascending, kept.values()), strict=True))
    table.attrs = {**runs.attrs, "paths": dict(zip(names, kept, strict=True))}
    return Results(folder, table, tuple(names), order, None, {}, tuple(notes))
