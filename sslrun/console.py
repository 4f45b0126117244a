"""What the user sees: lines, small tables and one live line; plain text where there is no terminal.

rich is imported only when a terminal is there to draw on. Errors go to stderr, unadorned. Inside `logging_to(path)`
everything said is kept in that file as well. Nothing that is shown can end what is computed: see `Stream`.
"""

import errno
import io
import math
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, TextIO, cast

if TYPE_CHECKING:
    from rich.progress import Progress

REFRESH_SECONDS = 0.1
"""The live line is redrawn at most this often."""
PLAIN_SECONDS = 5.0
"""Without a terminal, and in logs, a progress line is written at most this often."""

_GONE = (errno.EPIPE, errno.EIO, errno.EBADF, errno.ENXIO)
"""What writing meets where nobody reads any longer: a pipe or a terminal that was closed."""

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Characters that steer: those of control, and those that turn the direction of writing or end a line."""

_logs: "list[Stream]" = []


class Stream(io.TextIOBase):
    """A text file that may be written to without a care: what it can't show is replaced, and writing never raises.

    Once writing has failed, further text goes nowhere. `unread`: the reader has gone; `failed`: why else it failed.
    """

    def __init__(self, file: IO[str] | None) -> None:
        self._file, self.unread, self.failed = file, file is None, ""
        if isinstance(file, io.TextIOWrapper):
            file.reconfigure(errors="replace")

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(self._file, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        if self._file is not None and not self.unread and not self.failed:
            try:
                self._file.write(text)
            except OSError as error:
                self._lost(error)
        return len(text)

    def flush(self) -> None:
        if self._file is not None:
            try:
                self._file.flush()
            except OSError as error:
                self._lost(error)

    def isatty(self) -> bool:
        return self._file is not None and not self.unread and self._file.isatty()

    def fileno(self) -> int:
        if self._file is None:
            raise io.UnsupportedOperation("this stream was closed from the start")
        return self._file.fileno()

    def writable(self) -> bool:
        return True

    def _lost(self, error: OSError) -> None:
        if error.errno in _GONE:
            self.unread = True
        else:
            self.failed = self.failed or error.strerror or str(error)
        with suppress(OSError, ValueError):  # what is buffered still must have somewhere to go, at the latest at exit
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)


@contextmanager
def streams() -> Iterator[tuple[Stream, Stream]]:
    """Make stdout and stderr such streams; both, to be asked what became of them."""
    before = sys.stdout, sys.stderr
    if None in (sys.stdin, *before):  # else the next files to be opened would get their numbers
        while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass
        os.close(number)
    out, err = Stream(sys.stdout), Stream(sys.stderr)
    sys.stdout, sys.stderr = cast(TextIO, out), cast(TextIO, err)
    try:
        yield out, err
    finally:
        out.flush()
        err.flush()
        sys.stdout, sys.stderr = before


def on_terminal(stream: TextIO | None = None) -> bool:
    """Whether `stream` (stdout if none) is a terminal that can redraw a line."""
    stream = stream or sys.stdout
    return stream is not None and stream.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown")


def visible(text: str) -> str:
    """`text` with control characters written out (`\\u001b`), all but tabs and ends of lines: what a file, a label or a
    name holds must not steer a terminal, nor turn the order of letters in a page.
    """
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def say(text: str = "", style: str = "", end: str = "\n") -> None:
    """Print `text`, `visible`, in `style` (rich's words: "bold", "green", ...) on a terminal."""
    text = visible(text)
    _log(text)
    if style and on_terminal():
        from rich.console import Console

        Console(highlight=False).print(text, style=style, markup=False, soft_wrap=True)
    else:
        print(text, end=end, flush=True)


def error(text: str) -> None:
    """Print `text` to stderr, plain everywhere so that it can be copied and searched for."""
    text = visible(text)
    _log(text)
    print(text, file=sys.stderr, flush=True)


def table(rows: Sequence[Sequence[str]], header: Sequence[str] = ()) -> None:
    """Print rows of text as columns: the first to the left, the others to the right; the header in bold."""
    every = [[" ".join(visible(cell).split("\n")) for cell in row] for row in [*([header] if header else []), *rows]]
    widths = [max(_width(row[column]) for row in every) for column in range(len(every[0]))] if every else []
    for number, row in enumerate(every):
        cells = [
            cell + " " * (width - _width(cell)) if column == 0 else " " * (width - _width(cell)) + cell
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        say("   ".join(cells).rstrip(), style="bold" if header and number == 0 else "")


def clock(seconds: float) -> str:
    """A length of time as `0:19`, `59:59`, `2:03:07`, or `4d 4h`."""
    whole = round(seconds)
    if whole >= 100 * 3600:
        return f"{whole // 86400}d {whole % 86400 // 3600}h"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


@contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Append everything said within to `path`, each line with its time (local, with its offset from UTC)."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a", encoding="utf-8", buffering=1)
    except OSError:  # of another user, say: then there is no log
        yield
        return
    with file:
        log = Stream(file)
        _logs.append(log)
        try:
            yield
        finally:
            _logs.remove(log)


def note(text: str) -> None:
    """Keep `text` in the logs without showing it."""
    _log(text)


class Live:
    """One line about work under way; `progress` makes it.

    epoch 37/60 ━━━━━━━━━╸━━━━━  loss 0.31  std 0.87  rank 9.1 of 64  1,234 img/s  0:19 left
    """

    def __init__(self, unit: str, total: int, start: float) -> None:
        self._unit, self._total, self._start, self._done, self._text = unit, total, start, start, ""
        self._began = time.monotonic()
        self._drawn = self._noted = -float("inf")
        self._noted_line = ""
        self._bar: Progress | None = None
        if on_terminal():
            self._bar = _bar(len(f"{unit} {total}/{total}"))
            self._task = self._bar.add_task(self._head(), total=total, text="")
            self._bar.update(self._task, completed=start)

    def update(self, done: float, text: str = "") -> None:
        """Show that `done` of the total is done, with `text` beside it. Cheap: call it every step."""
        self._done, self._text = done, text
        now = time.monotonic()
        if self._bar is not None and now - self._drawn >= REFRESH_SECONDS:
            self._draw()
            self._drawn = now
        if now - self._noted >= PLAIN_SECONDS:
            self._note()
            self._noted = now

    def left(self) -> str:
        """Time left at the pace so far, as `0:19` or `2:03:07`; empty before there is a pace."""
        gone = self._done - self._start
        if gone <= 0 or self._done >= self._total:
            return ""
        return clock((time.monotonic() - self._began) / gone * (self._total - self._done))

    def _head(self) -> str:
        return f"{self._unit} {max(1, math.ceil(self._done))}/{self._total}"

    def _tail(self) -> str:
        left = self.left()
        return "  ".join(part for part in (self._text, f"{left} left" if left else "") if part)

    def _draw(self) -> None:
        if self._bar is not None:
            self._bar.update(self._task, description=self._head(), completed=self._done, text=self._tail())
            self._bar.refresh()

    def _note(self) -> None:
        line = f"{self._head()}  {self._tail()}".rstrip()
        if line == self._noted_line:
            return
        self._noted_line = line
        _log(line)
        if self._bar is None:
            print(line, flush=True)

    @contextmanager
    def drawn(self) -> Iterator[None]:
        """Keep the line on the screen; leave its last state there at the end."""
        with self._bar or nullcontext():
            try:
                yield
            finally:
                if self._done > self._start:
                    self._draw()
                    self._note()


@contextmanager
def progress(unit: str, total: int, start: float = 0) -> Iterator[Live]:
    """A live line counting `unit` ("epoch") up to `total`, of which `start` were done before (a resumed run).

    On a terminal one line that is redrawn and keeps its last state; elsewhere a plain line every few seconds and
    at the end. What is said meanwhile appears above it.
    """
    live = Live(unit, total, start)
    with live.drawn():
        yield live


def _bar(head: int) -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    # Drawn by `update` alone: a thread that redraws would take turns from the training loop.
    return Progress(
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, min_width=head)),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[text]}", markup=False, table_column=Column(no_wrap=True)),
        console=Console(highlight=False),
        auto_refresh=False,
    )


def _width(text: str) -> int:
    """Columns that `text` takes on a terminal."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _log(text: str) -> None:
    stamp = datetime.now().astimezone().isoformat(timespec="seconds")
    for file in _logs:
        for line in text.splitlines() or [""]:
            file.write(f"{stamp} {line}".rstrip() + "\n")
