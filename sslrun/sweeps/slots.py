"""Where jobs run on this machine: devices, jobs at once on each, CPU threads a job.

Never more threads than cores, and never more jobs than memory holds, of what `sslrun.limits` says may be used.
"""

import os
from dataclasses import dataclass
from typing import Any

from sslrun.errors import InputError
from sslrun.jobs import choose_device
from sslrun.jobs.threads import check_threads
from sslrun.limits import cores, free_memory

JOB_BYTES = 300_000_000
"""What a job takes at the least of memory: its libraries' own, and a small network."""


@dataclass(frozen=True)
class Device:
    """One device as the scheduler sees it, or several GPUs for one job. A job sees its GPUs alone, as `cuda`."""

    name: str
    visible: str | None = None
    """What CUDA_VISIBLE_DEVICES is for its jobs."""

    @property
    def kind(self) -> str:
        """`cpu`, `cuda` or `mps`: the job's own `run.device`."""
        return self.name.partition(":")[0]


@dataclass(frozen=True)
class Slots:
    """`jobs` at once on each device, of `processes` each, with `threads` CPU threads each."""

    devices: tuple[Device, ...]
    jobs: int
    threads: int
    processes: int = 1

    @property
    def count(self) -> int:
        """Jobs at once in all."""
        return len(self.devices) * self.jobs

    @property
    def operational(self) -> dict[str, Any]:
        """What each job's `run` section says of them."""
        return {"device": self.devices[0].kind, "threads": self.threads}

    def __str__(self) -> str:
        names = ", ".join(device.name for device in self.devices)
        each = " on each" if len(self.devices) > 1 else ""
        of = f"a process, {self.processes} processes a job" if self.processes > 1 else "a job"
        return f"{self.jobs} at once{each}, {self.threads} thread{'s' * (self.threads > 1)} {of}, {names}"


def slots(device: str, jobs: int | None = None, threads: int | None = None, processes: int = 1) -> Slots:
    """The slots on the device of that name: `auto` and `cuda` mean all GPUs there are.

    By default a CPU job has one thread and there are as many jobs as cores and memory for them; a GPU has one job. A
    job of several `processes` has as many GPUs. Raises `InputError` for a device that can't be used, fewer devices than
    a job takes, more threads than cores, or more jobs than memory holds.
    """
    kind = choose_device(device).type
    check_threads(threads)
    devices = _together(_gpus(device), processes) if kind == "cuda" else (Device(kind),)
    if kind == "mps" and processes > 1:
        raise _too_few(processes, 1, kind)
    each = processes * JOB_BYTES
    fit = max(1, free_memory() // each)
    if jobs is not None and jobs * len(devices) > fit:
        raise InputError(
            f"{jobs * len(devices)} jobs at once take {jobs * len(devices) * each / 1e9:.1f} GB of memory or "
            f"more; {free_memory() / 1e9:.1f} GB are free",
            where="--jobs",
            remedy=f"At most --jobs {max(1, fit // len(devices))}: more would be killed for want of memory.",
        )
    if kind == "cpu":
        threads = threads or 1
        if processes > max(1, cores() // threads):
            raise _too_few(processes, cores(), "processor core", threads)
        needed = threads * processes
        jobs = jobs or max(1, min(cores() // needed, fit))
        if jobs * needed > max(cores(), needed):
            raise InputError(
                f"{jobs} jobs of {needed} thread{'s' * (needed > 1)} need {jobs * needed} cores; "
                f"{cores()} are to be had",
                where="--jobs, --threads",
                remedy=f"At most --jobs {max(1, cores() // needed)}: more would take turns and lose time.",
            )
        return Slots(devices, jobs, threads, processes)
    jobs = jobs or 1
    threads = threads or max(1, min(4, cores() // (jobs * len(devices) * processes)))
    return Slots(devices, jobs, threads, processes)


def _too_few(processes: int, there: int, kind: str, threads: int = 1) -> InputError:
    with_threads = f" of {threads} threads" * (threads > 1)
    return InputError(
        f"a job would take {processes} devices{with_threads}, and there {'is' if there == 1 else 'are'} {there} {kind}"
        + "s" * (there > 1),
        where="--devices-per-job",
        remedy=f"At most {max(1, there // threads)}.",
    )


def _together(gpus: tuple[Device, ...], count: int) -> tuple[Device, ...]:
    """Each `count` of the GPUs, in order, as what one job has; what is left over stays idle."""
    if count > len(gpus):
        raise _too_few(count, len(gpus), "GPU")
    sets = [gpus[first : first + count] for first in range(0, len(gpus) - count + 1, count)]
    return tuple(Device("+".join(one.name for one in few), ",".join(str(one.visible) for one in few)) for few in sets)


def _gpus(name: str) -> tuple[Device, ...]:
    import torch

    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    every = given.split(",") if given else [str(index) for index in range(torch.cuda.device_count())]
    _, colon, index = name.partition(":")
    # Of several slices of GPUs that are named, CUDA shows a process the first alone.
    count = len(every) if every[0].startswith("MIG-") else torch.cuda.device_count()
    wanted = [int(index)] if colon else range(count)
    return tuple(Device(f"cuda:{number}", every[number]) for number in wanted)
