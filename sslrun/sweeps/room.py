"""How many jobs at once a GPU is worth: one more as long as its memory holds it and all together get more done.

Jobs differ, so what k at once do is told from those that ran both so and with one fewer, by their own images a second
in whole epochs, as their histories say. `local` asks it before it starts a job.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from math import exp, fsum, log
from typing import Any

from sslrun import console
from sslrun.errors import SslrunError
from sslrun.runs.history import History

WORTH = 1.05
"""With one more job all must get so much more done, or it does not stay."""
FULL = 0.95
"""The share of a GPU's memory that jobs may fill, if one more takes what those there take."""


class Room:
    """Of the GPU called `name`: `allowed` jobs at once, one at first, and never more than `most`."""

    def __init__(self, name: str, most: int) -> None:
        self.name, self.most, self.allowed = name, most, 1
        self._settled = False
        self._speeds: dict[int, dict[str, float]] = {}
        """By the number at once: images a second of each job, by identity, in its last whole epoch."""
        self._began: dict[str, int] = {}
        """The epochs that each job there had done when another last came or went."""

    def look(self, jobs: Mapping[str, History]) -> None:
        """See how the jobs there, by identity, get on; let one more come, or no more, where that is known now."""
        if self._settled:
            return
        rows = {identity: _last(history) for identity, history in jobs.items()}
        if rows.keys() != self._began.keys():
            self._began = {identity: row["epoch"] for identity, row in rows.items()}
        if len(rows) != self.allowed:
            return
        # The epoch that was under way when another came or went is no whole one.
        measured = {key: row for key, row in rows.items() if row.get("images_per_second")}
        whole = {key: row for key, row in measured.items() if row["epoch"] >= self._began[key] + 2}
        self._speeds.setdefault(len(rows), {}).update({key: row["images_per_second"] for key, row in whole.items()})
        if len(whole) == len(rows):
            self._decide(len(rows), max((row.get("memory_share") or 0.0 for row in whole.values()), default=0.0))

    def done(self, jobs: Iterable[str]) -> None:
        """Of jobs that are done one was too short to be measured: then nothing speaks against one more."""
        measured = set().union(*self._speeds.values())
        if not self._settled and any(one not in measured for one in jobs):
            self.allowed = min(self.allowed + 1, self.most)

    def ran_out(self, count: int) -> None:
        """One of `count` jobs there was out of memory: one fewer from now on."""
        if 1 < count <= self.allowed:
            self._stay(count - 1, f"{count} at once were out of memory")

    def _decide(self, count: int, filled: float) -> None:
        """With `count` jobs measured, which fill so much of the memory."""
        gain = self._gain(count)
        done = "" if gain is None else f"{count} get {gain:.2f} times as much done as {count - 1}"
        if gain is not None and gain < WORTH:
            self._stay(count - 1, done)
        elif filled * (count + 1) / count > FULL:
            self._stay(count, f"they fill {filled:.0%} of its memory")
        elif count == self.most:
            self._stay(count, done or "as many as were asked for")
        else:
            self.allowed = count + 1

    def _gain(self, count: int) -> float | None:
        """How much more `count` at once get done than one fewer; None if that is not known.

        Compared job by job where some ran with both numbers, else between all that ran with either.
        """
        fewer, now = self._speeds.get(count - 1, {}), self._speeds[count]
        if not fewer:
            return None
        both = fewer.keys() & now.keys()
        before, after = (fsum(log(of[key]) for key in both or of) / len(both or of) for of in (fewer, now))
        return count / (count - 1) * exp(after - before)

    def _stay(self, count: int, why: str) -> None:
        self.allowed, self._settled = count, True
        console.say(f"{self.name}: {count} job{'s' * (count > 1)} at once from now on, as {why}")


def _last(history: History) -> dict[str, Any]:
    with suppress(SslrunError, OSError):  # what is wrong with it, its job will say
        return history.last() or {"epoch": 0}
    return {"epoch": 0}
