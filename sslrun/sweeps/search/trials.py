"""A search's trials as a sweep's feed: asks the study for trials, hands over their runs, says how they ended.

The study says which trials there are, the runs' folders and leases what has become of them. So whoever looks first
ends a finished trial, and goes on with one whose sweeper is gone: nothing hangs on any one process.
"""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from statistics import fmean
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from sslrun.errors import DataError, InputError
from sslrun.grids import Cell, Grid
from sslrun.grids.schema import GridFile, Partial
from sslrun.grids.space import Space
from sslrun.runs.folder import RunFolder, find
from sslrun.runs.history import Row
from sslrun.runs.records import FINISHED, State
from sslrun.runs.table import evaluation_numbers
from sslrun.sweeps.scheduler import Sweep
from sslrun.sweeps.search.study import REASON, RUNS, Study
from sslrun.sweeps.work import Job, Known, grid_record, jobs_of

_YOUNG = timedelta(seconds=5)
"""A trial of another sweeper is left alone for so long: its run is about to start."""
_WORDS = {
    TrialState.COMPLETE: "done",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "under way",
}


class Trials:
    """The trials of a grid's search; `turn` is called by the sweep that runs them."""

    def __init__(self, grid: Grid, space: Space, results: Path, data: Path, run_options: Mapping[str, Any]) -> None:
        self.grid, self.space, self.results, self._data, self._run_options = grid, space, results, data, run_options
        self._known_data: Known = {}
        self._jobs: dict[int, tuple[Job, ...]] = {}
        self._taken: set[int] = set()
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
        """End what has ended, take up what nobody works on, and ask for more while there is room."""
        with self.study.alone():
            for trial in self.study.running():
                young = datetime.now() - (trial.datetime_start or datetime.min) < _YOUNG
                if not self._ended(trial, sweep) and not young:
                    self._take(trial, sweep)
            while not sweep.stops and self._to_ask > 0 and sweep.room > 0:
                trial = self.study.ask()
                if not self._ended(trial, sweep):
                    self._take(trial, sweep)
            running = {trial.number for trial in self.study.running()}
            for job in (job for number in self._taken - running for job in self._jobs[number]):
                sweep.drop(job)
            self._taken &= running
            self.open = bool(self._taken) or (self.most > 0 and bool(running)) or self._to_ask > 0
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
        return f"{total - counts['under way'] - counts['to come']} of {total} trials ended"

    @property
    def name(self) -> str:
        """What reports call it, which is not another grid's name."""
        return grid_record(replace(self.grid, file=self._with_axes([]), cells=()), []).apart(self.results).grid

    def runs(self, trial: FrozenTrial) -> list[RunFolder]:
        """The folders of a trial's runs, as far as they are there."""
        found = [find(self.results, identity) for identity in trial.user_attrs.get(RUNS, ())]
        return [folder for folder in found if folder is not None]

    @property
    def _to_ask(self) -> int:
        return int(min(self.most, max(0, self.space.search.trials - len(self.study.trials()))))

    def _take(self, trial: FrozenTrial, sweep: Sweep) -> None:
        """Hand a trial's runs to the sweep, which watches those that others have; only so many others are begun."""
        if sweep.stops or trial.number in self._taken:
            return
        jobs = self.jobs(trial)
        if any(job.state(find(self.results, job.identity)) != State.RUNNING for job in jobs):
            if self.most <= 0:
                return
            self.most -= 1
        self._taken.add(trial.number)
        for job in jobs:
            sweep.add(job, self.seconds)

    def _ended(self, trial: FrozenTrial, sweep: Sweep) -> bool:
        """End a trial whose runs have ended, or should; whether that is so."""
        try:
            jobs = self.jobs(trial)
        except DataError:
            raise
        except InputError as error:  # options that can't go together, or can't be judged by
            return self._end(trial, sweep, TrialState.FAIL, f"can't be: {error}", reason=str(error))
        runs = [job.identity for job in jobs]
        self.study.note(trial, RUNS, runs)
        folders = [find(self.results, run) for run in runs]
        reason = next((failure.reason for failure in sweep.failures if failure.job.identity in runs), None)
        ours = any(one.job.identity in runs for one in sweep.engine.running)
        ended = all(job.state(folder) in FINISHED for job, folder in zip(jobs, folders, strict=True))
        rows = [row for folder in folders if folder is not None and (ours or ended) for row in _history(folder)]
        hopeless = self.study.hopeless(trial, rows)
        if ended:
            every = [metrics(job, folder) for job, folder in zip(jobs, folders, strict=True) if folder is not None]
            values = {name: _mean([row.get(name) for row in every]) for name in self.space.search.objectives}
            reason = next((f"no number for {name}" for name, value in values.items() if value is None), None)
            if reason is None:
                text = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
                return self._end(trial, sweep, TrialState.COMPLETE, text, [value or 0.0 for value in values.values()])
        if reason is not None:
            return self._end(trial, sweep, TrialState.FAIL, f"failed: {reason.splitlines()[0]}", reason=reason)
        if hopeless and ours and rows and rows[-1]["epoch"] < jobs[0].recipes[0].training.epochs:
            return self._end(trial, sweep, TrialState.PRUNED, f"pruned after epoch {rows[-1]['epoch']}")
        return False

    def _end(
        self,
        trial: FrozenTrial,
        sweep: Sweep,
        state: TrialState,
        text: str,
        values: list[float] | None = None,
        reason: str | None = None,
    ) -> bool:
        if reason is not None:
            self.study.note(trial, REASON, reason)
        self.study.end(trial, state, values)
        sweep.watcher.event(f"trial {trial.number}   {text}")
        return True

    def jobs(self, trial: FrozenTrial) -> tuple[Job, ...]:
        """A trial's runs, one a seed. Raises `InputError` where its options can't go together."""
        if trial.number not in self._jobs:
            self._jobs[trial.number] = self._jobs_at(self.study.point(trial))
        return self._jobs[trial.number]

    def _jobs_at(self, point: dict[str, Any]) -> tuple[Job, ...]:
        labels = {name: label(value) for name, value in point.items()}
        cells = [Cell(labels, recipe.seed, recipe) for recipe in self.space.recipes(point)]
        return tuple(jobs_of(cells, self._data, self._run_options, self._known_data))

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
        trials = [trial for trial in trials if trial.user_attrs.get(RUNS)]
        jobs = {cell.key: job for trial in trials for job in self.jobs(trial) for cell in job.cells}
        cells = [cell for job in jobs.values() for cell in job.cells]
        file = self._with_axes([self.study.point(trial) for trial in trials])
        grid_record(replace(self.grid, file=file, cells=tuple(cells)), list(jobs.values())).write(self.results)

    def _with_axes(self, points: list[Partial]) -> GridFile:
        """The grid's file with an axis for each field, whose labels are those of the points."""
        axes: dict[str, dict[str, Partial]] = {
            name: {label(value): {} for value in _ordered(name, points, self.space)} for name in self.space.first
        }
        return self.grid.file.model_copy(update={"axes": axes})


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


def _mean(values: list[Any]) -> float | None:
    """Over seeds; none if it is not a finite number for each."""
    finite = [float(value) for value in values if isinstance(value, int | float) and math.isfinite(value)]
    return fmean(finite) if finite and len(finite) == len(values) else None


def _history(folder: RunFolder) -> list[Row]:
    with suppress(OSError):
        return folder.history.read()
    return []
