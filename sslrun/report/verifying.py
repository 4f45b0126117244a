"""Whether a kept table still comes out: its commands, and its numbers against what the same commands print today.

A table is kept as markdown: the commands in a fenced block, and tables as `sslrun report --format markdown` prints
them; or, for what a command says in lines, the command after a `$` with those of its lines that matter below it. Only
reads and compares texts; `sslrun verify` runs the commands.
"""

import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from difflib import get_close_matches
from itertools import pairwise

from sslrun.errors import InputError

_FENCE = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_NUMBER = re.compile(r"[-+−]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")
_VERSION = re.compile(r"\b(torch|torchvision|Python)\s(\d+\.\d+\.\d+)")
_TIMES = re.compile(r"second|time|img/s")
RUNS, REPORTS, LOOKS = ("pretrain", "sweep"), ("report",), ("preview", "theory")
"""The commands that can be given again: those that make runs, those that print tables, those that print lines."""

_PLACES = ("--out", "--map", "--live", "--results")
"""Options with a file or folder to write."""


@dataclass(frozen=True)
class Asked:
    """A command of a page, as arguments, and the lines that the page keeps of what it printed."""

    words: tuple[str, ...]
    lines: tuple[str, ...] = ()

    @property
    def said(self) -> str:
        """As one types it."""
        return shlex.join(("sslrun", *self.words))

    @property
    def folder(self) -> str | None:
        """The results folder that a report or a run's command names."""
        if self.words[0] in REPORTS and len(self.words) > 1 and not self.words[1].startswith("-"):
            return self.words[1]
        return next((after for word, after in pairwise(self.words) if word == "--results"), None)

    @property
    def harmless(self) -> list[str]:
        """The same without places to write to, and without setting runs aside: a page may name any of the reader's."""
        kept, words = list[str](), iter(self.words)
        for word in words:
            option, _, value = word.partition("=")
            if option in _PLACES:
                next(words if not value else iter(()), None)
            elif option != "--fresh":
                kept.append(word)
        return kept


@dataclass(frozen=True)
class KeptTable:
    """One markdown table: the heading above it, its header, and its rows."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass
class Compared:
    """One kept table against what is printed today: how many numbers are the same, and how others differ."""

    title: str
    same: int = 0
    differing: list[str] = field(default_factory=list)


def commands(text: str) -> list[Asked]:
    """The `sslrun` commands of a text's fenced blocks that can be given again. Raises `InputError` if none of them
    prints a table or lines that the text keeps."""
    every = [one for block in _FENCE.findall(text) for one in _asked(block.replace("\\\n", " "))]
    again = [Asked(one.words[1:], one.lines) for one in every if one.words[:1] == ("sslrun",)]
    again = [one for one in again if one.words and one.words[0] in (*RUNS, *REPORTS, *LOOKS)]
    if not any(one.words[0] in REPORTS or one.lines for one in again):
        raise InputError(
            "names no `sslrun report` that prints its tables",
            remedy="Put the commands into a fenced block: sslrun sweep --grid NAME, sslrun report results/ --grid NAME",
        )
    return again


def _asked(block: str) -> Iterator[Asked]:
    """The commands of a block: its lines; or, where they stand after a `$`, each with the lines below it."""
    if block.startswith("$ "):
        for part in block.removeprefix("$ ").split("\n$ "):
            command, *below = part.splitlines()
            yield Asked(_words(command), tuple(line for line in below if line.strip()))
    else:
        yield from (Asked(_words(line)) for line in block.splitlines())


def _words(line: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(line, comments=True))
    except ValueError:  # an open quotation: no command
        return ()


def versions(text: str) -> dict[str, str]:
    """The versions that a table's text names, by what they are of."""
    return dict(_VERSION.findall(text))


def tables(text: str) -> Iterator[KeptTable]:
    """The markdown tables of a text, in order."""
    title, lines = "", [*_FENCE.sub("", text).splitlines(), ""]
    start = 0
    while start < len(lines):
        if lines[start].startswith("#"):
            title = lines[start].lstrip("# ").strip()
        if not lines[start].startswith("|"):
            start += 1
            continue
        end = next(at for at in range(start, len(lines)) if not lines[at].startswith("|"))
        rows = [_cells(line) for line in lines[start:end]]
        if len(rows) > 2:
            yield KeptTable(title, rows[0], tuple(rows[2:]))
        start = end


