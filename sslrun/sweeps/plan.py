"""What a sweep has to do and what that will cost: shown before every start, and alone by `--plan`.

It looks at the state of each job (`work`) and its cost (`costs`), and chooses what to do now; `scheduler` does it.
"""

import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sslrun.console import span
from sslrun.errors import InputError
from sslrun.grids import Grid
from sslrun.grids.power import foreseen
from sslrun.recipe import trial
from sslrun.runs.folder import by_identity
from sslrun.runs.records import State
from sslrun.sweeps.costs import Costs
from sslrun.sweeps.engine import Engine
from sslrun.sweeps.work import Job

_WORDS = {
    State.MISSING: "new",
    State.QUEUED: "new",
    State.INTERRUPTED: "to be finished",
    State.UNJUDGED: "to be judged",
    State.PRUNED: "to be finished",
    State.DONE: "cached",
    State.COLLAPSED: "cached",
    State.RUNNING: "running elsewhere",
    State.FAILED: "failed before",
}
_DAMAGED = "damaged"
_TO_DO = (State.MISSING, State.QUEUED, State.INTERRUPTED, State.UNJUDGED, State.PRUNED)


@dataclass(frozen=True)
class Entry:
    """One job of the plan: its state before the start, whether it will be done now, and what that takes."""

    job: Job
    state: State
    chosen: bool
    seconds: float | None = 0.0
    """None if that is not known."""
    bytes: int = 0
    damage: InputError | None = None
    """Why its run can't be read: it is left as it is."""

    @property
    def ours(self) -> bool:
        """Whether it will be done here."""
        return self.chosen and self.state != State.RUNNING


@dataclass(frozen=True)
class Plan:
    """All jobs of a grid, in the order in which they will be done; and what it takes, in a few lines."""

    grid: Grid
    entries: tuple[Entry, ...]
    estimate: list[str]
    name: str
    """What reports call it: the grid's name for them, or another where another grid's cells have that."""
    missing: tuple[str, ...] = ()
    """What is said of data that are not here."""

    @property
    def chosen(self) -> list[Entry]:
        """What will be done now, here or elsewhere."""
        return [entry for entry in self.entries if entry.chosen]

    @property
    def ours(self) -> list[Entry]:
        """What will be done here."""
        return [entry for entry in self.entries if entry.ours]

    @property
    def cells(self) -> dict[State, int]:
        """How many cells are in which state."""
        return Counter(entry.state for entry in self.entries for _ in entry.job.cells)

    def text(self) -> str:
        """The plan in a few lines."""
        runs, cells = len(self.entries), sum(self.cells.values())
        head = f"{self.name}   {cells} cells ({_product(self.grid, cells)})"
        head += "" if runs == cells else f" that share {runs} pretrainings"
        taken = renamed(self.grid.record_name, self.name)
        counts: Counter[str] = Counter()
        for entry in self.entries:
            counts[_DAMAGED if entry.damage else _WORDS[entry.state]] += len(entry.job.cells)
        words = dict.fromkeys((*_WORDS.values(), _DAMAGED))
        states = " · ".join(f"{counts[word]} {word}" for word in words if counts[word])
        failed = any(entry.state == State.FAILED and not (entry.chosen or entry.damage) for entry in self.entries)
        power = []
        if self.grid.comparisons and not trial.on():
            power = [foreseen(self.grid.comparisons, len(self.grid.file.seeds))]
        elif self.grid.axes and not self.grid.file.baseline:
            power = ["the grid names no `baseline`: no differences will be tested"]
        return "\n".join(
            [
                head,
                *self._doubles(),
                *taken,
                *power,
                states + "   (--retry does failed ones again)" * failed,
                *(f"left as it is: {entry.damage}" for entry in self.entries if entry.damage),
                *self.estimate,
                *self.missing,
            ]
        )

    def _doubles(self) -> list[str]:
        """A line where labels set the same, so that conditions have other names and nothing else."""
        doubled = [entry.job for entry in self.entries if len(entry.job.recipes) < len(entry.job.cells)]
        count = sum(len(job.cells) - len(job.recipes) for job in doubled)
        alike = f"{count} cell{'s are' if count > 1 else ' is'} the same as others by all that decides numbers"
        return [f"{alike}: {doubled[0]}"] if doubled and not trial.on() else []

    def conditions(self) -> tuple[list[str], list[list[str]]]:
        """The cells: a header, and for each condition its labels and how many of its seeds are in which state."""
        states: dict[tuple[str, ...], Counter[str]] = {}
        for entry in self.entries:
            for cell in entry.job.cells:
                states.setdefault(tuple(cell.labels.values()), Counter())[_WORDS[entry.state]] += 1
        rows = [[*labels, " · ".join(f"{n} {word}" for word, n in found.items())] for labels, found in states.items()]
        return [*self.grid.axes, "seeds"], rows


