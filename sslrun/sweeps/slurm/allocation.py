"""What a Slurm job does on its node: a sweep of its own over its few runs, by the engine of that machine.

So a run in it is done, tried again and given up as anywhere, and found in the results folder as anywhere. On Slurm's
warning all runs save their states; submitit then puts the job into the queue again. Imports nothing heavy, so that
submitit answers warnings from the first second on.
"""

import os
import pickle
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sslrun.console import say
from sslrun.errors import RunFailed, SslrunError
from sslrun.runs.folder import find
from sslrun.sweeps.slurm.arrays import Told, tell

if TYPE_CHECKING:
    from sslrun.grids.engines import Slurm
    from sslrun.sweeps.scheduler import Sweep
    from sslrun.sweeps.work import Job

_WARNING = signal.SIGUSR2
"""What submitit has Slurm send some time before the end."""


@dataclass
class Allocation:
    """A callable that submitit carries to a node. What plug-ins define needs their folders first: see `path`."""

    jobs: bytes
    """The runs, pickled."""
    results: Path
    told: Path
    device: str
    threads: int
    """Of each process."""
    side_by_side: int
    path: tuple[str, ...]
    """Where modules are found where it was submitted."""
    processes: int = 1
    """Of each run."""
    hang_after: float = 1800.0

    @classmethod
    def of(
        cls, jobs: "Sequence[Job]", results: Path, told: Path, device: str, threads: int, section: "Slurm"
    ) -> "Allocation":
        """One that does these runs."""
        from sslrun.sweeps.slurm.packing import slots

        how = device, threads, slots(section, threads), tuple(sys.path)
        several = section.devices_per_job, section.hang_minutes * 60
        return cls(pickle.dumps(tuple(jobs)), results.resolve(), told.resolve(), *how, *several)

    def __call__(self) -> None:
        """Do the runs that have not ended yet. Raises what keeps all of them from being done."""
        try:
            self._work()
        except Exception as error:
            said = str(error) if isinstance(error, SslrunError) else f"{type(error).__name__}: {error}"
            tell(self.told, trouble=said)
            raise

    def checkpoint(self) -> Any:
        """What to do when it starts again: the same. submitit calls this before it queues the job again."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)

    def _work(self) -> None:
        from sslrun.sweeps.local import LocalEngine
        from sslrun.sweeps.plan import Entry
        from sslrun.sweeps.scheduler import Sweep
        from sslrun.sweeps.slots import slots

        sys.path.extend(folder for folder in self.path if folder not in sys.path)
        told = Told(self.told)
        told.read()
        jobs = [job for job in pickle.loads(self.jobs) if job.identity not in told.ended]
        entries = [Entry(job, job.state(find(self.results, job.identity, job.recipes[0].name)), True) for job in jobs]
        began = time.time()
        at_once = 1 if self.device == "cuda" else self.side_by_side
        found = slots(self.device, at_once, self.threads, self.processes)
        with closing(LocalEngine(found, self.results)) as engine:
            teller = _Teller(self.told)
            # A job that Slurm starts again, on another node maybe, knows that whoever held its runs is gone.
            patient = "SLURM_RESTART_COUNT" in os.environ
            sweep = Sweep(entries, engine, teller, self.results, hang_after=self.hang_after, patient=patient)
            sweep.run()
            teller.draw(sweep)
        if _WARNING in sweep.heard and (sweep.queue or sweep.watched):
            if not sweep.done and not any(_saved(job, self.results, began) for job in jobs):
                raise RunFailed("its time was up before any run could save its state", remedy="Give jobs more hours.")
            signal.raise_signal(_WARNING)  # now that all is saved submitit may do what it does then


def _saved(job: "Job", results: Path, since: float) -> bool:
    """Whether the job's run has saved its state since then."""
    folder = find(results, job.identity, job.recipes[0].name)
    return folder is not None and folder.checkpoint.exists() and folder.checkpoint.stat().st_mtime >= since


class _Teller:
    """Writes down which runs begin and end, for whoever follows the job."""

    def __init__(self, path: Path) -> None:
        self._path, self._begun, self._ended = path, dict[str, float](), set[str]()

    def event(self, text: str) -> None:
        """Into the Slurm job's log."""
        say(text)

    def draw(self, sweep: "Sweep") -> None:
        """Tell what is new."""
        for one in sweep.engine.running:
            if one.job.identity not in self._begun:
                self._begun[one.job.identity] = one.started
                tell(self._path, run=one.job.identity, begun=one.started)
        for job in sweep.done:
            self._end(job, "done")
        for failure in sweep.failures:
            self._end(failure.job, "failed", failure.reason)

    def _end(self, job: "Job", end: str, reason: str = "") -> None:
        if job.identity not in self._ended:
            self._ended.add(job.identity)
            seconds = time.time() - self._begun.get(job.identity, time.time())
            tell(self._path, run=job.identity, end=end, reason=reason, seconds=round(seconds, 3))
