"""An engine without processes: it carries a sweep's jobs out in memory, as fast as it is asked to."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sslrun.errors import RunFailed
from sslrun.jobs.measuring import Cost
from sslrun.runs.folder import RunFolder
from sslrun.sweeps.engine import Outcome, Running
from sslrun.sweeps.work import Job


class MemoryEngine:
    """`turn` does what a job does between two looks at it: the outcome once it has ended; cancelled jobs end at once.

    `cost` is what measuring says, or how it fails; `takes` the seconds that each job pretends to have taken.
    """

    detached, look_seconds = False, 0.0

    def __init__(
        self,
        turn: Callable[[Running], Outcome | None],
        at_once: int = 2,
        cost: Cost | RunFailed | None = None,
        takes: float = 0.0,
    ) -> None:
        self.turn, self._at_once, self.cost, self.takes = turn, at_once, cost or Cost(10.0, 5.0, 2_000_000), takes
        self.running: list[Running] = []
        self.started: list[tuple[Job, bool, int]] = []
        """Job, whether alone, and beside how many others."""
        self.cancelled: list[tuple[Job, bool]] = []
        """Job, and whether at once."""
        self.closed = False
        self._ending: set[Running] = set()
        self._alone: set[Running] = set()

    def __str__(self) -> str:
        return f"{self.at_once} at once in memory"

    @property
    def at_once(self) -> int:
        return self._at_once

    @property
    def run_options(self) -> Mapping[str, Any]:
        return {"device": "cpu", "threads": 1}

    def foresee(self, jobs: Sequence[tuple[Job, float | None]]) -> list[str]:
        return []

    def warm_up(self) -> None:
        pass

    def room(self, *, alone: bool = False) -> bool:
        return not self.running if alone else len(self.running) < self.at_once and not self._alone

    def start(self, job: Job, folder: RunFolder, *, alone: bool = False) -> None:
        assert self.room(alone=alone)
        self.started.append((job, alone, len(self.running)))
        one = Running(job, folder, time.time() - self.takes)
        self.running.append(one)
        if alone:
            self._alone.add(one)

    def wait(self, timeout: float) -> list[tuple[Running, Outcome]]:
        outcomes = [(one, Outcome("interrupted") if one in self._ending else self.turn(one)) for one in self.running]
        ended = [(one, outcome) for one, outcome in outcomes if outcome is not None]
        for one, _ in ended:
            self.running.remove(one)
            self._alone.discard(one)
        if not ended:
            time.sleep(0.02)
        return ended

    def cancel(self, one: Running, *, now: bool = False) -> None:
        assert one in self.running
        self.cancelled.append((one.job, now))
        self._ending.add(one)

    def measure(self, job: Job, log: Path) -> Cost:
        if isinstance(self.cost, RunFailed):
            raise self.cost
        return self.cost

    def close(self) -> None:
        self.running.clear()
        self.closed = True
