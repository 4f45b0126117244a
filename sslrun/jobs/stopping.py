"""Being asked to stop, turned into a checkpoint and exit code 130: Ctrl-C, SIGTERM, a connection that breaks (SIGHUP),
and a scheduler's warning (SIGUSR1, SIGUSR2). What was ignored at the start (`nohup`) stays ignored.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from signal import SIG_DFL, SIG_IGN, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, getsignal, signal
from types import FrameType

from sslrun.errors import Interrupted

WARNINGS = (SIGHUP, SIGUSR1, SIGUSR2)
"""These may come twice, from the system and from a shell: the second one adds nothing."""


@contextmanager
def answered(answer: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Call `answer` with the number of every signal that asks to stop. Outside the main thread none is answered."""
    main = threading.current_thread() is threading.main_thread()
    numbers = [number for number in (SIGINT, SIGTERM, *WARNINGS) if main and getsignal(number) is not SIG_IGN]
    before = {number: signal(number, answer) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal(number, handler if handler is not None else SIG_DFL)


class StopSignals:
    """What a job does then: inside `deferred` the first one only sets `asked`, else it raises `Interrupted` at once.

    A `patient` one never raises there: a launcher passes on what the terminal has sent already.
    """

    def __init__(self, patient: bool = False) -> None:
        self.asked, self._deferring, self._patient = False, False, patient

    def __enter__(self) -> "StopSignals":
        self._answered = answered(self._answer)
        self._answered.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._answered.__exit__(None, None, None)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """While the loop runs, which looks at `asked` after every step."""
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False

    def _answer(self, number: int, frame: FrameType | None) -> None:
        if self._deferring and (not self.asked or self._patient or number in WARNINGS):
            self.asked = True
            return
        raise Interrupted("stopped", remedy="The same command goes on from the last checkpoint.")
