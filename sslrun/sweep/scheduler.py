"""The loop of a sweep: hand jobs to an engine, and decide what follows from how each ended.

A job that dies costs itself only: it is tried once more (out of memory: alone on its device), then recorded as
failed, and the rest goes on. A run that another process holds is watched until it is done or free again. All that
must survive this process is in the runs' folders.
"""

import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sslrun.errors import RunHeld, SslrunError
from sslrun.runs.folder import RunFolder, find
from sslrun.runs.lease import hold
from sslrun.runs.records import FINISHED, State, utc_now
from sslrun.sweep.plan import Plan
from sslrun.sweep.pool import Running
from sslrun.sweep.slots import Device, Slots
from sslrun.sweep.work import Job
from sslrun.sweep.worker import GRACE_SECONDS, Outcome

LOOK_SECONDS = 1.0
"""How often runs that others hold are looked at."""
_TRIES = 2
_TOLD = {
    "memory": "out of memory",
    "crashed": "crashed",
    "hung": "hung",
    "killed": "killed",
    "interrupted": "was stopped from elsewhere",
    "failed": "failed",
}


class Engine(Protocol):
    """What carries jobs out: the local pool, or a cluster."""

    slots: Slots
    running: list[Running]

    def room(self, *, alone: bool = False) -> Device | None:
        """Where one more job could go now."""

    def start(self, job: Job, device: Device, *, alone: bool = False) -> Running:
        """Start a job there."""

    def wait(self, timeout: float) -> list[tuple[Running, Outcome]]:
        """Those that ended within `timeout` seconds."""

    def end(self, one: Running) -> None:
        """Let one job save its state and end."""

    def stop(self, *, now: bool = False) -> None:
        """Let all jobs save their state and end; `now`: end them."""


class Watcher(Protocol):
    """Who is told what happens; `sslrun.sweep.progress` shows it."""

    def event(self, text: str) -> None:
        """Something worth a line."""

    def draw(self, sweep: "Sweep") -> None:
        """Called about once a second."""


class Source(Protocol):
    """Where jobs beyond those of the plan come from: a search, whose next ones depend on how the last ones ended."""

    open: bool
    """Whether it waits for jobs, or may have more."""

    @property
    def seconds_left(self) -> float:
        """What its jobs to come will take."""

    def turn(self, sweep: "Sweep") -> None:
        """Called about once a second, and whenever jobs end: to look at them, and to fill the queue."""

    def __str__(self) -> str:
        """Where it stands, in a few words."""


@dataclass
class Failure:
    """A job that is given up: why, and the last lines of its log."""

    job: Job
    reason: str
    lines: list[str]


