"""Which runs share a Slurm job: starting a job takes longer than a short run does.

Runs of unknown length get a job each, unless the section says how many go together.
"""

import math
from collections.abc import Sequence
from statistics import fmean

from sslrun.console import span
from sslrun.grids.engines import Slurm
from sslrun.sweeps.work import Job

Timed = tuple[Job, float | None]
_FULL = 0.8
"""How much of its time a job should need at most, as far as is known."""


def slots(section: Slurm, threads: int) -> int:
    """How many runs a job does side by side."""
    return max(1, (section.gpus or section.cpus // threads) // section.devices_per_job)


def pack(jobs: Sequence[Timed], section: Slurm, side_by_side: int) -> list[list[Job]]:
    """The runs of each Slurm job, in order."""
    packs: list[list[Job]] = []
    filled, length = math.inf, 0.0
    least, most = section.pack_minutes * 60, _FULL * section.hours * 3600
    for job, seconds in jobs:
        each = (seconds or 0.0) / side_by_side
        if section.pack is not None:
            full = filled >= section.pack
        else:
            full = seconds is None or (filled >= side_by_side and (length >= least or length + each > most))
        if full or not packs:
            packs.append([])
            filled, length = 0, 0.0
        packs[-1].append(job)
        filled, length = filled + 1, math.inf if seconds is None else length + each
    return packs


def bill(jobs: Sequence[Timed], section: Slurm, side_by_side: int) -> list[str]:
    """How many Slurm jobs that is, how long they are and what they take in all; a warning where one takes too long."""
    seconds = {job.identity: time for job, time in jobs}
    known = [time for time in seconds.values() if time is not None]
    packs = pack(jobs, section, side_by_side)
    lengths = [_length([seconds[job.identity] for job in one], side_by_side) for one in packs]
    each = f"{min(map(len, packs))} to {max(map(len, packs))}" if len({*map(len, packs)}) > 1 else str(len(packs[0]))
    parts = [f"{len(packs)} Slurm job{'s' * (len(packs) > 1)} of {each} run{'s' * (each != '1')}"]
    if known:
        hours = sum(lengths) / 3600
        units = section.gpus or section.cpus
        parts += [
            f"up to {span(max(lengths))} each",
            f"{hours * units:.2g} {'GPU' if section.gpus else 'core'} hours besides waiting and starting",
        ]
    lines = [" · ".join(parts)]
    if known and max(known) > section.hours * 3600:
        often = math.ceil(max(known) / (section.hours * 3600 - section.warn_seconds)) - 1
        long = f"the longest run takes {span(max(known))} and a job {section.hours:g} h"
        lines.append(f"{long}: it will queue again {often} time{'s' * (often > 1)}")
    return lines


def _length(seconds: Sequence[float | None], side_by_side: int) -> float:
    """How long a job with these runs is; those of unknown length count as the mean of the others."""
    known = [time for time in seconds if time is not None]
    free = [0.0] * side_by_side
    for time in seconds:
        free[free.index(min(free))] += (fmean(known) if known else 0.0) if time is None else time
    return max(free)
