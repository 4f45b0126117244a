"""Jobs: the cells of a grid that share one pretraining, and what state their run is in on the disk.

Settings of evaluations never make another run: their cells belong to the same job. Who works on a run is the lease's
to say, what is finished the folder's; nothing is remembered elsewhere, so any scheduler may end at any moment.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sslrun.data import Dataset, open_dataset
from sslrun.data.suiting import require
from sslrun.errors import DataError, InputError
from sslrun.files import content_digest
from sslrun.grids import Cell, Grid
from sslrun.jobs import asked_for, cell_identity
from sslrun.recipe.identity import identity, weights_digest
from sslrun.recipe.schema import Recipe
from sslrun.runs.cells import CellName
from sslrun.runs.folder import RunFolder
from sslrun.runs.records import CellRecord, GridRecord, State
from sslrun.runs.status import state_of

Known = dict[tuple[str, str | None], tuple[Dataset, str | None]]
"""The data set and the weights' digest of recipes, by data section and file of weights."""


@dataclass(frozen=True)
class Job:
    """One run to be done, with the evaluations that any of its cells ask for."""

    identity: str
    cells: tuple[Cell, ...]
    data: Dataset
    """What the first cell names; its fingerprint is known."""

    @cached_property
    def recipes(self) -> tuple[Recipe, ...]:
        """The cells' recipes, each asking for other evaluations; the first one pretrains."""
        different = {cell.recipe.evaluation.model_dump_json(): cell.recipe for cell in reversed(self.cells)}
        return tuple(reversed(different.values()))

    @cached_property
    def evaluations(self) -> dict[str, CellName]:
        """The name of each evaluation that is asked for, by its identity."""
        return {found: name for recipe in self.recipes for name, found in evaluations(self.identity, recipe).items()}

    def missing(self, folder: RunFolder) -> list[CellName]:
        """The names of the evaluations that are asked for and are not in the run's folder."""
        return folder.lacking((name, identity) for identity, name in self.evaluations.items())

    def state(self, folder: RunFolder | None) -> State:
        """What the run's folder says of it. Raises `InputError` if that has no readable status."""
        return state_of(folder, ((name, identity) for identity, name in self.evaluations.items()))

    def __str__(self) -> str:
        """Its labels: those of its first cell, and what other cells have in their place."""
        first = self.cells[0]
        labels = {axis: dict.fromkeys(cell.labels[axis] for cell in self.cells) for axis in first.labels}
        words = [f"{axis} {'|'.join(found)}" for axis, found in labels.items()]
        return " · ".join([*words, f"seed {first.seed}"])


def evaluations(run: str, recipe: Recipe) -> dict[CellName, str]:
    """The identity of each evaluation that `recipe` asks of the run with identity `run`, by name."""
    return {name: cell_identity(run, recipe, name, section) for name, section in asked_for(recipe)}


def jobs_of(
    cells: Iterable[Cell],
    root: Path,
    operational: Mapping[str, Any],
    known: Known | None = None,
    *,
    check: bool = True,
    devices: int = 1,
) -> list[Job]:
    """The jobs of a grid's cells, in the order of their first cells; `operational` options go into each `run` section.

    `root` is the data folder; `known` remembers what has been read. Unless `check`, nobody asks whether data and
    recipes suit. Raises `DataError` where data are missing, and
    `InputError` naming a cell that can't be trained or judged on them, on as many `devices` as each job has.
    """
    grouped: dict[str, list[Cell]] = {}
    datasets: dict[str, Dataset] = {}
    known = {} if known is None else known
    opened: dict[tuple[str, str | None], Dataset] = {}
    for cell in cells:
        run = cell.recipe.run.model_copy(update=dict(operational))
        recipe = cell.recipe.model_copy(update={"run": run})
        # Data and weights are read once, not once a cell: there may be a million files.
        read = (recipe.data.model_dump_json(), recipe.network.weights)
        if read not in known:
            # Opened anew with the fingerprint alone: a list of a million files need not stay while the grid runs.
            opened[read] = open_dataset(recipe.data, root)
            light = open_dataset(recipe.data, root, opened[read].fingerprint)
            light.counted = opened[read].counted
            known[read] = light, weights_digest(recipe)
        data, weights = known[read]
        if check:
            _require(cell, opened.get(read, data), devices)
        name = identity(recipe, data.fingerprint, weights)
        grouped.setdefault(name, []).append(Cell(cell.labels, cell.seed, recipe))
        datasets.setdefault(name, data)
    return [Job(name, tuple(group), datasets[name]) for name, group in grouped.items()]


def _require(cell: Cell, data: Dataset, devices: int) -> None:
    try:
        require(cell.recipe, data, devices)
    except DataError:
        raise
    except InputError as error:
        what = f"{error.what}, in the cell {cell}" if cell.labels else error.what
        raise InputError(what, where=error.where, remedy=error.remedy) from error


def grid_record(grid: Grid, jobs: Sequence[Job]) -> GridRecord:
    """Which cells of a grid are which runs; `jobs` have all of its cells."""
    runs = {cell.key: job.identity for job in jobs for cell in job.cells}
    return GridRecord(
        grid=grid.record_name,
        notes=grid.file.notes,
        axes=grid.axes,
        seeds=grid.file.seeds,
        source=grid.source,
        base=grid.file.base,
        digest=content_digest(Path(grid.source)),
        baseline=grid.file.baseline,
        cells=tuple(
            CellRecord(
                labels=cell.labels,
                seed=cell.seed,
                identity=runs[cell.key],
                evaluations={str(name): found for name, found in evaluations(runs[cell.key], cell.recipe).items()},
            )
            for cell in grid.cells
        ),
    )
