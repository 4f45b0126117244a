"""The engine of this machine: a fresh process a job, or one a device of it, over the slots of its devices.

Processes are forked from a server that has imported torch and touched no device: none pays for imports, each may
die in any way. `slots` says how many there are where, `worker` what a process does, `started` how it ended.
"""

import time
from collections.abc import Mapping, Sequence
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
from sslrun.jobs.processes import meeting
from sslrun.limits import free_memory
from sslrun.recipe.schema import Run
from sslrun.runs.folder import RunFolder
from sslrun.sweeps import worker
from sslrun.sweeps.engine import Outcome, Running, open_engine
from sslrun.sweeps.mps import Sharing
from sslrun.sweeps.room import Room
from sslrun.sweeps.slots import JOB_BYTES, Device, Slots, slots
from sslrun.sweeps.started import Started
from sslrun.sweeps.warming import warm_up, without_script
from sslrun.sweeps.work import Job

_STARTS = 3
"""How often a job's process is tried to start."""
_PAUSE = 0.2
"""Seconds between two of these tries."""
_ATTACHED_AFTER = 20.0
"""Seconds after which a job's process has met its GPU."""


class LocalEngine:
    """Processes on this machine, for runs in the folder `results`."""

    detached, look_seconds = False, 1.0

    def __init__(self, slots: Slots, results: Path, mps: Sharing | None = None) -> None:
        self.slots, self.results, self.mps = slots, results, mps
        self.started: dict[Running, Started] = {}
        measured = slots.jobs > 1 and slots.devices[0].kind == "cuda"
        self.rooms = {device: Room(device.name, slots.jobs) for device in slots.devices if measured}
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
        return list(self.started)

    def foresee(self, jobs: Sequence[tuple[Job, float | None]]) -> list[str]:
        most = self.slots.jobs
        on_a_gpu = f"one job on each GPU at first, then more, at most {most}, while that gets more done; "
        on_a_gpu += f"the end is reckoned as if {most} ran from the start: it may be later"
        return [on_a_gpu] * bool(self.rooms) + ([] if self.mps is None else [str(self.mps)])

    def warm_up(self) -> None:
        warm_up(self.slots.threads)

    def room(self, *, alone: bool = False) -> bool:
        return self.free(alone=alone) is not None

    def free(self, *, alone: bool = False) -> Device | None:
        """A device that can take one more job (the emptiest), or one that is empty; none if there is none.

        Resumed runs keep the threads that they began with, fewer or more than a slot has: both jobs and threads count.
        None either as long as those that run leave no memory for another.
        """
        if self.started and free_memory() < JOB_BYTES * self.slots.processes:
            return None
        on = {device: list(self._on(device).values()) for device in self.slots.devices}
        able = [device for device, jobs in on.items() if (not jobs if alone else self._takes_another(device, jobs))]
        return min(able, key=lambda device: len(on[device]), default=None)

    def _takes_another(self, device: Device, jobs: list[Started]) -> bool:
        most = self.rooms[device].allowed if device in self.rooms else self.slots.jobs
        threads = sum(one.threads for one in jobs)
        free = len(jobs) < most and threads < self.slots.jobs * self.slots.threads
        return free and not any(one.alone for one in jobs)

    def _on(self, device: Device) -> dict[Running, Started]:
        return {running: one for running, one in self.started.items() if one.device == device}

    def start(self, job: Job, folder: RunFolder, *, alone: bool = False) -> None:
        device = self.free(alone=alone)
        if device is None:
            raise RuntimeError("there is no room")
        running = Running(job, folder)
        started = Started(device, folder.status.threads or self.slots.threads, alone)
        if self.mps is not None:
            self.mps.start()
        self._start(started, worker.run_job, job.recipes, job.data, folder.log)
        self.started[running] = started

    def measure(self, job: Job, log: Path) -> Cost:
        started = Started(self.slots.devices[0], self.slots.threads)
        self._start(started, worker.run_measurement, job.recipes[0], job.data, log)
        while left := started.alive():
            wait([process.sentinel for process in left], 1.0)
        found = started.said()
        if isinstance(found, Cost):
            return found
        outcome = started.outcome()
        raise RunFailed(outcome.reason or outcome.kind, where=str(log))

    def _start(self, started: Started, target: Any, task: Any, data: Dataset, log: Path) -> None:
        """Start all processes of a job, or none."""
        started.meeting, places = meeting(self.slots.processes)
        try:
            for place in places:
                process, link = self._fork(target, started.device, task, data, log, started.threads, place)
                started.processes.append(process)
                started.links.append(link)
        except RunFailed:
            started.stop(now=True)
            raise

    def _fork(
        self,
        target: Any,
        device: Device,
        task: Any,
        data: Dataset,
        log: Path,
        threads: int,
        environment: Mapping[str, str] = {},
    ) -> tuple[BaseProcess, Connection]:
        environment = dict(environment)
        if device.visible is not None:
            environment["CUDA_VISIBLE_DEVICES"] = device.visible
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
                with without_script(task):
                    process.start()
                return process, ours
            except (OSError, EOFError) as error:  # the server was killed since it was looked at
                ours.close()
                failure = error
                time.sleep(_PAUSE)  # until the system says, too, that it is gone
            finally:
                theirs.close()  # so that the link ends with the process
        reason = f"the process from which jobs start was gone {_STARTS} times: {failure or 'no answer'}"
        raise RunFailed(reason, remedy="Was it killed? The same command goes on.")

    def wait(self, timeout: float) -> list[tuple[Running, Outcome]]:
        settled = [one for one in self.running if one.seconds > _ATTACHED_AFTER]
        if self.mps is not None and len(settled) > 1:
            self.mps.check(len(settled) * self.slots.processes)
        left = [one.alive() for one in self.started.values()]
        wait([process.sentinel for few in left for process in few], timeout if all(left) else 0)
        outcomes = [(running, one.outcome()) for running, one in self.started.items() if not one.alive()]
        for device, room in self.rooms.items():
            there = self._on(device)
            room.look({running.job.identity: running.folder.history for running in there})
            kinds = {running.job.identity: outcome.kind for running, outcome in outcomes if running in there}
            room.done(identity for identity, kind in kinds.items() if kind == "done")
            if "memory" in kinds.values():
                room.ran_out(len(there))
        for running, _ in outcomes:
            del self.started[running]
        return outcomes

    def cancel(self, one: Running, *, now: bool = False) -> None:
        self.started[one].stop(now=now)

    def close(self) -> None:
        for one in self.running:
            self.cancel(one, now=True)
        for process in (process for one in self.started.values() for process in one.processes):
            process.join()
        if self.mps is not None:
            self.mps.stop()


@open_engine.register
def _open(section: engines.Local, run: Run, results: Path, jobs: int | None = None) -> LocalEngine:
    found = slots(run.device, jobs or section.jobs, run.threads, section.devices_per_job)
    shared = found.devices[0].kind == "cuda" and found.jobs > 1
    return LocalEngine(found, results, Sharing(section.mps) if shared or section.mps == "on" else None)
