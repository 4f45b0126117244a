"""Ctrl-C and SIGTERM, turned into a checkpoint and exit code 130."""

from collections.abc import Iterator
from contextlib import contextmanager
from signal import SIG_DFL, SIGINT, SIGTERM, signal
from types import FrameType

from sslrun.errors import Interrupted


class StopSignals:
    """Ctrl-C and SIGTERM: inside `deferred` the first one only sets `asked`, else it raises `Interrupted` at once."""

    def __init__(self) -> None:
        self.asked, self._deferring = False, False

    def __enter__(self) -> "StopSignals":
        self._before = {number: signal(number, self._handle) for number in (SIGINT, SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal(number, handler if handler is not None else SIG_DFL)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """While the loop runs, which looks at `asked` after every step."""
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._deferring and not self.asked:
            self.asked = True
            return
        raise Interrupted("stopped", remedy="The same command goes on from the last checkpoint.")
