"""Where all runs of a results folder are, and the cells of every grid swept into it: what `sslrun status` prints.

It reads folders only, so it works from anywhere, during a sweep (whose live table shows `snapshot`s) and long after.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sslrun.console import span
from sslrun.errors import InputError
from sslrun.runs.cells import CellName
from sslrun.runs.folder import RunFolder, run_folders
from sslrun.runs.lease import Holder, holder
from sslrun.runs.notes import notes_of
from sslrun.runs.records import UNFINISHED, LeftOut, State, grid_records, state_now
from sslrun.runs.resolving import grid_named
from sslrun.runs.verdict import NONE, WORDS

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
    verdict: str | None = None

    def words(self) -> tuple[str, str, str, str]:
        """Epoch, loss, std and images a second; empty what is not known."""
        return (
            f"{self.epoch}/{self.epochs}" if self.epochs else "",
            "" if self.loss is None else f"{self.loss:.3f}",
            "" if self.std is None else f"{self.std:.2f}",
            "" if self.images_per_second is None else f"{self.images_per_second:,.0f}",
        )


def snapshot(folder: RunFolder) -> Snapshot:
    """Read it. Raises `InputError` for a folder without a readable status or history."""
    return _read(folder)[0]


def _read(folder: RunFolder) -> tuple[Snapshot, tuple[str, str] | None]:
    """The snapshot, and the history's path with what is wrong where it ends before its run did."""
    status, held_by = folder.status, holder(folder)
    held = held_by is not None
    row, gone = folder.last_row(status)
    epoch = status.epoch if gone else row.get("epoch", 0)
    pace = row["seconds"] / epoch if epoch and row.get("seconds") else None
    found = Snapshot(
        state=state_now(status, held=held, complete=not held),  # whoever holds a finished run evaluates it
        holder=held_by,
        epoch=epoch,
        epochs=status.epochs,
        loss=row.get("loss"),
        std=row.get("std"),
        images_per_second=row.get("images_per_second"),
        seconds_left=pace * (status.epochs - epoch) if pace is not None and status.epochs else None,
        reason=status.reason,
        verdict=status.verdict,
    )
    return found, gone


def state_of(folder: RunFolder | None, evaluations: Iterable[tuple[CellName, str]] = ()) -> State:
    """The state of a run (none if it has no folder), or of a cell that asks it for `evaluations` (names and
    identities): a finished run that lacks one is not done. Raises `InputError` without a readable status.
    """
    if folder is None:
        return State.MISSING
    status = folder.status
    complete = status.finished_well and not folder.lacking(evaluations)
    return state_now(status, held=not complete and holder(folder) is not None, complete=complete)


@dataclass(frozen=True)
class Overview:
    """The runs by their folders' names, the cells of each grid by state, and (path, why) of what could not be read."""

    results: Path
    runs: dict[str, Snapshot]
    labels: dict[str, str]
    """Of the runs that are cells of grids: those of the first one."""
    grids: dict[str, dict[str, int]]
    left_out: LeftOut

    def lines(self) -> Iterator[str]:
        """For people: a line for each grid, each running run, and each failed one with its reason and last words."""
        if not self.runs and not self.grids:
            yield f"no runs in {self.results}"
            return
        for name, cells in self.grids.items():
            count = sum(cells.values())
            yield f"{name}   {count} cell{'s' * (count != 1)}: {_in_words(cells)}"
        alone = [now for name, now in self.runs.items() if name not in self.labels]
        ends = _in_words(by_end((now.state, now.verdict) for now in alone))
        said = f", {len(alone)} of no grid: {ends}" if alone else ", all of these grids"
        number = f"{len(self.runs)} run{'s' * (len(self.runs) != 1)}"
        yield f"{self.results}   {number}{said if self.grids else f': {ends}'}"
        labels = {name: f"   ({text})" for name, text in self.labels.items()}
        for name, now in self.runs.items():
            if now.state == State.RUNNING:
                yield f"running       {name}   {_progress(now)}{labels.get(name, '')}"
        for name, now in self.runs.items():
            if now.reason and now.state != State.RUNNING:
                why, *remedy = now.reason.splitlines()
                yield f"{now.state:13} {name}   {why}{labels.get(name, '')}"
                last = RunFolder(self.results / name).last_lines(_LOG_LINES)
                others = [line for line in last if not any(line.endswith(text) for text in (why, *remedy))]
                yield from (f"    {line}" for line in [*remedy, *others])
        yield from (f"left out      {path}: {why}" for path, why in self.left_out)

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        runs = [{"run": name, "labels": self.labels.get(name, ""), **asdict(now)} for name, now in self.runs.items()]
        return {"grids": self.grids, "runs": runs, "left_out": [list(pair) for pair in self.left_out]}


