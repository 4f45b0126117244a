"""Where all runs of a results folder are, and the cells of every grid swept into it: what `sslrun status` prints.

It reads folders only, so it works from anywhere, during a sweep (whose live table shows `snapshot`s) and long after.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sslrun.errors import InputError
from sslrun.runs.cells import CellName
from sslrun.runs.folder import RunFolder
from sslrun.runs.lease import Holder, holder
from sslrun.runs.records import LeftOut, State, grid_records, state_now
from sslrun.runs.resolving import run_names

_LOG_LINES = 3


@dataclass(frozen=True)
class Snapshot:
    """A run at this moment. Signals are the last epoch's; none before there is one."""

    state: State
    """`running` also while a live process evaluates it."""
    holder: Holder | None
    epoch: int
    epochs: int | None
    loss: float | None
    std: float | None
    images_per_second: float | None
    seconds_left: float | None
    """Of training, at the mean pace of its epochs so far."""
    reason: str | None


def snapshot(folder: RunFolder) -> Snapshot:
    """Read it. Raises `InputError` for a folder without a readable status."""
    status, held_by = folder.status, holder(folder)
    held = held_by is not None
    try:
        row = folder.history.last() or {}
    except ValueError as error:
        raise InputError(f"damaged: {error}", where=str(folder.history.path)) from error
    epoch = row.get("epoch", 0)
    pace = row["seconds"] / epoch if epoch and row.get("seconds") else None
    return Snapshot(
        state=state_now(status, held=held, complete=not held),  # whoever holds a finished run evaluates it
        holder=held_by,
        epoch=epoch,
        epochs=status.epochs,
        loss=row.get("loss"),
        std=row.get("std"),
        images_per_second=row.get("images_per_second"),
        seconds_left=pace * (status.epochs - epoch) if pace is not None and status.epochs else None,
        reason=status.reason,
    )


def cell_state(folder: RunFolder | None, evaluations: Iterable[tuple[CellName, str]]) -> State:
    """The state of what asks a run (none if it has no folder) for these `evaluations` (names and identities): a
    finished run that lacks one is not done. Raises `InputError` for a folder without a readable status.
    """
    if folder is None:
        return State.MISSING
    status = folder.status
    complete = status.finished_well and not folder.lacking(evaluations)
    return state_now(status, held=not complete and holder(folder) is not None, complete=complete)


@dataclass(frozen=True)
class Run:
    """One run: its folder's name, where it is, and the labels of the first grid's cell that it is."""

    name: str
    now: Snapshot
    labels: str


@dataclass(frozen=True)
class Overview:
    """All runs, the cells of each grid by state, and (path, why) of what could not be read."""

    results: Path
    runs: tuple[Run, ...]
    grids: dict[str, dict[str, int]]
    left_out: LeftOut

    def lines(self) -> Iterator[str]:
        """For people: a line for each grid, each running run, and each failed one with its reason and last words."""
        if not self.runs and not self.grids:
            yield f"no runs in {self.results}"
            return
        for name, cells in self.grids.items():
            yield f"{name}   {sum(cells.values())} cells: {_in_words(cells)}"
        yield f"{self.results}   {len(self.runs)} runs: {_in_words(_counts(run.now.state for run in self.runs))}"
        for run in self.runs:
            if run.now.state == State.RUNNING:
                yield f"running       {run.name}   {_progress(run.now)}{_labels(run)}"
        for run in self.runs:
            if run.now.reason and run.now.state != State.RUNNING:
                yield f"{run.now.state:13} {run.name}   {run.now.reason.splitlines()[0]}{_labels(run)}"
                yield from (f"    {line}" for line in RunFolder(self.results / run.name).last_lines(_LOG_LINES))
        yield from (f"left out      {path}: {why}" for path, why in self.left_out)

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        runs = [{"run": run.name, "labels": run.labels, **asdict(run.now)} for run in self.runs]
        return {"grids": self.grids, "runs": runs, "left_out": [list(pair) for pair in self.left_out]}


def overview(results: Path) -> Overview:
    """Read a results folder. Raises `InputError` if there is none."""
    if not results.is_dir():
        raise InputError("no such results folder", where=str(results), remedy="Name one: sslrun status DIR")
    left_out: LeftOut = []
    folders: dict[str, RunFolder] = {}
    found: dict[str, Snapshot] = {}
    for name in run_names(results):
        folder = RunFolder(results / name)
        try:
            found[folder.identity] = snapshot(folder)
            folders[folder.identity] = folder
        except (InputError, OSError) as error:
            left_out.append((str(folder.path), str(error).splitlines()[0]))
    grids: dict[str, dict[str, int]] = {}
    labels: dict[str, str] = {}
    for name, grid in grid_records(results, left_out).items():
        grids[name] = _counts(cell_state(folders.get(cell.identity), cell.asked) for cell in grid.cells)
        for cell in grid.cells:
            labels.setdefault(cell.identity, str(cell))
    runs = tuple(Run(folders[key].path.name, now, labels.get(key, "")) for key, now in found.items())
    return Overview(results, runs, grids, left_out)


def _counts(states: Iterable[State]) -> dict[str, int]:
    """How often there is which state, in their order; a cell without a run waits for one."""
    counts = Counter(states)
    return {"waiting" if state == State.MISSING else state.value: counts[state] for state in State if counts[state]}


def _in_words(counts: Mapping[str, int]) -> str:
    return " · ".join(f"{count} {state}" for state, count in counts.items()) or "none"


def _progress(now: Snapshot) -> str:
    parts = [
        f"epoch {now.epoch}/{now.epochs}" if now.epochs else "starting",
        "" if now.loss is None else f"loss {now.loss:.3f}",
        "" if now.std is None else f"std {now.std:.2f}",
        "" if now.images_per_second is None else f"{now.images_per_second:,.0f} img/s",
        "" if now.seconds_left is None else f"{now.seconds_left / 60:.0f} min left",
    ]
    return "  ".join(part for part in parts if part)


def _labels(run: Run) -> str:
    return f"   ({run.labels})" if run.labels else ""
