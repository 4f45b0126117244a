"""What a sweep has to do and what that will cost: shown before every start, and alone by `--plan`."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sslrun.errors import InputError
from sslrun.grids import Cell, Grid
from sslrun.recipe.messages import nearest
from sslrun.runs.folder import RunFolder, by_identity
from sslrun.runs.records import State
from sslrun.sweep.costs import Cost, Key, earlier, evaluation_seconds, recipe_key
from sslrun.sweep.durations import clock
from sslrun.sweep.slots import Slots
from sslrun.sweep.work import Job

MEASURED = "measured on a few steps; linear probes and baselines not counted"
_WORDS = {
    State.MISSING: "new",
    State.QUEUED: "new",
    State.INTERRUPTED: "to be finished",
    State.PRUNED: "to be finished",
    State.DONE: "cached",
    State.COLLAPSED: "cached",
    State.RUNNING: "running elsewhere",
    State.FAILED: "failed before",
}
_TO_DO = (State.MISSING, State.QUEUED, State.INTERRUPTED, State.PRUNED)


@dataclass(frozen=True)
class Entry:
    """One job of the plan: its state before the start, whether it will be done now, and what that takes."""

    job: Job
    state: State
    chosen: bool
    seconds: float
    bytes: int


@dataclass(frozen=True)
class Plan:
    """All jobs of a grid, in the order in which they will be done."""

    grid: Grid
    entries: tuple[Entry, ...]
    slots: Slots
    measured: str
    """Where the costs come from."""

    @property
    def chosen(self) -> list[Entry]:
        """What will be done now, here or elsewhere."""
        return [entry for entry in self.entries if entry.chosen]

    @property
    def ours(self) -> list[Entry]:
        """What will be done here."""
        return [entry for entry in self.chosen if entry.state != State.RUNNING]

    @property
    def cells(self) -> dict[State, int]:
        """How many cells are in which state."""
        return Counter(entry.state for entry in self.entries for _ in entry.job.cells)

    @property
    def device_seconds(self) -> float:
        """The sum over the jobs to be done, by one device slot each."""
        return sum(entry.seconds for entry in self.ours)

    @property
    def wall_seconds(self) -> float:
        """Until the last of them is done: jobs go to the first slot that is free."""
        free = [0.0] * self.slots.count
        for entry in self.ours:
            free[free.index(min(free))] += entry.seconds
        return max(free)

    @property
    def bytes(self) -> int:
        """What will be written."""
        return sum(entry.bytes for entry in self.ours)

    def text(self) -> str:
        """The plan in a few lines."""
        axes = " × ".join(f"{axis} {len(labels)}" for axis, labels in self.grid.axes.items())
        runs = len(self.entries)
        cells = sum(self.cells.values())
        head = f"{self.grid.record_name}   {cells} cells" + (f" ({axes})" if axes else "")
        lines = [head if runs == cells else f"{head} that share {runs} pretrainings"]
        counts = Counter(_WORDS[entry.state] for entry in self.entries for _ in entry.job.cells)
        told = [f"{counts[word]} {word}" for word in dict.fromkeys(_WORDS.values()) if counts[word]]
        failed = any(entry.state == State.FAILED and not entry.chosen for entry in self.entries)
        lines.append(" · ".join(told) + ("   (--retry does failed ones again)" if failed else ""))
        return "\n".join([*lines, *self.bill()])

    def bill(self) -> list[str]:
        """What it takes, in a line, and how that is known."""
        if not self.ours:
            return ["nothing to do here"]
        finish = datetime.fromtimestamp(time.time() + self.wall_seconds).strftime("%a %H:%M")
        parts = [
            f"{len(self.ours)} runs now: about {clock(self.device_seconds)} of device time",
            f"{_size(self.bytes)} of disk",
            f"done in {clock(self.wall_seconds)}, {finish}",
        ]
        return [" · ".join(parts), f"{self.slots}; {self.measured}"]


def select(grid: Grid, only: Sequence[str]) -> list[Cell]:
    """The cells that fit every `axis=label` (or `seed=N`) in `only`; several of one axis mean any of them.

    Raises `InputError` naming the axes and labels there are.
    """
    every = {**grid.axes, "seed": tuple(map(str, grid.file.seeds))}
    wanted: dict[str, set[str]] = {}
    for text in only:
        axis, equals, label = text.partition("=")
        if axis not in every:
            remedy = f"{nearest(axis, every) or 'write --only axis=label'}  (axes: {', '.join(every)})"
            raise InputError(f"no such axis: {axis}", where=f"--only {text}", remedy=remedy)
        if not equals:
            remedy = f"write --only {axis}=LABEL  (labels: {', '.join(every[axis])})"
            raise InputError(f"names no label of {axis}", where=f"--only {text}", remedy=remedy)
        if label not in every[axis]:
            remedy = f"{nearest(label, every[axis])}  (labels: {', '.join(every[axis])})".strip()
            raise InputError(f"no such label of {axis}: {label}", where=f"--only {text}", remedy=remedy)
        wanted.setdefault(axis, set()).add(label)
    kept = [cell for cell in grid.cells if all(label in wanted.get(axis, {label}) for axis, label in cell.key)]
    if not kept:
        raise InputError("the grid excludes all of these cells", where=f"--only {' --only '.join(only)}")
    return kept


def make_plan(
    grid: Grid,
    jobs: Sequence[Job],
    results: Path,
    slots: Slots,
    measure: Callable[[Job], Cost],
    *,
    retry: bool = False,
    limit: int | None = None,
    budget: float | None = None,
) -> Plan:
    """Look at every job's state and cost; choose what is to be done now.

    `measure` times a job of which no earlier run tells. Failed jobs are chosen if `retry`; at most `limit` runs,
    and as many of the first as take at most `budget` seconds of device time.
    """
    folders, costs = by_identity(results), earlier(results)
    known = len(costs)
    entries: list[Entry] = []
    spent, count = 0.0, 0
    for job in jobs:
        state = job.state(folders.get(job.identity))
        wanted = state in _TO_DO or (state == State.FAILED and retry)
        wanted = wanted and (limit is None or count < limit)
        seconds, size = 0.0, 0
        if wanted:
            cost = cost_of(job, costs, measure)
            seconds, size = _left(job, folders, cost), cost.size
            wanted = budget is None or spent + seconds <= budget
        if wanted:
            count, spent = count + 1, spent + seconds
        entries.append(Entry(job, state, wanted or state == State.RUNNING, seconds, size))
    told = "measured on earlier runs" if len(costs) == known else MEASURED
    return Plan(grid, tuple(entries), slots, told)


def cost_of(job: Job, costs: dict[Key, Cost], measure: Callable[[Job], Cost]) -> Cost:
    """What a job costs by what is known; if nothing is, it is measured and then known."""
    kind = recipe_key(job.recipes[0])
    if kind not in costs:
        costs[kind] = measure(job)
    return costs[kind]


def _left(job: Job, folders: dict[str, RunFolder], cost: Cost) -> float:
    """Seconds until the job is done: the epochs and the evaluations that are left."""
    folder = folders.get(job.identity)
    epochs, evaluation = job.recipes[0].training.epochs, cost.evaluation * len(job.recipes)
    if folder is None:
        return cost.epoch * epochs + evaluation
    # What this run took for a kind of evaluation under other settings tells more than the mean over all kinds.
    took = evaluation_seconds(folder)
    missing = [took.get(name.kind, evaluation / len(job.evaluations)) for name in job.missing(folder)]
    return cost.epoch * max(0, epochs - folder.status.epoch) + sum(missing)


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(1, round(count / 1e6))} MB"
