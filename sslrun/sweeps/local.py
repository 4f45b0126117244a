"""The engine of this machine: one fresh process a job, over the slots of its devices.

Processes are forked from a server that has imported torch and touched no device: none pays for imports, each may
die in any way. `slots` says how many there are where, `worker` what a process does.
"""

import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from sslrun.data import Dataset
from sslrun.errors import RunFailed
from sslrun.grids import engines
from sslrun.jobs import Places
from sslrun.jobs.measuring import Cost
from sslrun.limits import free_memory
from sslrun.recipe.schema import Run
from sslrun.runs.folder import RunFolder
from sslrun.sweeps import worker
from sslrun.sweeps.engine import Outcome, Running, open_engine
from sslrun.sweeps.mps import Sharing
from sslrun.sweeps.slots import JOB_BYTES, Device, Slots, slots
from sslrun.sweeps.warming import warm_up
from sslrun.sweeps.work import Job

_STARTS = 3
"""How often a job's process is tried to start."""
_ATTACHED_AFTER = 20.0
"""Seconds after which a job's process has met its GPU."""
_SERVER_GONE = 255
"""multiprocessing's exit code of a process whose server is gone: nobody can tell how it ended."""


@dataclass
class Process:
    """A job's process, and what of the machine it has."""

    process: BaseProcess
    link: Connection
    device: Device
    threads: int
    alone: bool
    memory_kills: int
    """How often the system had killed for want of memory when it started."""
    ended: bool = False
    """Whether it was ended from here."""


class LocalEngine:
    """Processes on this machine, for runs in the folder `results`."""

    detached, look_seconds = False, 1.0

    def __init__(self, slots: Slots, results: Path, mps: Sharing | None = None) -> None:
        self.slots, self.results, self.mps = slots, results, mps
        self.processes: dict[Running, Process] = {}
        self._context = get_context("forkserver")

    def __str__(self) -> str:
        return str(self.slots)

    @property
    def at_once(self) -> int:
        return self.slots.count

    @property
    def run_options(self) -> Mapping[str, Any]:
        return self.slots.operational

    @property
    def running(self) -> list[Running]:
        return list(self.processes)

    def foresee(self, jobs: Sequence[tuple[Job, float | None]]) -> list[str]:
        return [] if self.mps is None else [str(self.mps)]

    def warm_up(self) -> None:
        warm_up(self.slots.threads)

    def room(self, *, alone: bool = False) -> bool:
        return self.free(alone=alone) is not None

    def free(self, *, alone: bool = False) -> Device | None:
        """A device that can take one more job (the emptiest), or one that is empty; none if there is none.

        Resumed runs keep the threads that they began with, fewer or more than a slot has: both jobs and threads count.
        None either as long as those that run leave no memory for another.
        """
        if self.processes and free_memory() < JOB_BYTES:
            return None
        on = {device: [one for one in self.processes.values() if one.device == device] for device in self.slots.devices}
        able = [device for device, jobs in on.items() if (not jobs if alone else self._takes_another(jobs))]
        return min(able, key=lambda device: len(on[device]), default=None)

    def _takes_another(self, jobs: list[Process]) -> bool:
        threads = sum(one.threads for one in jobs)
        free = len(jobs) < self.slots.jobs and threads < self.slots.jobs * self.slots.threads
        return free and not any(one.alone for one in jobs)

    def start(self, job: Job, folder: RunFolder, *, alone: bool = False) -> None:
        device = self.free(alone=alone)
        if device is None:
            raise RuntimeError("there is no room")
        threads = folder.status.threads or self.slots.threads
        running, kills = Running(job, folder), _memory_kills()
        if self.mps is not None:
            self.mps.start()
        process, link = self._fork(worker.run_job, device, job.recipes, job.data, folder.log, threads)
        self.processes[running] = Process(process, link, device, threads, alone, kills)

    def measure(self, job: Job, log: Path) -> Cost:
        slots = self.slots
        recipe = job.recipes[0]
        process, link = self._fork(worker.run_measurement, slots.devices[0], recipe, job.data, log, slots.threads)
        found: Cost | Outcome | None = None
        with suppress(EOFError, OSError):
            found = link.recv()
        process.join()
        link.close()
        if isinstance(found, Cost):
            return found
        outcome = found or _by_exit_code(process.exitcode)
        raise RunFailed(outcome.reason or outcome.kind, where=str(log))

    def _fork(
        self, target: Any, device: Device, task: Any, data: Dataset, log: Path, threads: int
    ) -> tuple[BaseProcess, Connection]:
        environment = {"CUDA_VISIBLE_DEVICES": device.visible} if device.visible is not None else {}
        environment |= self.mps.daemon.environment if self.mps is not None else {}
        log.parent.mkdir(parents=True, exist_ok=True)
        failure: Exception | None = None
        for _ in range(_STARTS):
            self.warm_up()
            ours, theirs = self._context.Pipe()
            process = self._context.Process(
                target=target,
                args=(theirs, task, Places(self.results, data), log, environment, threads),
                daemon=True,
            )
            try:
                process.start()
                return process, ours
            except (OSError, EOFError) as error:  # the server was killed since it was looked at
                ours.close()
                failure = error
            finally:
                theirs.close()  # so that the link ends with the process
        reason = f"the process from which jobs start was gone {_STARTS} times: {failure or 'no answer'}"
        raise RunFailed(reason, remedy="Was it killed? The same command goes on.")

    def wait(self, timeout: float) -> list[tuple[Running, Outcome]]:
        settled = [one for one in self.running if one.seconds > _ATTACHED_AFTER]
        if self.mps is not None and len(settled) > 1:
            self.mps.check(len(settled))
        wait([one.process.sentinel for one in self.processes.values()], timeout)
        ended = [running for running, one in self.processes.items() if one.process.exitcode is not None]
        return [(running, _outcome(self.processes.pop(running))) for running in ended]

    def cancel(self, one: Running, *, now: bool = False) -> None:
        process = self.processes[one]
        process.ended = process.ended or now
        if process.process.exitcode is None:
            process.process.kill() if now else process.process.terminate()

    def close(self) -> None:
        for one in self.running:
            self.cancel(one, now=True)
        for process in self.processes.values():
            process.process.join()
        if self.mps is not None:
            self.mps.stop()


@open_engine.register
def _open(section: engines.Local, run: Run, results: Path, jobs: int | None = None) -> LocalEngine:
    found = slots(run.device, jobs or section.jobs, run.threads)
    shared = found.devices[0].kind == "cuda" and found.jobs > 1
    return LocalEngine(found, results, Sharing(section.mps) if shared or section.mps == "on" else None)


def _outcome(one: Process) -> Outcome:
    """How a process that is gone ended: what it said last, what was done to it, or what its exit code tells."""
    said: Outcome | None = None
    with suppress(EOFError, OSError):
        if one.link.poll():
            said = one.link.recv()
    one.link.close()
    if said is not None:
        return said
    if one.ended:
        return Outcome("interrupted")
    outcome = _by_exit_code(one.process.exitcode)
    if outcome.kind == "killed" and _memory_kills() > one.memory_kills:
        return Outcome("memory", f"{outcome.reason} when the system was out of memory")
    return outcome


def _by_exit_code(code: int | None) -> Outcome:
    if code == _SERVER_GONE:
        return Outcome("orphaned", "the process from which jobs start was killed")
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
