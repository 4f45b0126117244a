"""A job's processes on this machine: whether they are alive, and how they ended, all together.

What a process says last comes through its link (`worker`); of one that said nothing its exit code tells. One of several
that fails takes the others with it.
"""

import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from sslrun.errors import Interrupted
from sslrun.sweeps.engine import Outcome
from sslrun.sweeps.slots import Device

_OTHERS_SECONDS = 10.0
"""What the others have to end by themselves when one has failed: on a GPU they may wait for it for ever."""
_SERVER_GONE = 255
"""multiprocessing's exit code of a process whose server is gone: nobody can tell how it ended."""


def memory_kills() -> int:
    """How often this system has killed a process because memory ran out; 0 where it does not tell."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


@dataclass
class Started:
    """A job's processes, of which the first leads, and what of the machine they have."""

    device: Device
    threads: int
    """Of each."""
    alone: bool = False
    processes: list[BaseProcess] = field(default_factory=list)
    links: list[Connection] = field(default_factory=list)
    meeting: Any = None
    """What they need while they meet (`jobs.processes.meeting`)."""
    memory_kills: int = field(default_factory=memory_kills)
    """How often the system had killed for want of memory when it started."""
    heard: dict[int, Any] = field(default_factory=dict)
    killed: set[int] = field(default_factory=set)
    """The places of those that were ended from here."""
    failed: float | None = None
    """When one of several was found to have failed."""

    def alive(self) -> list[BaseProcess]:
        """Those that have not ended."""
        if any(process.exitcode not in (None, 0, Interrupted.exit_code) for process in self.processes):
            self.failed = self.failed or time.monotonic()
            if time.monotonic() - self.failed > _OTHERS_SECONDS:
                self.stop(now=True)
        return [process for process in self.processes if process.exitcode is None]

    def stop(self, *, now: bool = False) -> None:
        """Ask those that are alive to save their state and end; `now`: end them."""
        for place, process in enumerate(self.processes):
            if process.exitcode is None and now:
                self.killed.add(place)
                process.kill()
            elif process.exitcode is None:
                process.terminate()

    def said(self, place: int = 0) -> Any:
        """What one that has ended said last; None if nothing."""
        if place not in self.heard:
            self.heard[place] = None
            with self.links[place] as link, suppress(EOFError, OSError):
                self.heard[place] = link.recv() if link.poll() else None
        return self.heard[place]

    def outcome(self) -> Outcome:
        """How they ended: as the one that leads says, unless that was because of another."""
        found = [self._ended(place) for place in range(len(self.processes))]
        bad = (place for place, one in enumerate(found) if one.kind not in ("done", "interrupted"))
        place = 0 if found[0].kind == "done" else next(bad, 0)
        outcome = found[place]
        if len(found) > 1 and outcome.kind in ("memory", "crashed", "killed"):
            return Outcome(outcome.kind, f"process {place} of {len(found)}, {outcome.reason}")
        return outcome

    def _ended(self, place: int) -> Outcome:
        said = self.said(place)
        if isinstance(said, Outcome):
            return said
        if place in self.killed:
            return Outcome("interrupted")
        outcome = _by_exit_code(self.processes[place].exitcode)
        if outcome.kind == "killed" and memory_kills() > self.memory_kills:
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
