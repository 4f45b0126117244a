"""What carries jobs out, as the scheduler sees it: this machine's processes (`local`), or a cluster.

An engine starts jobs, tells which ended and how, and ends those it is told to; what follows is `scheduler`'s to decide.
Both look at the runs' folders for all else, so a job may be anywhere that writes them.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import singledispatch
from pathlib import Path
from typing import Any, Literal, Protocol

from sslrun.errors import InputError
from sslrun.grids import engines
from sslrun.jobs.measuring import Cost
from sslrun.recipe.schema import Run
from sslrun.runs.folder import RunFolder
from sslrun.sweeps.work import Job

GRACE_SECONDS = 60.0
"""What a job that is asked to stop has for its checkpoint."""
HANG_SECONDS = 1800.0
"""A job that shows no life for so long is ended."""

End = Literal["done", "held", "interrupted", "failed", "memory", "crashed", "hung", "killed", "orphaned", "pruned"]
_WORDS = {
    "memory": "out of memory",
    "orphaned": "cut off",
    "interrupted": "was stopped from elsewhere",
}


@dataclass(frozen=True)
class Outcome:
    """How a job ended, and why. `failed` is a designed error, or one in a plug-in's code: trying again would change
    nothing; `orphaned` is no fault of the job's own: what carried it out is gone."""

    kind: End
    reason: str = ""

    def __str__(self) -> str:
        return f"{_WORDS.get(self.kind, self.kind)}: {self.reason}".removesuffix(": ")


@dataclass(frozen=True, eq=False)
class Running:
    """A job that has been started; each start is one of its own."""

    job: Job
    folder: RunFolder
    started: float = field(default_factory=time.time)

    @property
    def begun(self) -> bool:
        """Whether somebody works on it by now; else it waits in a queue of the engine's."""
        return True

    @property
    def seconds(self) -> float:
        """How long it has been worked on."""
        return time.time() - self.started

    def heartbeat(self) -> float:
        """When it last gave a sign of life, in seconds since 1970: the lease's time of change, once it holds it."""
        with suppress(FileNotFoundError):
            return max(self.started, (self.folder.path / "lease.json").stat().st_mtime)
        return self.started


class Engine(Protocol):
    """Where jobs run; its text says how many at once, and on what. `close` it in the end."""

    @property
    def detached(self) -> bool:
        """Whether jobs go on when this process ends, so that it may end as soon as they have been started."""

    @property
    def look_seconds(self) -> float:
        """How often it is worth to look at the runs' folders, of which there may be thousands on a shared disk."""

    @property
    def at_once(self) -> int:
        """How many jobs it runs side by side: at most so many, and of those foreseen no more than can."""

    @property
    def run_options(self) -> Mapping[str, Any]:
        """What the `run` section of each job says of it."""

    @property
    def running(self) -> Collection[Running]:
        """The jobs that were started and have not been given out by `wait`."""

    def foresee(self, jobs: Sequence[tuple[Job, float | None]]) -> list[str]:
        """Jobs that will be started, and the seconds that each takes, if known; what people should know of how."""

    def warm_up(self) -> None:
        """Get ready for jobs without waiting for that: some will come soon."""

    def room(self, *, alone: bool = False) -> bool:
        """Whether one more job could start now, or one that gets a device by itself."""

    def start(self, job: Job, folder: RunFolder, *, alone: bool = False) -> None:
        """Start a job whose run has this folder. There is `room`. Raises `OSError` or an error of ours if it can't.

        A detached engine that has the job already, from another process, only follows it.
        """

    def wait(self, timeout: float) -> list[tuple[Running, Outcome]]:
        """Those that end within `timeout` seconds, and how: `interrupted` if they were cancelled."""

    def cancel(self, one: Running, *, now: bool = False) -> None:
        """Let a job save its state and end within `GRACE_SECONDS`; `now`: end it. `wait` tells when it has."""

    def measure(self, job: Job, log: Path) -> Cost:
        """What a job costs by a few timed steps. Raises `RunFailed` with the reason where they can't be had."""

    def close(self) -> None:
        """End at once what runs still, unless it is detached."""


@singledispatch
def open_engine(section: engines.Engine, run: Run, results: Path, jobs: int | None = None) -> Engine:
    """The engine of a section, for runs in the folder `results`; `jobs` is what the command line says of it.

    `run` says where and how each job is done. A kind registers a function for its section: `@open_engine.register`.
    """
    raise InputError(
        f"no engine is registered for {type(section).__qualname__}",
        where="engine.kind",
        remedy="Register what opens it with sslrun.sweeps.engine.open_engine.",
    )