def _cells(line: str) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1])


def compare(
    kept: Sequence[KeptTable], printed: Sequence[KeptTable]
) -> tuple[list[Compared], list[KeptTable], list[KeptTable]]:
    """Each kept table against the printed one that it is of, even if rows or columns of that are others; the kept ones
    that nothing prints; and the printed ones that are not kept."""
    alone, left, pairs = list(kept), list(printed), []
    for same in _ALIKE:
        for table in tuple(alone):
            other = next((one for one in left if same(table, one)), None)
            if other is not None:
                alone.remove(table)
                left.remove(other)
                pairs.append((table, other))
    pairs.sort(key=lambda pair: kept.index(pair[0]))
    return [_against(*pair) for pair in pairs], alone, left


def _titled(kept: KeptTable, printed: KeptTable) -> bool:
    """Of two tables of one title the first axis is the same, unless one was made by hand below the other's heading."""
    return (kept.title, kept.header[0]) == (printed.title, printed.header[0])


def _shaped(kept: KeptTable, printed: KeptTable) -> bool:
    return (kept.header, len(kept.rows)) == (printed.header, len(printed.rows))


_ALIKE: tuple[Callable[[KeptTable, KeptTable], bool], ...] = (
    lambda kept, printed: _titled(kept, printed) and _shaped(kept, printed),
    _shaped,
    lambda kept, printed: _titled(kept, printed) and kept.header == printed.header,
    _titled,
)
"""What makes a printed table the one that is kept; tables that are more alike are paired first."""


def _against(kept: KeptTable, printed: KeptTable) -> Compared:
    result = Compared(kept.title or ", ".join(kept.header))
    if kept.header != printed.header:
        result.differing.append(f"columns: {', '.join(kept.header)} there, {', '.join(printed.header)} here")
    elif len(kept.rows) != len(printed.rows):
        _some_rows(kept, printed, result)
    else:
        _each_row(kept, printed, result)
    return result


def _some_rows(kept: KeptTable, printed: KeptTable, result: Compared) -> None:
    for row in kept.rows:
        if row in printed.rows:
            result.same += len(_NUMBER.findall(" ".join(row)))
        else:
            result.differing.append(f"{', '.join(row)}: there, no such row here")
    result.differing += [f"{', '.join(row)}: here, no such row there" for row in printed.rows if row not in kept.rows]
    if not result.differing:
        result.differing.append(f"{len(kept.rows)} rows there, {len(printed.rows)} here")


def _each_row(kept: KeptTable, printed: KeptTable, result: Compared) -> None:
    for ours, theirs in zip(kept.rows, printed.rows, strict=True):
        for name, cell, now in zip(kept.header, ours, theirs, strict=True):
            if _TIMES.search(name):
                continue
            if cell == now:
                result.same += len(_NUMBER.findall(cell))
            else:
                result.differing.append(f"{ours[0]}, {name}: {cell} there, {now} here{_apart(cell, now)}")


def compare_lines(asked: Asked, printed: str) -> Compared:
    """The lines that a page keeps of a command against those printed today, whatever the spaces between words."""
    result = Compared(asked.said)
    now = [" ".join(line.split()) for line in printed.splitlines()]
    for line in (" ".join(line.split()) for line in asked.lines):
        if line in now:
            result.same += len(_NUMBER.findall(line))
        else:
            alike = [other for other in now if _NUMBER.sub("", other) == _NUMBER.sub("", line)]
            (other,) = get_close_matches(line, alike, n=1, cutoff=0) or ["no such line"]
            result.differing.append(f"{line} there, {other} here{_apart(line, other)}")
    return result


def _apart(there: str, here: str) -> str:
    """How far two texts are apart that differ in numbers alone, in words; nothing where they differ otherwise."""
    pairs = [
        [Decimal(text.replace("−", "-").replace(",", "")) for text in _NUMBER.findall(side)] for side in (there, here)
    ]
    if not pairs[0] or _NUMBER.sub("", there) != _NUMBER.sub("", here):
        return ""
    apart = max(abs(one - other) for one, other in zip(*pairs, strict=True))
    return f" (apart by {apart.normalize():f})"
