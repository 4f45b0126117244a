"""What of a results folder is with Slurm at this moment, for `sslrun status`: the folders of arrays, and one squeue."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from sslrun.errors import RunFailed
from sslrun.runs.folder import find
from sslrun.runs.records import State
from sslrun.runs.status import state_of
from sslrun.sweeps.slurm import queue
from sslrun.sweeps.slurm.arrays import Array, Told


@dataclass
class Standing:
    """The runs that a Slurm job has and nobody has begun, by identity; and what to say of the jobs."""

    queued: set[str] = field(default_factory=set)
    lines: list[str] = field(default_factory=list)


def standing(results: Path) -> Standing | None:
    """How the Slurm jobs of a results folder stand; None if it never had any."""
    arrays = [Array(path) for path in sorted((results / "slurm").glob("*/")) if (path / "cells.jsonl").exists()]
    if not arrays:
        return None
    found = Standing()
    try:
        seen = queue.look()
    except RunFailed as error:
        found.lines.append(f"slurm   what waits there is not known here: {error.what}")
        return found
    left, ended = set[str](), set[str]()
    for array in arrays:
        jobs = []
        for place, cells in enumerate(array.cells):
            told = Told(array.told(place))
            told.read()
            ended.update(told.ended)
            job = seen.get((array.token, place))
            if job is None:
                left.update(run for run in cells if run not in told.ended)
            else:
                jobs.append(job)
                found.queued.update(run for run in cells if run not in told.ended)
        if jobs:
            found.lines.append(_line(jobs))
    lost = [run for run in left - ended - found.queued if _open(results, run)]
    if lost:
        were = "run was" if len(lost) == 1 else "runs were"
        again = "the same `sslrun sweep` submits them again"
        found.lines.append(f"slurm   {len(lost)} {were} left by jobs that are gone: {again}")
    return found


def _line(jobs: list[queue.Seen]) -> str:
    """An array's jobs by state, those that wait with the reason."""
    states = Counter(f"{job.state.lower()} ({job.reason})" if job.waits else job.state.lower() for job in jobs)
    nodes = sorted({job.node for job in jobs if job.node})
    parts = [f"{count} {state}" for state, count in states.items()]
    return f"slurm   job {jobs[0].id.partition('_')[0]}: {' · '.join(parts)}" + f" on {', '.join(nodes)}" * bool(nodes)


def _open(results: Path, run: str) -> bool:
    return state_of(find(results, run)) in (State.MISSING, State.QUEUED, State.INTERRUPTED, State.PRUNED)