def _product(grid: Grid, cells: int) -> str:
    """How a grid comes to so many cells: `predictor 3 × ema 2 × 3 seeds, 2 excluded; 4 of them asked for`."""
    if trial.on():
        return "the grid's first: SSLRUN_TRIAL is set"
    seeds = len(grid.file.seeds)
    factors = [*(f"{axis} {len(labels)}" for axis, labels in grid.axes.items()), f"{seeds} seed{'s' * (seeds > 1)}"]
    excluded = math.prod(map(len, grid.axes.values())) * seeds - len(grid.cells)
    text = " × ".join(factors) + (f", {excluded} excluded" if excluded else "")
    return text if cells == len(grid.cells) else f"of {len(grid.cells)}: {text}"


def renamed(wanted: str, name: str) -> list[str]:
    """The line that says why a grid is not called as it wants to be; none if it is."""
    return [f"called {name} here: {wanted} is another grid of this results folder"] * (name != wanted)


def make_plan(
    grid: Grid,
    jobs: Sequence[Job],
    results: Path,
    engine: Engine,
    costs: Costs,
    *,
    retry: bool = False,
    limit: int | None = None,
    budget: float | None = None,
) -> Plan:
    """Look at every job's state and cost; choose what is to be done now.

    A run that can't be read counts as failed and is named: the others need not wait for it. Failed jobs are chosen if
    `retry`; at most `limit` runs, and as many of the first as take at most `budget` seconds of device time.
    """
    folders = by_identity(results)
    entries: list[Entry] = []
    spent, count = 0.0, 0
    for job in jobs:
        folder = folders.get(job.identity)
        try:
            state = job.state(folder)
        except InputError as error:
            entries.append(Entry(job, State.FAILED, chosen=False, damage=error))
            continue
        entry = Entry(job, state, state == State.RUNNING)
        if (state in _TO_DO or (state == State.FAILED and retry)) and (limit is None or count < limit):
            seconds, cost = costs.left(job, folder), costs.of(job)
            taken = (seconds or 0.0) * costs.devices
            chosen = budget is None or spent + taken <= budget
            if chosen:
                count, spent = count + 1, spent + taken
            entry = Entry(job, state, chosen, seconds, cost.size if cost else 0)
        entries.append(entry)
    return Plan(
        grid, tuple(entries), estimate([entry for entry in entries if entry.ours], engine, costs), grid.record_name
    )


def estimate(entries: Sequence[Entry], engine: Engine, costs: Costs) -> list[str]:
    """What these take that `engine` is to do, in a line; then how that is known."""
    if not entries:
        return ["nothing to do here"]
    made = engine.foresee([(entry.job, entry.seconds) for entry in entries])
    free = [0.0] * engine.at_once  # jobs go to the first slot that is free
    for entry in entries:
        free[free.index(min(free))] += entry.seconds or 0.0
    finish = datetime.fromtimestamp(time.time() + max(free)).strftime("%a %d %b %Y, %H:%M")
    untimed = sum(entry.seconds is None for entry in entries)
    taken = costs.devices * sum(entry.seconds or 0.0 for entry in entries)
    known = untimed < len(entries)
    parts = [
        f"{len(entries)} run{'s' * (len(entries) != 1)} now: "
        + (f"about {span(taken)} of device time" if known else "how long they take is not known here")
        + (f" without {untimed} of unknown length" if untimed and known else ""),
        _size(sum(entry.bytes for entry in entries)) + " of disk",
        *([f"done in {span(max(free))}, {finish}"] if known else []),
    ]
    how, *untimed_kinds = costs.how()
    return [" · ".join(parts), f"{engine}; {how}", *made, *untimed_kinds]


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(1, round(count / 1e6))} MB"