class Sweep:
    """One session of a sweep; `run` does what the plan chose."""

    def __init__(
        self,
        plan: Plan,
        engine: Engine,
        watcher: Watcher,
        results: Path,
        *,
        stop_on_failure: bool,
        source: Source | None = None,
    ) -> None:
        self.plan, self.engine, self.watcher, self.results = plan, engine, watcher, results
        self.stop_on_failure, self.source = stop_on_failure, source
        self.began = utc_now()
        ours = [entry.job for entry in plan.ours]
        self.queue: deque[Job] = deque(ours)
        self.alone: deque[Job] = deque()
        self.watched: list[Job] = [entry.job for entry in plan.chosen if entry.state == State.RUNNING]
        self.done: list[Job] = []
        self.failures: list[Failure] = []
        self.stops = 0
        self.retrying = {entry.job.identity for entry in plan.ours if entry.state == State.FAILED}
        self.costs = {entry.job.identity: entry.seconds for entry in plan.entries}
        self._worked = self._estimated = 0.0
        self._tries: dict[str, int] = {}
        self._dropped: set[str] = set()
        self._looked = self._deadline = 0.0

    def expected(self, job: Job) -> float:
        """Seconds that a job takes in all: as planned, times how much longer than planned those took that are done."""
        return self.costs[job.identity] * (self._worked / self._estimated if self._estimated else 1.0)

    def run(self) -> None:
        """Work until all that was chosen is done, failed, or a stop was asked for and heeded."""
        with self._signals():
            self._ask_source()
            while self.engine.running or (not self.stops and self._more()):
                if not self.stops:
                    self._look_at_others()
                    self._fill()
                elif time.monotonic() > self._deadline:
                    self.engine.stop(now=True)
                for one, outcome in self.engine.wait(LOOK_SECONDS):
                    self._settle(one, outcome)
                self._ask_source()
                self.watcher.draw(self)

    def stop(self) -> None:
        """First: start nothing more, and let jobs save their state. Again: end them now."""
        self.stops += 1
        self._deadline = time.monotonic() + GRACE_SECONDS
        self.engine.stop(now=self.stops > 1)

    def drop(self, job: Job) -> None:
        """Forget a job; if it is at work here, let it save its state and end, `pruned`."""
        self.queue, self.alone = (deque(one for one in jobs if one is not job) for jobs in (self.queue, self.alone))
        self.watched = [one for one in self.watched if one is not job]
        for one in self.engine.running:
            if one.job is job and job.identity not in self._dropped:
                self._dropped.add(job.identity)
                self.engine.end(one)

    def _more(self) -> bool:
        return bool(self.queue or self.alone or self.watched or (self.source is not None and self.source.open))

    def _ask_source(self) -> None:
        if self.source is not None:
            self.source.turn(self)

    def _fill(self) -> None:
        while self.queue and (device := self.engine.room()) is not None:
            self._begin(self.queue.popleft(), device)
        while not self.queue and self.alone and (device := self.engine.room(alone=True)) is not None:
            self._begin(self.alone.popleft(), device, alone=True)

    def _begin(self, job: Job, device: Device, *, alone: bool = False) -> None:
        """Start the job, unless another sweep was faster."""
        try:
            if not self._taken_by_others(job):
                self.engine.start(job, device, alone=alone)
        except (SslrunError, OSError) as error:
            self._give_up(job, None, str(error))

    def _taken_by_others(self, job: Job) -> bool:
        folder = find(self.results, job.identity)
        state = job.state(folder)
        if state == State.RUNNING:
            self.watched.append(job)
        elif state in FINISHED:
            self.done.append(job)
            self.watcher.event(f"{job}   done elsewhere")
        elif state == State.FAILED and folder is not None and not self._ours_to_try(job, folder):
            self.failures.append(Failure(job, folder.status.reason or "", folder.last_lines(3)))
        else:
            return False
        return True

    def _ours_to_try(self, job: Job, folder: RunFolder) -> bool:
        """Whether a failed run failed before we were asked to retry it; else another sweep has given it up.

        A search's runs are anybody's to try: whoever gives one up says so in the study.
        """
        before = (folder.status.finished or "") <= self.began and job.identity in self.retrying
        return self.source is not None or before

    def _look_at_others(self) -> None:
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        watched, self.watched = self.watched, []
        for job in watched:
            if not self._taken_by_others(job):
                self.queue.appendleft(job)

    def _settle(self, one: Running, outcome: Outcome) -> None:
        """What follows from how a job ended."""
        job = one.job
        dropped = job.identity in self._dropped
        self._dropped.discard(job.identity)
        if outcome.kind == "done":
            self._finish(one)
        elif dropped:
            _mark_pruned(one.folder)
        elif outcome.kind == "held":
            self.watched.append(job)
        elif self.stops and outcome.kind in ("interrupted", "killed"):
            self.queue.append(job)
        else:
            reason = f"{_TOLD[outcome.kind]}: {outcome.reason}".removesuffix(": ")
            tries = self._tries[job.identity] = self._tries.get(job.identity, 0) + 1
            if outcome.kind == "failed":
                self._give_up(job, one.folder, outcome.reason)
            elif tries >= _TRIES:
                self._give_up(job, one.folder, f"{reason} (try {tries} of {_TRIES})")
            else:
                alone = outcome.kind in ("memory", "killed")
                how = ", alone on its device" if alone else ""
                self.watcher.event(f"{job}   {reason}; it will be tried again{how}")
                (self.alone if alone else self.queue).append(job)

    def _finish(self, one: Running) -> None:
        self.done.append(one.job)
        self._worked += time.time() - one.started
        self._estimated += self.costs[one.job.identity]
        status = one.folder.status
        if status.reason:  # of an evaluation that failed before and is there now
            with suppress(RunHeld), hold(one.folder):
                status = one.folder.update_status(reason=None)
        self.watcher.event(f"{one.job}   {status.verdict or status.state}")

    def _give_up(self, job: Job, folder: RunFolder | None, reason: str) -> None:
        """Record a failure in the run's status, for every later sweep and report, unless another has taken the run."""
        lines = folder.last_lines(5) if folder is not None else []
        if folder is not None:
            try:
                with hold(folder):
                    changes = {} if folder.status.finished_well else {"state": State.FAILED, "finished": utc_now()}
                    folder.update_status(reason=reason, **changes)
            except RunHeld:
                self.watched.append(job)
                return
        self.failures.append(Failure(job, reason, lines))
        self.watcher.event("\n".join([f"{job}   given up: {reason}", *(f"    {line}" for line in lines)]))
        if self.stop_on_failure and not self.stops:
            self.stop()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        def handle(*_: object) -> None:
            if self.stops == 0:
                self.watcher.event("stopping: jobs save their state (again: now)")
            self.stop()

        numbers = (signal.SIGINT, signal.SIGTERM)
        before: list[Callable[..., Any] | int | None] = [signal.signal(number, handle) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler if handler is not None else signal.SIG_DFL)


def _mark_pruned(folder: RunFolder) -> None:
    """Say of a run that nobody waits for why it is not finished, unless another sweep has taken it up."""
    with suppress(RunHeld), hold(folder):
        if folder.status.state == State.RUNNING:
            folder.update_status(state=State.PRUNED)
