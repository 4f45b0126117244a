"""Whether a kept table still comes out: its commands, and its numbers against what the same commands print today.

A table is kept as markdown: the commands in a fenced block, and tables as `sslrun report --format markdown` prints
them. Only reads and compares texts; `sslrun verify` runs the commands.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from sslrun.errors import InputError

_FENCE = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_NUMBER = re.compile(r"[-+−]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")
_VERSION = re.compile(r"\b(torch|torchvision|Python) (\d+(?:\.\d+)+)")
_TIMES = re.compile(r"second|time|img/s")
RUNS, REPORTS = ("pretrain", "sweep"), ("report",)


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


def commands(text: str) -> list[list[str]]:
    """The `sslrun` commands of a text's fenced blocks, as arguments, those alone that can be run again: pretrain, sweep
    and report. Raises `InputError` if there is no report."""
    found = []
    for block in _FENCE.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            words = _words(line)
            if words[:1] == ["sslrun"] and words[1:2] and words[1] in (*RUNS, *REPORTS):
                found.append(words[1:])
    if not any(command[0] in REPORTS for command in found):
        raise InputError(
            "names no `sslrun report` that prints its tables",
            remedy="Put the commands into a fenced block: sslrun sweep --grid NAME, sslrun report results/ --grid NAME",
        )
    return found


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError:  # an open quotation: no command
        return []


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


def compare(kept: Sequence[KeptTable], printed: Sequence[KeptTable]) -> tuple[list[Compared], list[KeptTable]]:
    """Each kept table against the printed one with its header and rows; and the kept ones that nothing prints."""
    left, found, alone = list(printed), [], []
    for table in kept:
        alike = [other for other in left if other.header == table.header and len(other.rows) == len(table.rows)]
        if not alike:
            alone.append(table)
            continue
        other = next((one for one in alike if one.title == table.title), alike[0])
        left.remove(other)
        found.append(_against(table, other))
    return found, alone


def _against(kept: KeptTable, printed: KeptTable) -> Compared:
    result = Compared(kept.title or ", ".join(kept.header))
    for ours, theirs in zip(kept.rows, printed.rows, strict=True):
        for name, cell, now in zip(kept.header, ours, theirs, strict=True):
            if _TIMES.search(name):
                continue
            numbers = len(_NUMBER.findall(cell))
            if cell == now:
                result.same += numbers
            else:
                result.differing.append(f"{ours[0]}, {name}: {cell} there, {now} here{_apart(cell, now)}")
    return result


def _apart(there: str, here: str) -> str:
    """How far two texts of as many numbers are apart, in words; nothing where they have not as many."""
    pairs = [
        [Decimal(text.replace("−", "-").replace(",", "")) for text in _NUMBER.findall(side)] for side in (there, here)
    ]
    if len(pairs[0]) != len(pairs[1]) or not pairs[0]:
        return ""
    apart = max(abs(one - other) for one, other in zip(*pairs, strict=True))
    return f" (apart by {apart.normalize():f})"
