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
    """One device as the scheduler sees it. A job on a GPU sees that GPU alone, as `cuda`."""

    name: str
    visible: str | None = None
    """What CUDA_VISIBLE_DEVICES is for its jobs."""

    @property
    def kind(self) -> str:
        """`cpu`, `cuda` or `mps`: the job's own `run.device`."""
        return self.name.partition(":")[0]


@dataclass(frozen=True)
class Slots:
    """`jobs` at once on each device, with `threads` CPU threads each."""

    devices: tuple[Device, ...]
    jobs: int
    threads: int

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
        return f"{self.jobs} at once{each}, {self.threads} thread{'s' * (self.threads > 1)} a job, {names}"


def slots(device: str, jobs: int | None = None, threads: int | None = None) -> Slots:
    """The slots on the device of that name: `auto` and `cuda` mean all GPUs there are.

    By default a CPU job has one thread and there are as many jobs as cores and memory for them; a GPU has one job.
    Raises `InputError` for a device that can't be used, more threads than cores, or more jobs than memory holds.
    """
    kind = choose_device(device).type
    check_threads(threads)
    devices = _gpus(device) if kind == "cuda" else (Device(kind),)
    fit = max(1, free_memory() // JOB_BYTES)
    if jobs is not None and jobs * len(devices) > fit:
        raise InputError(
            f"{jobs * len(devices)} jobs at once take {jobs * len(devices) * JOB_BYTES / 1e9:.1f} GB of memory or "
            f"more; {free_memory() / 1e9:.1f} GB are free",
            where="--jobs",
            remedy=f"At most --jobs {max(1, fit // len(devices))}: more would be killed for want of memory.",
        )
    if kind == "cpu":
        threads = threads or 1
        jobs = jobs or max(1, min(cores() // threads, fit))
        if jobs * threads > max(cores(), threads):
            raise InputError(
                f"{jobs} jobs of {threads} thread{'s' * (threads > 1)} need {jobs * threads} cores; "
                f"{cores()} are to be had",
                where="--jobs, --threads",
                remedy=f"At most --jobs {max(1, cores() // threads)}: more would take turns and lose time.",
            )
        return Slots(devices, jobs, threads)
    jobs = jobs or 1
    return Slots(devices, jobs, threads or max(1, min(4, cores() // (jobs * len(devices)))))


def _gpus(name: str) -> tuple[Device, ...]:
    import torch

    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    every = given.split(",") if given else [str(index) for index in range(torch.cuda.device_count())]
    _, colon, index = name.partition(":")
    # Of several slices of GPUs that are named, CUDA shows a process the first alone.
    count = len(every) if every[0].startswith("MIG-") else torch.cuda.device_count()
    wanted = [int(index)] if colon else range(count)
    return tuple(Device(f"cuda:{number}", every[number]) for number in wanted)
