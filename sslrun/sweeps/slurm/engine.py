"""The engine of a Slurm cluster, as the scheduler sees it: it submits jobs, and follows those that wait or run.

It may end at any moment. What is submitted is written down first (`arrays`), so another one follows the same jobs, and
submits none twice; what is done is in the runs' folders, which leases guard. How often it looks goes by how many runs
it follows: one squeue, and one look at a file for each job that runs.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sslrun.errors import InputError, RunFailed
from sslrun.files import locked
from sslrun.grids.engines import Slurm
from sslrun.jobs.measuring import Cost
from sslrun.recipe.schema import Run
from sslrun.runs.folder import RunFolder
from sslrun.runs.records import FINISHED, State
from sslrun.sweeps.engine import Outcome, Running, open_engine
from sslrun.sweeps.local import LocalEngine
from sslrun.sweeps.slots import slots as slots_here
from sslrun.sweeps.slurm import queue
from sslrun.sweeps.slurm.allocation import Allocation
from sslrun.sweeps.slurm.arrays import Array, Told, new_array, submit
from sslrun.sweeps.slurm.packing import Timed, bill, pack, slots
from sslrun.sweeps.work import Job

_SETTLE_SECONDS = 3.0
"""By then Slurm has said whether it will ever start a new job."""
_LOOKS = 2
"""So often in a row a job must be missing from the queue: a shared disk tells late what it told in the end."""


@dataclass(eq=False)
class Task:
    """A Slurm job, and what it tells of its runs."""

    array: Array
    place: int
    seen: queue.Seen
    told: Told
    cells: tuple[str, ...]
    missed: int = 0


@dataclass(frozen=True, eq=False)
class Sent(Running):
    """A run that is with a Slurm job, which watches over it: here only that job can be lost."""

    where: list[Task] = field(default_factory=list)
    """That job, once it is known."""

    @property
    def begun(self) -> bool:
        return any(self.job.identity in task.told.begun for task in self.where)

    @property
    def seconds(self) -> float:
        for task in self.where:
            if self.job.identity in task.told.ended:
                return float(task.told.ended[self.job.identity]["seconds"])
            if self.job.identity in task.told.begun:
                return time.time() - task.told.begun[self.job.identity]
        return 0.0

    def heartbeat(self) -> float:
        return time.time()


class SlurmEngine:
    """Jobs of a Slurm cluster, for runs in the folder `results`, which the cluster shares."""

    detached = True

    def __init__(self, section: Slurm, run: Run, results: Path) -> None:
        device, each = "cuda" if section.gpus else "cpu", section.devices_per_job
        section = section.model_copy(update={"gpus": max(section.gpus, each)}) if section.gpus else section
        self.section, self.results = section, results
        if run.device not in ("auto", device):
            what = f"runs are to be on {run.device}, and a Slurm job has {section.gpus} GPUs"
            raise InputError(what, where="--device", remedy="Say how many GPUs a job has: `gpus`.")
        threads = run.threads or (max(1, section.cpus // section.gpus) if section.gpus else 1)
        if (needed := threads if section.gpus else threads * each) > section.cpus:
            what = f"{needed} threads a run, and a Slurm job has {section.cpus} CPU cores"
            raise InputError(what, where="--threads", remedy="Say how many cores a job has: `cpus`.")
        self.device, self.threads, self.side_by_side = device, threads, slots(section, threads)
        self._running: dict[Sent, None] = {}
        self._new: list[tuple[Sent, bool]] = []
        self._tasks: dict[tuple[str, int], Task] = {}
        self._seconds: dict[str, float | None] = {}
        self._looked, self._cancelled = 0.0, set[Sent]()
        self._jobs = section.parallel  # or as few as the runs that are foreseen make

    def __str__(self) -> str:
        section = self.section
        unit, count = ("GPU", section.gpus) if section.gpus else ("core", section.cpus)
        where = f" in {section.partition}" if section.partition else ""
        runs = f", each with {self.side_by_side} runs at once" if self.side_by_side > 1 else ""
        on = f", a run on {section.devices_per_job}" if section.devices_per_job > 1 else ""
        return f"Slurm{where}: {section.parallel} jobs at once of {count} {unit}{'s' * (count > 1)}{runs}{on}"

    @property
    def at_once(self) -> int:
        return min(self.section.parallel, self._jobs) * self.side_by_side

    @property
    def run_options(self) -> Mapping[str, Any]:
        return {"device": self.device, "threads": self.threads}

    @property
    def look_seconds(self) -> float:
        return min(60.0, max(5.0, len(self._running) / 100))

    @property
    def running(self) -> list[Running]:
        return list(self._running)

    def foresee(self, jobs: Sequence[Timed]) -> list[str]:
        self._seconds = {job.identity: seconds for job, seconds in jobs}
        if len(self._seconds) < len(jobs):  # a search's, whose next runs nobody knows yet
            return bill(jobs, self.section.model_copy(update={"pack": 1}), self.side_by_side)
        self._jobs = max(1, len(pack(jobs, self.section, self.side_by_side)))
        return bill(jobs, self.section, self.side_by_side)

    def warm_up(self) -> None:
        queue.require_slurm()

    def room(self, *, alone: bool = False) -> bool:
        return True

    def start(self, job: Job, folder: RunFolder, *, alone: bool = False) -> None:
        sent = Sent(job, folder)
        self._running[sent] = None
        self._new.append((sent, alone))

    def wait(self, timeout: float) -> list[tuple[Running, Outcome]]:
        if self._new:
            self._submit()
        elif time.monotonic() - self._looked < self.look_seconds:
            time.sleep(min(timeout, self.look_seconds))
            return []
        self._looked = time.monotonic()
        return list(self._look())

    def cancel(self, one: Running, *, now: bool = False) -> None:
        """A Slurm job ends with the last of its runs that is cancelled; Slurm itself gives it time to save."""
        assert isinstance(one, Sent)
        self._cancelled.add(one)
        self._new = [(sent, alone) for sent, alone in self._new if sent is not one]
        self._looked = 0.0
        for task in one.where:
            if all(other in self._cancelled for other in self._running if task in other.where):
                queue.cancel([task.seen.id])

    def measure(self, job: Job, log: Path) -> Cost:
        try:
            here = slots_here(self.device, 1, self.threads, self.section.devices_per_job)
        except InputError as error:
            raise RunFailed(f"this machine can't time it: {error.what}", where=self.device) from None
        with closing(LocalEngine(here, self.results)) as engine:
            return engine.measure(job, log)

    def close(self) -> None:
        return

    def _submit(self) -> None:
        """Submit what is new and is with no Slurm job yet, whosever. Raises `InputError` if Slurm takes it not."""
        with locked(self.results / "slurm" / ".lock"):
            seen = queue.look()
            there = {run: task for task in self._waiting(seen) for run in task.cells}
            fresh: list[tuple[Sent, bool]] = []
            for sent, alone in self._new:
                task = there.get(sent.job.identity)
                if task is None or sent.job.identity in task.told.ended:
                    fresh.append((sent, alone))
                else:
                    sent.where[:] = [task]
            if fresh:
                self._submit_all(fresh)
        self._new = []

    def _waiting(self, seen: queue.Tasks) -> Iterator[Task]:
        """The Slurm jobs of this results folder that wait or run, those of others too."""
        for (token, place), about in seen.items():
            if (token, place) not in self._tasks:
                array = Array(self.results / "slurm" / token)
                if place >= len(array.cells):
                    continue  # of another results folder
                told = Told(array.told(place))
                told.read()
                self._tasks[token, place] = Task(array, place, about, told, tuple(array.cells[place]))
            yield self._tasks[token, place]

    def _submit_all(self, fresh: Sequence[tuple[Sent, bool]]) -> None:
        by_run = {sent.job.identity: sent for sent, _ in fresh}
        arrays: list[tuple[Array, str]] = []
        together = [(sent.job, self._seconds.get(sent.job.identity)) for sent, alone in fresh if not alone]
        packs = [*pack(together, self.section, self.side_by_side), *([sent.job] for sent, alone in fresh if alone)]
        most = queue.most_tasks()
        try:
            for first in range(0, len(packs), most):
                part = packs[first : first + most]
                array = new_array(self.results, [[job.identity for job in jobs] for jobs in part])
                work = [
                    Allocation.of(jobs, self.results, array.told(place), self.device, self.threads, self.section)
                    for place, jobs in enumerate(part)
                ]
                arrays.append((array, submit(array, work, self.section)))
            self._refuse_endless([number for _, number in arrays])
        except BaseException:
            with suppress(RunFailed):
                queue.cancel(number for _, number in arrays)
            raise
        for array, number in arrays:
            for place, cells in enumerate(array.cells):
                job = f"{number}_{place}" if len(array.cells) > 1 else number
                seen, told = queue.Seen(job, "PENDING", "", ""), Told(array.told(place))
                self._tasks[array.token, place] = task = Task(array, place, seen, told, tuple(cells))
                for run in cells:
                    by_run[run].where[:] = [task]

    def _refuse_endless(self, arrays: Sequence[str]) -> None:
        """Raise `InputError` if Slurm, once it has had a look at these new jobs, would let them wait for ever."""
        until = time.monotonic() + _SETTLE_SECONDS
        while True:
            ours = [one for one in queue.look().values() if one.id.partition("_")[0] in arrays]
            never = {one.reason for one in ours if one.waits and one.reason in queue.NEVER}
            if never:
                what = f"Slurm would never start these jobs: {', '.join(sorted(never))}"
                remedy = "Nothing stays submitted. `scontrol show partition` tells what it takes."
                raise InputError(what, where="--slurm", remedy=remedy)
            if time.monotonic() > until or not any(one.waits and one.reason == "None" for one in ours):
                return
            time.sleep(0.3)

    def _look(self) -> Iterator[tuple[Running, Outcome]]:
        """The runs that have ended, by what their jobs tell, and by which jobs are gone."""
        try:
            seen = queue.look()
        except RunFailed:
            return  # Slurm's controller may be away for a while
        groups: dict[Task, list[Sent]] = {}
        for sent in self._running:
            for task in sent.where:
                groups.setdefault(task, []).append(sent)
        for task, members in groups.items():
            about = seen.get((task.array.token, task.place))
            task.missed = 0 if about else task.missed + 1
            if about is None or not (about.waits and task.seen.waits):
                task.told.read()
            task.seen = about or task.seen
            for sent in members:
                if ended := task.told.ended.get(sent.job.identity):
                    yield self._give(sent, Outcome(ended["end"], ended["reason"]))
                elif task.missed >= _LOOKS:
                    yield self._give(sent, self._lost(sent, task))
        for sent in [sent for sent in self._running if not sent.where]:  # cancelled before it was submitted
            yield self._give(sent, Outcome("interrupted"))

    def _give(self, sent: Sent, outcome: Outcome) -> tuple[Running, Outcome]:
        del self._running[sent]
        return sent, outcome

    def _lost(self, sent: Sent, task: Task) -> Outcome:
        """What became of a run whose job is gone without having told its end."""
        found = _by_folder(sent)
        if found is not None:
            return found
        if sent in self._cancelled:
            return Outcome("interrupted")
        state = queue.how_ended(task.seen.id).get("JobState", "gone")
        if task.told.trouble:
            return Outcome("failed", f"Slurm job {task.seen.id}: {task.told.trouble}")
        if state == "OUT_OF_MEMORY":
            return Outcome("memory", f"Slurm job {task.seen.id}")
        if state == "FAILED" and not task.told.begun:  # its environment is not what it should be
            lines = _last_lines(task.array.log(task.seen.id))
            return Outcome("crashed", f"Slurm job {task.seen.id} ended before its runs began: {lines}")
        return Outcome("orphaned", f"Slurm job {task.seen.id} is {state.lower().replace('_', ' ')}")


def _by_folder(sent: Sent) -> Outcome | None:
    """How a run has ended, or who has it, as its folder says; None if nobody works on it."""
    state = sent.job.state(sent.folder)
    return Outcome("done") if state in FINISHED else Outcome("held") if state == State.RUNNING else None


def _last_lines(log: Path) -> str:
    with suppress(OSError):
        lines = log.read_text(errors="replace").splitlines()
        return " ".join([line for line in lines if not line.startswith("submitit INFO")][-2:])
    return "no log"


@open_engine.register
def _open(section: Slurm, run: Run, results: Path, jobs: int | None = None) -> SlurmEngine:
    return SlurmEngine(section if jobs is None else section.model_copy(update={"parallel": jobs}), run, results)
