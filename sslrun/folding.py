"""How text fits a screen: lines break between words, tables fold between columns, and commands to copy stay whole.

Works on plain text and a width in columns; `console` knows the screen and prints.
"""

import re
from collections.abc import Iterator, Sequence

COMMAND = re.compile(r"(?:sslrun|pip|python|%env|\(cd) \S")
"""How a line begins that is there to be copied."""
_GAP = "   "
_MANY = 4
"""From so many rows on, what all of them say is said once."""
_COMPARED = 3
"""So many columns are worth a table of their own where others have no room in it."""
_TRAILING_COMMAND = re.compile(r"(?<=\S)(?:: | {3,})(?=sslrun \S)")
_FRAME = re.compile(r"(\s*\d* │ )(\s*)")
_WORDS = re.compile(r"`[^`]+`\S*|\S+")


def width_of(text: str) -> int:
    """Columns that `text` takes on a terminal."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def wrapped(text: str, width: int) -> list[str]:
    """The lines of `text`, each broken between words where it is wider than `width`; what follows is indented as the
    line was, or to its second column (`label   text`). A command at the end of a line that is too wide gets its own.
    """
    return [line for whole in text.split("\n") for line in _wrap(whole, width)]


def _wrap(line: str, width: int) -> Iterator[str]:
    bare = line.lstrip()
    if width_of(line) <= width or COMMAND.match(bare):
        yield line
        return
    if found := _TRAILING_COMMAND.search(line):
        yield from _wrap(line[: found.start()].rstrip() + ":" * found[0].startswith(":"), width)
        yield f"  {line[found.end() :]}"
        return
    first = line[: len(line) - len(bare)]
    after = first
    if frame := _FRAME.match(line):  # of a recipe: the line itself, or what is said below it
        if frame[1].strip(" │"):
            yield line
            return
        first, after = frame[0], frame[1] + frame[2]
    elif (gap := bare.find(_GAP)) > 0:
        second = gap + len(bare[gap:]) - len(bare[gap:].lstrip())
        if len(first) + second <= width // 2:
            longest = max(width_of(word[0]) for word in _WORDS.finditer(bare[second:]))
            fits = len(first) + second + longest <= width
            first, after = line[: len(first) + second], " " * (len(first) + second) if fits else f"{first}  "
    yield from _broken(first, after, line[len(first) :], width)


def _broken(first: str, after: str, text: str, width: int) -> Iterator[str]:
    line, end = first, 0
    for word in _WORDS.finditer(text):
        gap = text[end : word.start()]
        if line.strip() and width_of(line) + width_of(gap) + width_of(word[0]) > width:
            yield line.rstrip()
            line, gap = after, ""
        line, end = line + gap + word[0], word.end()
    yield line


def table_lines(rows: Sequence[Sequence[str]], header: Sequence[str], width: int | None) -> list[tuple[str, bool]]:
    """(line, whether it is a header) of a table: the first column to the left, the others to the right.

    Where it is wider than `width` it comes in several parts, each with the columns that tell rows apart and as many of
    the others as there is room for; a column whose title others have too stays beside the one before it. Columns that
    have no room even alone come last, as a list; if few are left to compare, each row is a list of titles and values.
    """
    every = [*([header] if header else []), *rows]
    if not every:
        return []
    widths = [max(width_of(row[column]) for row in every) for column in range(len(every[0]))]
    if width is None or _total(widths, range(len(widths))) <= width:
        return _columns(every, widths, range(len(widths)), bool(header))
    keys = _keys(rows)
    groups = _groups(header, keys, len(widths))
    if any(_total(widths, [*range(keys), *group]) > width for group in groups):
        groups = [[column] for group in groups for column in group]
    wide = [column for group in groups for column in group if _total(widths, [*range(keys), *group]) > width]
    if wide and (not header or len(widths) - keys - len(wide) < _COMPARED):
        return listed(rows, header, keys, width)
    groups = [group for group in groups if group[0] not in wide]
    parts: list[list[int]] = []
    for group in groups:
        if not parts or _total(widths, [*parts[-1], *group]) > width:
            parts.append([*range(keys)])
        parts[-1] += group
    lines: list[tuple[str, bool]] = []
    for part in parts:
        lines += [*([("", False)] if lines else []), *_columns(every, widths, part, bool(header))]
    if wide:
        named = [[row[column] for column in (*range(keys), *wide)] for row in every]
        lines += [("", False), *listed(named[1:], named[0], keys, width)]
    return lines


def _keys(rows: Sequence[Sequence[str]]) -> int:
    """How many of the first columns tell all rows apart; one, if not even all do."""
    return next((n for n in range(1, len(rows[0])) if len({tuple(row[:n]) for row in rows}) == len(rows)), 1)


def _groups(header: Sequence[str], keys: int, count: int) -> list[list[int]]:
    groups: list[list[int]] = []
    for column in range(keys, count):
        if groups and header and list(header).count(header[column]) > 1:
            groups[-1].append(column)
        else:
            groups.append([column])
    return groups


def _total(widths: Sequence[int], columns: Sequence[int]) -> int:
    return sum(widths[column] for column in columns) + len(_GAP) * (len(columns) - 1)


def _columns(
    every: Sequence[Sequence[str]], widths: Sequence[int], columns: Sequence[int], header: bool
) -> list[tuple[str, bool]]:
    lines = []
    for number, row in enumerate(every):
        spaces = {column: " " * (widths[column] - width_of(row[column])) for column in columns}
        cells = [spaces[at] + row[at] if at else row[at] + spaces[at] for at in columns]
        lines.append((_GAP.join(cells).rstrip(), header and number == 0))
    return lines


def listed(rows: Sequence[Sequence[str]], header: Sequence[str], keys: int, width: int) -> list[tuple[str, bool]]:
    """(line, whether it heads an entry): each row as the values of its first `keys` columns, and below these the titles
    and values of the others; empty ones are left out, and what many rows all say is said once, at the top."""
    titles = header or [""] * len(rows[0])
    longest = max(map(width_of, titles[keys:]), default=0)
    others = range(keys, len(rows[0]))
    shared = [at for at in others if len(rows) >= _MANY and rows[0][at] and len({row[at] for row in rows}) == 1]
    own = [at for at in others if at not in shared]

    def entry(head: str, row: Sequence[str], columns: Sequence[int]) -> list[tuple[str, bool]]:
        texts = [
            f"  {titles[at]}{' ' * (longest - width_of(titles[at]))}{_GAP}{row[at]}".rstrip()
            for at in columns
            if row[at]
        ]
        return [(line, True) for line in wrapped(head, width)] + [
            (line, False) for text in texts for line in wrapped(text, width)
        ]

    lines = entry("common to all", rows[0], shared) if shared else []
    for row in rows:
        head = " · ".join(f"{title} {cell}".strip() for title, cell in zip(titles[:keys], row[:keys], strict=True))
        lines += entry(head, row, own)
    return lines
