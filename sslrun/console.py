"""What the user sees: lines, small tables and one live line; plain text where there is no terminal.

rich is imported only when a terminal is there to draw on. Errors go to stderr, unadorned. Inside `logging_to(path)`
everything said is kept in that file as well. Nothing that is shown can end what is computed: see `sslrun.streams`.
How text fits the screen: `sslrun.folding`.
"""

import math
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from sslrun.folding import listed, table_lines, wrapped
from sslrun.streams import Stream

if TYPE_CHECKING:
    from rich.progress import Progress

REFRESH_SECONDS = 0.1
"""The live line is redrawn at most this often."""
PLAIN_SECONDS = 5.0
"""Without a terminal, and in logs, a progress line is written at most this often."""

READABLE = 100
"""Columns that entries of sentences take where nobody says how wide the screen is."""

_BAR, _LEAST_BAR = 24, 8

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Characters that steer: those of control, and those that turn the direction of writing or end a line."""

_logs: list[Stream] = []


def on_terminal(stream: TextIO | None = None) -> bool:
    """Whether `stream` (stdout if none) is a terminal that can redraw a line."""
    stream = stream or sys.stdout
    return stream is not None and stream.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown")


def visible(text: str) -> str:
    """`text` with control characters written out (`\\u001b`), all but tabs and ends of lines: what a file, a label or a
    name holds must not steer a terminal, nor turn the order of letters in a page.
    """
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def screen_width(stream: TextIO | None = None) -> int | None:
    """The columns that text on `stream` (stdout if none) may take: COLUMNS, or a terminal's own; None elsewhere."""
    with suppress(ValueError):
        if (columns := int(os.environ.get("COLUMNS", ""))) > 0:
            return columns
    stream = stream or sys.stdout
    with suppress(OSError, ValueError):
        if stream is not None and stream.isatty():
            return os.get_terminal_size(stream.fileno()).columns or None
    return None


def say(text: str = "", style: str = "") -> None:
    """Print `text`, `visible`, in `style` (rich's words: "bold", "green", ...) on a terminal, where lines that are too
    wide break between words.
    """
    text = visible(text)
    _log(text)
    width = screen_width()
    if width is not None:
        text = "\n".join(wrapped(text, width))
    if style and on_terminal():
        from rich.console import Console

        Console(highlight=False).print(text, style=style, markup=False, soft_wrap=True)
    else:
        print(text, flush=True)


def write(text: str) -> None:
    """Print `text`, `visible`, as it is: a file's content, or a result for programs."""
    text = visible(text)
    _log(text)
    print(text, end="", flush=True)


def error(text: str) -> None:
    """Print `text` to stderr, plain everywhere so that it can be copied and searched for."""
    text = visible(text)
    _log(text)
    width = screen_width(sys.stderr)
    print(text if width is None else "\n".join(wrapped(text, width)), file=sys.stderr, flush=True)


def table(rows: Sequence[Sequence[str]], header: Sequence[str] = ()) -> None:
    """Print rows of text as columns, folded where the screen is too narrow; the header in bold."""
    clean, titles = [[_one_line(cell) for cell in row] for row in rows], [_one_line(title) for title in header]
    for line, is_header in table_lines(clean, titles, screen_width()):
        say(line, style="bold" if is_header else "")


def entries(rows: Sequence[Sequence[str]], header: Sequence[str]) -> None:
    """Print rows of sentences, each as its name and below that the titles and texts of the other columns."""
    for line, is_name in listed(rows, header, 1, screen_width() or READABLE):
        say(line, style="bold" if is_name else "")


def span(seconds: float) -> str:
    """A length of time as `19s`, `59m 59s`, `2h 03m` or `4d 4h`; `?` for no number, as a damaged file may hold."""
    if not math.isfinite(seconds):
        return "?"
    whole = round(seconds)
    if whole >= 100 * 3600:
        return f"{whole // 86400}d {whole % 86400 // 3600}h"
    hours, minutes = divmod(whole // 60, 60)
    if hours:
        return f"{hours}h {minutes:02}m"
    return f"{minutes}m {whole % 60:02}s" if minutes else f"{whole}s"


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
        return span((time.monotonic() - self._began) / gone * (self._total - self._done))

    def _head(self) -> str:
        return f"{self._unit} {max(1, math.ceil(self._done))}/{self._total}"

    def _tail(self, room: int | None = None) -> str:
        """What stands beside the count; where there is no room, the last of its numbers go, the time left does not."""
        parts, left = self._text.split("  ") if self._text else [], self.left()
        end = [f"{left} left"] if left else []
        while room is not None and parts and len("  ".join([*parts, *end])) > room:
            parts.pop()
        return "  ".join([*parts, *end])

    def _draw(self) -> None:
        if self._bar is not None:
            head, width = self._head(), self._bar.console.width
            text = self._tail(width - len(head) - _LEAST_BAR - 2)
            self._bar.columns[1].bar_width = min(_BAR, width - len(head) - len(text) - 2)  # type: ignore[union-attr]
            self._bar.update(self._task, description=head, completed=self._done, text=text)
            self._bar.refresh()

    def _note(self) -> None:
        line = f"{self._head()}  {self._tail()}".rstrip()
        if line == self._noted_line:
            return
        self._noted_line = line
        _log(line)
        if self._bar is None:
            width = screen_width()
            room = None if width is None else width - len(self._head()) - 2
            print(f"{self._head()}  {self._tail(room)}".rstrip(), flush=True)

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


@contextmanager
def counting(unit: str) -> Iterator[Callable[[float, int], None]]:
    """What is called with the count and the total; a live line is there from the first call on."""
    with ExitStack() as stack:
        lines: list[Live] = []

        def watch(done: float, total: int) -> None:
            if not lines:
                lines.append(stack.enter_context(progress(unit, total)))
            lines[0].update(done)

        yield watch


def _bar(head: int) -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    # Drawn by `update` alone: a thread that redraws would take turns from the training loop.
    return Progress(
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, min_width=head)),
        BarColumn(bar_width=_BAR),
        TextColumn("{task.fields[text]}", markup=False, table_column=Column(no_wrap=True)),
        console=Console(highlight=False),
        auto_refresh=False,
    )


def _one_line(text: str) -> str:
    return " ".join(visible(text).split("\n"))


def _log(text: str) -> None:
    stamp = datetime.now().astimezone().isoformat(timespec="seconds")
    for file in _logs:
        for line in text.splitlines() or [""]:
            file.write(f"{stamp} {line}".rstrip() + "\n")
