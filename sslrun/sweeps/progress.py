"""What one sees of a sweep: a live table on a terminal, plain lines elsewhere. Read from the runs' folders."""

import time
from contextlib import suppress
from functools import cache
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from sslrun import console
from sslrun.console import span
from sslrun.errors import SslrunError
from sslrun.runs.folder import find
from sslrun.runs.records import State
from sslrun.runs.status import Snapshot, by_end, snapshot
from sslrun.sweeps.engine import Running
from sslrun.sweeps.scheduler import Sweep

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

_PLAIN_SECONDS = 30.0
_MOST_ROWS = 24
"""Each is read from its run's folder, again and again."""
_HEADER = ("running", "epoch", "loss", "std", "img/s", "left")


class Board:
    """Watches a `Sweep`; use it in a `with`. `quiet` shows nothing."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self._live: Live | None = None
        self._noted = time.monotonic()

    def __enter__(self) -> "Board":
        if console.on_terminal() and not self.quiet:
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(highlight=False), auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def event(self, text: str) -> None:
        """A line of its own, above the table."""
        if self._live is not None:
            self._live.console.print(console.visible(text), markup=False, soft_wrap=True)
        elif not self.quiet:
            console.say(text)

    def draw(self, sweep: Sweep) -> None:
        """The table, or now and then a line."""
        if self._live is not None:
            self._live.update(_table(sweep), refresh=True)
        elif not self.quiet and time.monotonic() - self._noted >= _PLAIN_SECONDS:
            self._noted = time.monotonic()
            console.say(counts(sweep))


def counts(sweep: Sweep) -> str:
    """The cells by state, as `sslrun status` counts them, and the time until the last is done."""
    running = sweep.engine.running
    finished = [*sweep.done, *sweep.cached]
    ends = by_end(_end(sweep.results, job.identity, job.recipes[0].name) for job in finished for _ in job.cells)
    jobs = {
        "running": [one.job for one in running if one.begun],
        "queued": [one.job for one in running if not one.begun],
        "elsewhere": sweep.watched,
        "waiting": list(sweep.queue),
        "failed": [failure.job for failure in sweep.failures],
    }
    parts = [f"{count} {end}" for end, count in ends.items()]
    parts += [f"{sum(len(job.cells) for job in each)} {state}" for state, each in jobs.items() if each]
    left = seconds_left(sweep)
    return " · ".join([*parts, *([str(sweep.feed)] if sweep.feed else []), *([f"{span(left)} left"] if left else [])])


@cache
def _end(results: Path, identity: str, name: str) -> tuple[State, str | None]:
    """How a finished run ended, with its verdict: read once."""
    with suppress(SslrunError, OSError):
        if (folder := find(results, identity, name)) is not None:
            return folder.status.state, folder.status.verdict
    return State.DONE, None


def seconds_left(sweep: Sweep) -> float:
    """By what the sweep expects of its jobs; of those that run also by their pace so far."""
    running = []
    for one in _shown(sweep):
        expected = max(0.0, sweep.expected(one.job) - one.seconds)
        found = _snapshot(one)
        running.append(max(expected, (found.seconds_left if found else None) or 0.0))
    queued = [one.job for one in sweep.engine.running if not one.begun]
    waiting = sum(sweep.expected(job) for job in [*sweep.queue, *queued])
    waiting += sweep.feed.seconds_left if sweep.feed else 0.0
    return max([(sum(running) + waiting) / sweep.engine.at_once, *running])


def _shown(sweep: Sweep) -> list[Running]:
    """The first of the jobs that are worked on."""
    return list(islice((one for one in sweep.engine.running if one.begun), _MOST_ROWS))


def row(found: Snapshot | None) -> list[str]:
    """epoch, loss, std, images/s and time left, as far as known."""
    if found is None:
        return ["", "", "", "", ""]
    left = "" if found.seconds_left is None else span(found.seconds_left)
    return [*found.words(), "evaluating" if left and found.epoch == found.epochs else left]


def _snapshot(one: Running) -> Snapshot | None:
    try:
        return snapshot(one.folder)
    except (SslrunError, OSError):
        return None


def _table(sweep: Sweep) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(*_HEADER, box=None, pad_edge=False, caption=counts(sweep), caption_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for one in _shown(sweep):
        table.add_row(Text(console.visible(str(one.job))), *row(_snapshot(one)))
    return table
