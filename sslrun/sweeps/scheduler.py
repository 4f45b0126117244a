"""The loop of a sweep: hand jobs to an engine, and decide what follows from how each ended.

A job that dies costs itself only: it is tried once more (out of memory: alone on its device), then recorded as
failed, and the rest goes on. A run that another process holds is watched until it is done or free again. All that
must survive this process is in the runs' folders.
"""

import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sslrun.console import span
from sslrun.errors import RunHeld, SslrunError
from sslrun.jobs.stopping import WARNINGS, answered
from sslrun.recipe import to_yaml
from sslrun.runs.folder import RunFolder, create, find
from sslrun.runs.lease import hold
from sslrun.runs.records import FINISHED, State, utc_now
from sslrun.runs.verdict import WORDS
from sslrun.sweeps.engine import GRACE_SECONDS, HANG_SECONDS, Engine, Outcome, Running
from sslrun.sweeps.partners import Feed, Watcher
from sslrun.sweeps.plan import Entry
from sslrun.sweeps.work import Job

_TURN_SECONDS = 1.0
"""How soon what is asked of it is answered."""
AWAY_SECONDS = 60.0
"""A scheduler whose own turn comes so late was away, as on a laptop that slept; its jobs then were too."""
_TRIES, _ORPHANED_TRIES = 2, 5


@dataclass
class Failure:
    """A job that is given up, and why."""

    job: Job
    reason: str


