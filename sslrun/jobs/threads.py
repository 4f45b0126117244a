"""How many CPU threads a job uses: those that its run began with, those that are asked for, else as many as are free.

Sums in another order have other bits, so a run keeps its number to its end, in evaluations too.
"""

import os

import torch

from sslrun.errors import InputError
from sslrun.limits import cores

MOST_A_CORE = 4
"""More threads than so many a core are never of use; tens of thousands crash the libraries that start them."""
_LOOK_SECONDS = 0.25
_why = ["torch's own number"]
"""Of the last choice."""


def use_threads(asked: int | None, kept: int | None = None, device: str = "cpu") -> int:
    """Let this process compute with `kept` threads, else with those `asked` for, else with what is free; how many.

    Raises `InputError` for a number that is beyond this machine.
    """
    began, wanted = check_threads(kept, "the run began with them"), check_threads(asked)
    count = began or wanted or _chosen(device)
    free = "as OMP_NUM_THREADS says" if "OMP_NUM_THREADS" in os.environ else f"of {cores()} cores so many are free"
    _why[:] = ["as it began" if began else "as asked" if wanted else free]
    torch.set_num_threads(count)
    return count


def why_so_many() -> str:
    """Why this process uses as many threads as it does, in a few words."""
    return _why[0]


def check_threads(count: int | None, where: str = "run.threads") -> int | None:
    """`count`, if this machine can have so many. Raises `InputError` if not."""
    most = MOST_A_CORE * cores()
    if count is not None and count > most:
        raise InputError(
            f"{count:,} threads on {cores()} core{'s' * (cores() > 1)}",
            where=where,
            remedy=f"At most {most}; as many as there are cores is best. "
            + ("" if where == "run.threads" else "Go on where it began, or start anew with --fresh."),
        )
    return count


def _chosen(device: str) -> int:
    """The cores that nobody uses at this moment, at least one; on a GPU, or if the environment says how many, torch's
    own number."""
    if device != "cpu" or "OMP_NUM_THREADS" in os.environ:
        return min(torch.get_num_threads(), MOST_A_CORE * cores())
    return max(1, min(cores(), round(_idle())))


def _idle() -> float:
    """How many of the cores that this process may run on are idle."""
    import psutil

    busy = psutil.cpu_percent(_LOOK_SECONDS, percpu=True)
    ours = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(len(busy))
    return sum(1 - busy[core] / 100 for core in ours if core < len(busy))