def overview(
    results: Path, tags: Sequence[str] = (), queued: Collection[str] | None = None, grid: str | None = None
) -> Overview:
    """Read a results folder; with `tags` only the runs that have them all, with a `grid` only that grid and its runs.

    `queued` are the runs that wait in a cluster's queue, by identity, if it is known which. Raises `InputError` if
    there is no such folder or grid.
    """
    if not results.is_dir():
        raise InputError("no such results folder", where=str(results), remedy="Name one with --results DIR.")
    found = Overview(results, {}, {}, {}, [])
    folders: dict[str, RunFolder] = {}
    for folder in run_folders(results):
        if tags and not notes_of(folder).tagged(tags):
            continue
        try:
            identity, (now, gone) = folder.identity, _read(folder)
            found.runs[folder.path.name], folders[identity] = now, folder
            found.left_out.extend([gone] if gone else [])
        except InputError as error:
            found.left_out.append((error.where or str(folder.path), error.what))
        except OSError as error:
            found.left_out.append((str(folder.path), str(error)))
    asked: dict[str, list[tuple[CellName, str]]] = {}
    records = grid_records(results, found.left_out)
    only = None if grid is None else grid_named(grid, records, results)[0]
    for name, record in records.items() if only is None else [(only, records[only])]:
        cells = [cell for cell in record.cells if not tags or cell.identity in folders]
        if tags and not cells:
            continue
        ends: list[tuple[State, str | None]] = []
        for cell in cells:
            run = folders.get(cell.identity)
            state = state_of(run, cell.asked)
            if queued is not None and state in (*UNFINISHED, State.MISSING) and state != State.RUNNING:
                waits = State.MISSING if state == State.QUEUED else state
                state = State.QUEUED if cell.identity in queued else waits
            ends.append((state, found.runs[run.path.name].verdict if run else None))
            if run is not None:
                found.labels.setdefault(run.path.name, str(cell))
                asked.setdefault(cell.identity, []).extend(cell.asked)
        found.grids[name] = by_end(ends)
    for identity, evaluations in asked.items():  # a run is no further than the cells that stand on it
        run = folders[identity]
        found.runs[run.path.name] = replace(found.runs[run.path.name], state=state_of(run, evaluations))
    if only is not None:
        return replace(found, runs={name: now for name, now in found.runs.items() if name in found.labels})
    return found


def by_end(ends: Iterable[tuple[State, str | None]]) -> dict[str, int]:
    """How often there is which state, in their order, and each kind of collapse apart; a cell without a run waits for
    one."""
    names = {State.MISSING: "waiting"}
    ordered = sorted(ends, key=lambda end: (list(State).index(end[0]), end[1] or ""))
    return dict(
        Counter(
            WORDS[verdict or NONE] if state == State.COLLAPSED else names.get(state, state.value)
            for state, verdict in ordered
        )
    )


def _in_words(counts: Mapping[str, int]) -> str:
    return " · ".join(f"{count} {state}" for state, count in counts.items()) or "none"


def _progress(now: Snapshot) -> str:
    epoch, loss, std, speed = now.words()
    left = "" if now.seconds_left is None else f"{span(now.seconds_left)} left"
    parts = (f"epoch {epoch}" if epoch else "starting", loss and f"loss {loss}", std and f"std {std}")
    return "  ".join(part for part in (*parts, speed and f"{speed} img/s", left) if part)