class Sweep:
    """One session of a sweep; `run` does what was chosen of the plan's `entries`, and what `feed` adds.

    One that is not `patient` ends when only runs are left that others hold.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        engine: Engine,
        watcher: Watcher,
        results: Path,
        *,
        stop_on_failure: bool = False,
        hang_after: float = HANG_SECONDS,
        feed: Feed | None = None,
        patient: bool = True,
    ) -> None:
        self.engine, self.watcher, self.results, self.feed = engine, watcher, results, feed
        self.stop_on_failure, self.hang_after, self.patient = stop_on_failure, hang_after, patient
        self.began = utc_now()
        self.queue: deque[Job] = deque(entry.job for entry in entries if entry.ours)
        self.watched = [entry.job for entry in entries if entry.chosen and not entry.ours]
        self.cached = [entry.job for entry in entries if entry.state in FINISHED]
        self.done: list[Job] = []
        self.failures: list[Failure] = []
        self.stops, self.left = 0, False
        self.heard = set[int]()  # the signals that asked it to stop
        self._retrying = {entry.job.identity for entry in entries if entry.ours and entry.state == State.FAILED}
        self._costs = {entry.job.identity: entry.seconds or 0.0 for entry in entries}
        self._worked = self._estimated = 0.0
        self._tries: Counter[tuple[str, bool]] = Counter()
        """How often a run died, and whether by no fault of its own."""
        self._alone: set[str] = set()
        """The runs that need a device by themselves."""
        self._cancelled: dict[Running, Outcome] = {}
        """The jobs that were ended one by one, and as what."""
        self._looked = self._deadline = 0.0
        self._turn = self._awake_since = time.time()

    @property
    def room(self) -> int:
        """How many more jobs could start at once."""
        return self.engine.at_once - len(self.engine.running) - len(self.queue)

    def expected(self, job: Job) -> float:
        """Seconds that a job takes in all: as planned, times how much longer than planned those took that are done."""
        return self._costs[job.identity] * (self._worked / self._estimated if self._estimated else 1.0)

    def run(self) -> None:
        """Work until all that was chosen is done, failed, or a stop was asked for and heeded."""
        with answered(self._answer):
            self._ask_feed()
            while not self.left and (self.engine.running or (not self.stops and self._more())):
                due = time.monotonic() - self._looked >= self.engine.look_seconds
                if not self.stops:
                    if due:
                        self._look_at_others()
                    self._fill()
                elif time.monotonic() > self._deadline:
                    self._cancel_all(now=True)
                ended = self._take_in(_TURN_SECONDS)
                self._end_hung()
                if due or ended:
                    self._ask_feed()
                    self.watcher.draw(self)

    def hand_over(self) -> None:
        """Start all that there is room for, and leave it to an engine that is detached."""
        self._fill()
        self._take_in(0.0)

    def _take_in(self, timeout: float) -> bool:
        """Settle the jobs that end within so many seconds; whether there were any."""
        ended = self.engine.wait(timeout)
        for one, outcome in ended:
            with self._at_its_cost(one.job):
                self._settle(one, outcome)
        return bool(ended)

    def stop(self) -> None:
        """First: start nothing more, and let jobs save their state. Again: end them now."""
        self.stops += 1
        self._deadline = time.monotonic() + GRACE_SECONDS
        self._cancel_all(now=self.stops > 1)

    def add(self, job: Job, seconds: float) -> None:
        """One more job, which takes about so long; it is watched if it is under way elsewhere."""
        self._costs[job.identity] = seconds
        elsewhere = job.state(find(self.results, job.identity)) == State.RUNNING
        (self.watched if elsewhere else self.queue).append(job)

    def drop(self, job: Job) -> None:
        """Forget a job unless it is finished; if it runs here, let it save its state and end, `pruned`."""
        if job.state(find(self.results, job.identity)) in FINISHED:
            return
        self.queue = deque(one for one in self.queue if one is not job)
        self.watched = [one for one in self.watched if one is not job]
        for one in self.engine.running:
            if one.job is job and one not in self._cancelled:
                self._cancelled[one] = Outcome("pruned")
                self.engine.cancel(one)

    @contextmanager
    def _at_its_cost(self, job: Job) -> Iterator[None]:
        """Give a job up where its run's files can't be read or written any more: they may be gone, or moved."""
        try:
            yield
        except (SslrunError, OSError) as error:
            self._fail(job, str(error))

    def _cancel_all(self, *, now: bool) -> None:
        for one in list(self.engine.running):
            self.engine.cancel(one, now=now)

    def _end_hung(self) -> None:
        now = time.time()  # which goes on while a machine sleeps
        if now - self._turn > AWAY_SECONDS:
            self._awake_since = now
        self._turn = now
        for one in self.engine.running:
            silent = now - max(one.heartbeat(), self._awake_since)
            if silent > self.hang_after and self._cancelled.get(one, Outcome("pruned")).kind != "hung":
                self._cancelled[one] = Outcome("hung", f"no heartbeat for {span(silent)}")
                self.engine.cancel(one, now=True)

    def _more(self) -> bool:
        return bool(self.queue or (self.watched and self.patient) or (self.feed is not None and self.feed.open))

    def _ask_feed(self) -> None:
        if self.feed is not None:
            self.feed.turn(self)

    def _fill(self) -> None:
        """Start what there is room for, in order; jobs that must be alone after all others."""
        while self.queue:
            job = next((one for one in self.queue if one.identity not in self._alone), self.queue[0])
            if not self.engine.room(alone=job.identity in self._alone):
                return
            self.queue.remove(job)
            self._begin(job)

    def _begin(self, job: Job) -> None:
        """Start the job, unless another sweep was faster."""
        first = job.recipes[0]
        with self._at_its_cost(job):
            if not self._taken_by_others(job):
                folder = create(self.results, first.name, job.identity, to_yaml(first), first.model_dump(mode="json"))
                self.engine.start(job, folder, alone=job.identity in self._alone)

    def _taken_by_others(self, job: Job) -> bool:
        folder = find(self.results, job.identity, job.recipes[0].name)
        state = job.state(folder)
        if state == State.RUNNING:
            self.watched.append(job)
        elif state in FINISHED:
            self.done.append(job)
            self.watcher.event(f"{job}   done elsewhere")
        elif state == State.FAILED and folder is not None and not self._ours_to_try(job, folder):
            self.failures.append(Failure(job, folder.status.reason or ""))
        else:
            return False
        return True

    def _ours_to_try(self, job: Job, folder: RunFolder) -> bool:
        """Whether a failed run failed before we were asked to retry it; else another sweep has given it up.

        A search's runs are anybody's to try: whoever gives one up says so in the study.
        """
        before = (folder.status.finished or "") <= self.began and job.identity in self._retrying
        return self.feed is not None or before

    def _look_at_others(self) -> None:
        self._looked = time.monotonic()
        watched, self.watched = self.watched, []
        for job in watched:
            with self._at_its_cost(job):
                if not self._taken_by_others(job):
                    self.queue.appendleft(job)

    def _settle(self, one: Running, outcome: Outcome) -> None:
        """What follows from how a job ended."""
        job, ours = one.job, self._cancelled.pop(one, None)
        if ours is not None and outcome.kind != "done":
            outcome = ours
        if outcome.kind == "done":
            self._finish(one)
        elif outcome.kind == "pruned":
            _mark(one.folder, state=State.PRUNED)
        elif outcome.kind == "held":
            self.watched.append(job)
        elif self.stops and outcome.kind in ("interrupted", "killed"):
            _mark(one.folder, reason="stopped by the sweep")
            self.queue.append(job)
        elif outcome.kind == "failed":
            self._give_up(job, one.folder, outcome.reason)
        else:
            reason, orphaned = str(outcome), outcome.kind == "orphaned"
            self._tries[job.identity, orphaned] += 1
            tries, most = self._tries[job.identity, orphaned], _ORPHANED_TRIES if orphaned else _TRIES
            if tries >= most:
                self._give_up(job, one.folder, f"{reason} (try {tries} of {most})", one.folder.last_lines(5))
            else:
                if alone := outcome.kind in ("memory", "killed"):
                    self._alone.add(job.identity)
                self.watcher.event(f"{job}   {reason}; it will be tried again" + ", alone on its device" * alone)
                self.queue.append(job)

    def _finish(self, one: Running) -> None:
        status = one.folder.status
        if status.reason:  # of an evaluation that failed before and is there now
            with suppress(RunHeld), hold(one.folder):
                status = one.folder.update_status(reason=None)
        self.done.append(one.job)
        if planned := self._costs[one.job.identity]:
            self._worked += one.seconds
            self._estimated += planned
        self.watcher.event(f"{one.job}   {WORDS.get(status.verdict or '', status.state)}")

    def _give_up(self, job: Job, folder: RunFolder, reason: str, lines: Sequence[str] = ()) -> None:
        """Record a failure in the run's status, for every later sweep and report, unless another has taken the run."""
        if not folder.path.is_dir():
            self._fail(job, f"its folder is gone: {folder.path}")
            return
        try:
            with hold(folder):
                changes = {} if folder.status.finished_well else {"state": State.FAILED, "finished": utc_now()}
                folder.update_status(reason=reason, **changes)
        except RunHeld:
            self.watched.append(job)
            return
        self._fail(job, reason, lines)

    def _fail(self, job: Job, reason: str, lines: Sequence[str] = ()) -> None:
        """Say that a job is given up, with its last words where the reason does not say all."""
        self.failures.append(Failure(job, reason))
        self.watcher.event("\n".join([f"{job}   given up: {reason}", *(f"    {line}" for line in lines)]))
        if self.stop_on_failure and not self.stops:
            self.stop()

    def _answer(self, number: int, _: object) -> None:
        """To being asked to stop."""
        self.heard.add(number)
        if self.engine.detached:
            self.left = True
            return
        if self.stops == 0:
            self.watcher.event("stopping: jobs save their state (again: now)")
        elif number in WARNINGS:
            return
        self.stop()


def _mark(folder: RunFolder, **changes: str) -> None:
    """Say of a run that nobody waits for why it is not finished, unless another sweep has taken it up."""
    with suppress(RunHeld), hold(folder):
        if folder.status.state == State.RUNNING:
            folder.update_status(**changes)
