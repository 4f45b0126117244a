"""Whom the scheduler talks to besides its engine: who is shown what happens, and who brings further jobs."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sslrun.sweeps.scheduler import Sweep


class Watcher(Protocol):
    """Who is shown what happens; `sslrun.sweeps.progress` draws it."""

    def event(self, text: str) -> None:
        """Something worth a line."""

    def draw(self, sweep: "Sweep") -> None:
        """Called about once a second."""


class Feed(Protocol):
    """Where jobs beyond those of a plan come from: a search, whose next ones depend on how the last ones ended."""

    open: bool
    """Whether it waits for jobs, or may have more."""

    @property
    def seconds_left(self) -> float:
        """What its jobs to come will take."""

    def turn(self, sweep: "Sweep") -> None:
        """Called about once a second, and whenever jobs end: to look at them, to `add` jobs and to `drop` some."""

    def __str__(self) -> str:
        """Where it stands, in a few words."""
