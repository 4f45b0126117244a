"""The memory of a search: an Optuna study in a journal beside the sweep's record, shared by all sweepers.

Whoever reads it to act upon it holds its lock meanwhile, so that no trial is asked for or ended twice. What a trial's
runs are doing is not kept here: that is for their folders and leases to say, and `trials` looks there.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import optuna
from optuna.pruners import MedianPruner
from optuna.samplers import BaseSampler, CmaEsSampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from sslrun.errors import InputError
from sslrun.files import locked, whole_lines
from sslrun.grids.space import Space
from sslrun.runs.history import Row
from sslrun.seeds import stream_seed

_DIGITS = 6
"""Significant digits of what is drawn: enough for any option, and readable."""
RUNS, REASON = "runs", "reason"
"""What is kept with a trial: its runs' identities, and why it failed."""


class Study:
    """The trials of one search; `name` stands for all that makes their outcomes comparable."""

    def __init__(self, journal: Path, name: str, space: Space) -> None:
        self.space, search = space, space.search
        if search.sampler == "cmaes" and find_spec("cmaes") is None:
            remedy = "pip install 'sslrun[search]'"
            raise InputError("the sampler cmaes needs a package that is not installed", where="cmaes", remedy=remedy)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        journal.parent.mkdir(parents=True, exist_ok=True)
        self._lock = _Lock(journal)
        with self.alone():
            self._storage = JournalStorage(JournalFileBackend(str(journal), self._lock))
            every = {"maximise": StudyDirection.MAXIMIZE, "minimise": StudyDirection.MINIMIZE}
            directions = [every[way] for way in search.objectives.values()]
            if name in optuna.get_all_study_names(self._storage):
                self._study = optuna.load_study(study_name=name, storage=self._storage)
            else:
                self._study = optuna.create_study(study_name=name, storage=self._storage, directions=directions)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other sweepers out of the study for a moment."""
        self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()

    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        """All of them as they are now, or those in these states."""
        return self._study.get_trials(deepcopy=False, states=states or None)

    def best(self) -> list[FrozenTrial]:
        """Done trials: the best first, or of several objectives those that no other surpasses in all."""
        if len(self.space.search.objectives) > 1:
            return self._study.best_trials
        done = self.trials(TrialState.COMPLETE)
        return sorted(done, key=lambda trial: self._sign * (trial.value or 0.0), reverse=True)

    def ask(self) -> FrozenTrial:
        """A new trial. The caller holds `alone`, for all that changes the study."""
        self._study.sampler = _sampler(self.space, len(self.trials()))
        return self._drawn(self._study.ask())

    def running(self) -> list[FrozenTrial]:
        """The trials that have not ended, with all their parameters: a sweeper may be killed while they are drawn."""
        return [self._whole(trial) for trial in self.trials(TrialState.RUNNING)]

    def _whole(self, trial: FrozenTrial) -> FrozenTrial:
        if trial.params.keys() == self.space.search.fields.keys():
            return trial
        self._study.sampler = _sampler(self.space, trial.number)
        return self._drawn(Trial(self._study, trial._trial_id))

    def _drawn(self, trial: Trial) -> FrozenTrial:
        """The trial with a value for each field; those that it has stay."""
        for name, field in self.space.search.fields.items():
            if field.low is None or field.high is None:
                trial.suggest_categorical(name, [_text(choice) for choice in field.choices or ()])
            elif name in self.space.whole:
                trial.suggest_int(name, int(field.low), int(field.high), step=int(field.step or 1), log=field.log)
            else:
                trial.suggest_float(name, field.low, field.high, step=field.step, log=field.log)
        return self.trials()[trial.number]

    def point(self, trial: FrozenTrial) -> dict[str, Any]:
        """What the trial gives each field of the space."""
        return {name: _value(self.space, name, trial.params[name]) for name in self.space.search.fields}

    def note(self, trial: FrozenTrial, name: str, value: Any) -> None:
        """Keep something with a trial: its `RUNS`, before they start, or the `REASON` of its failure."""
        if trial.user_attrs.get(name) != value:
            self._storage.set_trial_user_attr(trial._trial_id, name, value)

    def end(self, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None = None) -> None:
        """End a trial, a complete one with its values; one that has ended stays as it is."""
        self._study.tell(trial.number, values, state, skip_if_finished=True)

    def hopeless(self, trial: FrozenTrial, history: Sequence[Row]) -> bool:
        """Whether the pruner would end the trial now. It is shown how its run goes, which others are compared with."""
        pruning = self.space.search.pruning
        if pruning is None:
            return False
        sign = self._sign * (-1 if pruning.signal == "loss" else 1)
        for row in history:
            epoch, value = row["epoch"], row.get(pruning.signal)
            if epoch >= pruning.after_epochs and value is not None and epoch not in trial.intermediate_values:
                self._storage.set_trial_intermediate_value(trial._trial_id, epoch, sign * value)
        return MedianPruner(pruning.after_trials).prune(self._study, self.trials()[trial.number])

    @property
    def _sign(self) -> int:
        """1 where more is better, else −1."""
        return 1 if next(iter(self.space.search.objectives.values())) == "maximise" else -1


class _Lock(JournalFileOpenLock):
    """A lock of the system's, which a killed process does not leave behind as it would Optuna's own lock files.

    Its holder may take it again. Taking it cuts off half a line that a dead writer left.
    """

    def __init__(self, journal: Path) -> None:
        super().__init__(str(journal))
        self._journal, self._depth, self._held = journal, 0, ExitStack()

    def acquire(self) -> bool:
        if self._depth == 0:
            self._held.enter_context(locked(self._journal.with_name(f".{self._journal.name}.lock")))
            with self._journal.open("ab") as file:
                file.truncate(whole_lines(self._journal))
        self._depth += 1
        return True

    def release(self) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._held.close()


def _sampler(space: Space, number: int) -> BaseSampler:
    """A sampler for one trial: seeded by its number, so that two sweepers never draw the same stream."""
    seed = stream_seed(space.seeds[0], "search", number) % 2**32
    match space.search.sampler:
        case "random":
            return RandomSampler(seed)
        case "tpe":
            return TPESampler(seed=seed)
        case "cmaes":
            return CmaEsSampler(seed=seed, warn_independent_sampling=False)


def _text(choice: Any) -> str:
    return json.dumps(choice, sort_keys=True)


def _value(space: Space, name: str, drawn: Any) -> Any:
    """What the recipe gets: a choice itself, a number with few enough digits to read, but never beyond the range."""
    field = space.search.fields[name]
    if field.low is None or field.high is None:
        return json.loads(drawn)
    if name in space.whole:
        return drawn
    return min(max(float(f"{drawn:.{_DIGITS}g}"), field.low), field.high)
