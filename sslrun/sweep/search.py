"""A search as a sweep's source of jobs: asks the study for trials, starts their runs, tells it how they ended.

The journal (`study`) says which trials there are, the runs' folders and leases what has become of them. So whoever
looks first tells a finished trial, and goes on with one whose sweeper is gone: nothing hangs on any one process.
"""

import json
import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from statistics import fmean
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from sslrun.errors import RecipeError
from sslrun.grids import Cell, Grid
from sslrun.grids.schema import Partial
from sslrun.grids.space import Space
from sslrun.runs.folder import RunFolder, find
from sslrun.runs.history import Row
from sslrun.runs.records import FINISHED, State
from sslrun.runs.table import evaluation_numbers
from sslrun.sweep.scheduler import Sweep
from sslrun.sweep.study import Study
from sslrun.sweep.work import Job, Known, grid_record, jobs_of

_YOUNG = timedelta(seconds=5)
"""A trial of another sweeper is left alone for so long: its run is about to start."""
_WORDS = {
    TrialState.COMPLETE: "done",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "under way",
}


class Search:
    """The trials of a grid's search; `turn` is called by the sweep that runs them."""

    def __init__(self, grid: Grid, space: Space, results: Path, data: Path, operational: dict[str, Any]) -> None:
        self.grid, self.space, self.results, self._data, self._operational = grid, space, results, data, operational
        self._known_data: Known = {}
        self._known: dict[int, tuple[Job, ...]] = {}
        self._wrong: dict[int, str] = {}
        self._taken: dict[int, tuple[Job, ...]] = {}
        self._asked: set[int] = set()
        self._recorded = 0
        self.example = self._jobs_at(space.first)
        """The runs of one point, by which costs are estimated."""
        self.study = Study(results / "sweeps" / f"{grid.name}.journal", self._name(), space)
        self.seconds = 0.0
        """What one run takes; known once the plan is made."""
        self.most = math.inf
        """How many more trials may be begun here."""
        self.open = True

    def turn(self, sweep: Sweep) -> None:
        """Tell what has ended, take up what nobody works on, and ask for more while there is room."""
        with self.study.alone():
            waiting = [trial for trial in self._running() if not self._told(trial, sweep)]
            for trial in waiting:
                self._take(trial, sweep)
            while not sweep.stops and self._to_ask > 0 and _room(sweep) > 0:
                trial = self.study.ask()
                self._asked.add(trial.number)
                self._note_runs(trial)
                if not self._told(trial, sweep):
                    self._take(trial, sweep)
            running = {trial.number for trial in self._running()}
            for number in self._taken.keys() - running:
                for job in self._taken.pop(number):
                    if job.state(find(self.results, job.identity)) not in FINISHED:
                        sweep.drop(job)
            self.open = bool(running & self._taken.keys()) or (self.most > 0 and bool(running)) or self._to_ask > 0
            self._record()

    @property
    def counts(self) -> dict[str, int]:
        """How many trials are in which state, and how many are to come."""
        states = [trial.state for trial in self.study.trials()]
        found = {word: states.count(state) for state, word in _WORDS.items()}
        return found | {"to come": max(0, self.space.search.trials - len(states))}

    @property
    def seconds_left(self) -> float:
        """What the trials take that are not asked for yet."""
        return self.seconds * len(self.space.seeds) * self._to_ask

    def __str__(self) -> str:
        counts = self.counts
        total = sum(counts.values())
        return f"{total - counts['under way'] - counts['to come']} of {total} trials told"

    def runs(self, trial: FrozenTrial) -> list[RunFolder]:
        """The folders of a trial's runs, as far as they are there."""
        found = [find(self.results, job.identity) for job in self._jobs(trial)]
        return [folder for folder in found if folder is not None]

    @property
    def _to_ask(self) -> int:
        return int(min(self.most, max(0, self.space.search.trials - len(self.study.trials()))))

    def _running(self) -> list[FrozenTrial]:
        return [self.study.whole(trial) for trial in self.study.trials() if trial.state == TrialState.RUNNING]

    def _take(self, trial: FrozenTrial, sweep: Sweep) -> None:
        """Put a trial's runs into the queue, or watch them, unless that is done or its sweeper has just begun."""
        begun = trial.datetime_start or datetime.min
        young = trial.number not in self._asked and datetime.now() - begun < _YOUNG
        if sweep.stops or young or trial.number in self._taken:
            return
        jobs = self._jobs(trial)
        elsewhere = [job for job in jobs if job.state(find(self.results, job.identity)) == State.RUNNING]
        if len(elsewhere) < len(jobs):
            if self.most <= 0:
                return
            self.most -= 1
        self._note_runs(trial)
        self._taken[trial.number] = jobs
        for job in jobs:
            sweep.costs[job.identity] = self.seconds
            (sweep.watched if job in elsewhere else sweep.queue).append(job)

    def _told(self, trial: FrozenTrial, sweep: Sweep) -> bool:
        """Tell the study of a trial whose runs have ended, or should; whether that is so."""
        jobs = self._jobs(trial)
        folders = [find(self.results, job.identity) for job in jobs]
        failures = [one for one in sweep.failures if any(one.job.identity == job.identity for job in jobs)]
        ours = any(one.job.identity == job.identity for one in sweep.engine.running for job in jobs)
        ended = all(job.state(folder) in FINISHED for job, folder in zip(jobs, folders, strict=True))
        rows = [row for folder in folders if folder is not None and (ours or ended) for row in _history(folder)]
        if trial.number in self._wrong:
            self.study.fail(trial, self._wrong[trial.number])
            told = f"can't be: {self._wrong[trial.number]}"
        elif ended:
            self.study.report(trial, rows)
            found = [metrics(job, folder) for job, folder in zip(jobs, folders, strict=True) if folder is not None]
            told = self._tell_values(trial, found)
        elif failures:
            self.study.fail(trial, failures[0].reason)
            told = f"failed: {failures[0].reason.splitlines()[0]}"
        elif ours and rows and rows[-1]["epoch"] < jobs[0].recipes[0].training.epochs:
            self.study.report(trial, rows)
            if not self.study.hopeless(trial):
                return False
            self.study.prune(trial)
            told = f"pruned after epoch {rows[-1]['epoch']}"
        else:
            return False
        sweep.watcher.event(f"trial {trial.number}   {told}")
        return True

    def _tell_values(self, trial: FrozenTrial, found: list[dict[str, Any]]) -> str:
        values = []
        for name in self.space.search.objectives:
            every = [row.get(name) for row in found]
            numbers = [float(one) for one in every if isinstance(one, int | float) and math.isfinite(one)]
            if len(numbers) < len(every):
                reason = f"no number for {name}"
                self.study.fail(trial, reason)
                return f"failed: {reason}"
            values.append(fmean(numbers))
        self.study.tell(trial, values)
        return "  ".join(
            f"{name} {value:.4g}" for name, value in zip(self.space.search.objectives, values, strict=True)
        )

    def _jobs(self, trial: FrozenTrial) -> tuple[Job, ...]:
        """A trial's runs, one a seed; none where its options can't go together."""
        if trial.number not in self._known:
            try:
                self._known[trial.number] = self._jobs_at(self.study.point(trial))
            except RecipeError as error:
                self._known[trial.number], self._wrong[trial.number] = (), str(error)
        return self._known[trial.number]

    def _jobs_at(self, point: dict[str, Any]) -> tuple[Job, ...]:
        labels = {name: label(value) for name, value in point.items()}
        cells = [Cell(labels, recipe.seed, recipe) for recipe in self.space.recipes(point)]
        return tuple(jobs_of(cells, self._data, self._operational, self._known_data))

    def _note_runs(self, trial: FrozenTrial) -> None:
        self.study.keep_runs(trial, [job.identity for job in self._jobs(trial)])

    def _name(self) -> str:
        """The study's name: with other fields, objectives, data or options around them, outcomes don't compare."""
        search = self.space.search.model_dump(mode="json", include={"fields", "objectives"})
        runs = [[job.identity, *sorted(job.evaluations)] for job in self.example]
        text = json.dumps([search, runs], sort_keys=True)
        return f"{self.grid.name}-{sha256(text.encode()).hexdigest()[:16]}"

    def _record(self) -> None:
        """Keep which trial is which run, for reports; a point that was asked for twice is there once."""
        trials = self.study.trials()
        if len(trials) == self._recorded:
            return
        self._recorded = len(trials)
        jobs = {cell.key: job for trial in trials for job in self._jobs(trial) for cell in job.cells}
        cells = [cell for job in jobs.values() for cell in job.cells]
        points = [self.study.point(trial) for trial in trials if self._jobs(trial)]
        axes: dict[str, dict[str, Partial]] = {
            name: {label(value): {} for value in _ordered(name, points, self.space)} for name in self.space.first
        }
        file = self.grid.file.model_copy(update={"axes": axes})
        grid_record(replace(self.grid, file=file, cells=tuple(cells)), list(jobs.values())).write(self.results)


def metrics(job: Job, folder: RunFolder) -> dict[str, Any]:
    """A finished run's row of the runs' table: its last epoch's signals, and the evaluations that the job asks for."""
    cells = [folder.read_evaluation(name, identity) for identity, name in job.evaluations.items()]
    asked = job.recipes[0].evaluation.model_dump(mode="json")
    numbers = evaluation_numbers([cell for cell in cells if cell], asked)
    return {**(folder.history.last() or {}), **{str(number): value for number, value in numbers.items()}}


def label(value: Any) -> str:
    """A value as tables show it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False).replace('"', "")


def _ordered(name: str, points: list[dict[str, Any]], space: Space) -> Iterator[Any]:
    """The values that a field has taken: numbers ascending, choices as in the grid."""
    choices = space.search.fields[name].choices
    values = [point[name] for point in points]
    yield from (choice for choice in choices if choice in values) if choices is not None else sorted(values)


def _room(sweep: Sweep) -> int:
    """How many more jobs could start at once."""
    return sweep.engine.slots.count - len(sweep.engine.running) - len(sweep.queue) - len(sweep.alone)


def _history(folder: RunFolder) -> list[Row]:
    with suppress(OSError):
        return folder.history.read()
    return []
