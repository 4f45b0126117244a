"""The local engine: one fresh process a job, over the slots of this machine.

Processes are forked from a server that has imported torch and touched no device: none pays for imports, each may
die in any way. What is known of a death is its outcome; what to do about it is the scheduler's.
"""

import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from sslrun.data import Dataset
from sslrun.errors import RunFailed
from sslrun.jobs import Places
from sslrun.recipe import to_yaml
from sslrun.runs.folder import RunFolder, create
from sslrun.sweep import worker
from sslrun.sweep.costs import Cost
from sslrun.sweep.durations import clock
from sslrun.sweep.slots import Device, Slots
from sslrun.sweep.warming import warm_up
from sslrun.sweep.work import Job
from sslrun.sweep.worker import Outcome


@dataclass
class Running:
    """A job at work: its process, its run's folder, where it runs and with how many threads."""

    job: Job
    folder: RunFolder
    process: BaseProcess
    link: Connection
    device: Device
    threads: int
    alone: bool
    started: float
    memory_kills: int
    ended_as: Outcome | None = None
    """Set when we end it ourselves."""

    def heartbeat(self) -> float:
        """When it last gave a sign of life, in seconds since 1970: the lease's time of change, once it holds it."""
        with suppress(FileNotFoundError):
            return max(self.started, (self.folder.path / "lease.json").stat().st_mtime)
        return self.started


class LocalPool:
    """Processes on this machine; use it in a `with`, whose end leaves none behind."""

    def __init__(self, slots: Slots, where: Places, hang_after: float) -> None:
        self.slots, self.where, self.hang_after = slots, where, hang_after
        self.running: list[Running] = []
        self._context = get_context("forkserver")

    def __enter__(self) -> "LocalPool":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(now=True)
        for one in self.running:
            one.process.join()

    def warm_up(self) -> None:
        """Start the fork server without waiting for it. `start` does it if need be."""
        warm_up(self.slots.threads)

    def room(self, *, alone: bool = False) -> Device | None:
        """A device that can take one more job (the emptiest), or one that is empty; none if there is none.

        Resumed runs keep the threads that they began with, fewer or more than a slot has: both jobs and threads count.
        """
        used = {device: [one for one in self.running if one.device == device] for device in self.slots.devices}
        able = [device for device, jobs in used.items() if (not jobs if alone else self._fits_beside(jobs))]
        return min(able, key=lambda device: len(used[device]), default=None)

    def _fits_beside(self, jobs: list[Running]) -> bool:
        """Whether a device that has these jobs can take one more."""
        threads = sum(one.threads for one in jobs)
        free = len(jobs) < self.slots.jobs and threads < self.slots.jobs * self.slots.threads
        return free and not any(one.alone for one in jobs)

    def start(self, job: Job, device: Device, *, alone: bool = False) -> Running:
        """Give the job a process of its own on `device`."""
        first = job.recipes[0]
        folder = create(self.where.results, first.name, job.identity, to_yaml(first))
        threads = folder.status.threads or self.slots.threads
        begun, kills = time.time(), _memory_kills()
        process, link = self._fork(worker.run_job, device, job.recipes, job.data, folder.log, threads)
        one = Running(job, folder, process, link, device, threads, alone, begun, kills)
        self.running.append(one)
        return one

    def measure(self, job: Job, log: Path) -> Cost:
        """Time a few steps of a job, in a process of their own. Raises `RunFailed` with the reason."""
        task, slots = job.recipes[0], self.slots
        process, link = self._fork(worker.run_measurement, slots.devices[0], task, job.data, log, slots.threads)
        found: Any = None
        with suppress(EOFError):
            found = link.recv()
        process.join()
        if isinstance(found, Outcome) or found is None:
            reason = found.reason if found else _exit(process.exitcode).reason
            raise RunFailed(f"can't time a few steps: {reason}", where=str(log))
        return Cost(found.epoch_seconds, found.evaluation_seconds, found.folder_bytes)

    def _fork(
        self, target: Any, device: Device, task: Any, data: Dataset, log: Path, threads: int
    ) -> tuple[BaseProcess, Connection]:
        ours, theirs = self._context.Pipe()
        environment = {"CUDA_VISIBLE_DEVICES": device.visible} if device.visible is not None else {}
        log.parent.mkdir(parents=True, exist_ok=True)
        process = self._context.Process(
            target=target,
            args=(theirs, task, Places(self.where.results, data), log, environment, threads),
            daemon=True,
        )
        self.warm_up()
        process.start()
        theirs.close()  # so that the link ends with the process
        return process, ours

    def wait(self, timeout: float) -> list[tuple[Running, Outcome]]:
        """Those that end within `timeout` seconds, and how; those that have hung are ended."""
        wait([one.process.sentinel for one in self.running], timeout)
        now = time.time()
        for one in self.running:
            if one.ended_as is None and now - one.heartbeat() > self.hang_after:
                one.ended_as = Outcome("hung", f"no heartbeat for {clock(now - one.heartbeat())}")
                one.process.kill()
        ended = [one for one in self.running if one.process.exitcode is not None]
        self.running = [one for one in self.running if one not in ended]
        return [(one, _outcome(one)) for one in ended]

    def end(self, one: Running) -> None:
        """Ask one job to save its state and end."""
        if one.process.exitcode is None:
            one.process.terminate()

    def stop(self, *, now: bool = False) -> None:
        """Ask all jobs to save their state and end; `now`: end them."""
        for one in self.running:
            one.ended_as = one.ended_as or (Outcome("interrupted") if now else None)
            if one.process.exitcode is None:
                one.process.kill() if now else one.process.terminate()


def _outcome(one: Running) -> Outcome:
    """How a process that is gone ended: what it said last, what we did to it, or what its exit code tells."""
    said: Outcome | None = None
    with suppress(EOFError, OSError):
        if one.link.poll():
            said = one.link.recv()
    one.link.close()
    if said is not None:
        return said
    if one.ended_as is not None:
        return one.ended_as
    outcome = _exit(one.process.exitcode)
    if outcome.kind == "killed" and _memory_kills() > one.memory_kills:
        return Outcome("memory", f"{outcome.reason} when the system was out of memory")
    return outcome


def _exit(code: int | None) -> Outcome:
    if code is None or code >= 0:
        return Outcome("crashed", f"exit code {code}")
    name = signal.strsignal(-code) or "unknown"
    if -code == signal.SIGTERM:
        return Outcome("interrupted")
    return Outcome("killed" if -code == signal.SIGKILL else "crashed", f"signal {-code} ({name.lower()})")


def _memory_kills() -> int:
    """How often this system has killed a process because memory ran out; 0 where it does not tell."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0
