"""YAML text to plain values, each with its place in the file, by PyYAML's node graph; the traps of YAML are closed.

Keys are words and appear once; `1e-4` is a number and `on` is text; tags, merge keys, infinities and runaway aliases
are refused. `reading.py` builds recipes from the documents made here, `messages.py` prints their places.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NoReturn

import yaml

from sslrun.errors import RecipeError

KeyPath = tuple[str | int, ...]

MOST_VALUES = 10_000  # with aliases written out; a recipe has about a hundred
DEEPEST = 32

_CONSTANTS = {"": None, "~": None, "null": None, "Null": None, "NULL": None} | {
    word: word.lower() == "true" for word in ("true", "True", "TRUE", "false", "False", "FALSE")
}
_BREAK = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


@dataclass(frozen=True)
class Place:
    """A piece of one line of a source. A source without lines (`--set key=value`) has `line` 0."""

    source: str
    line: int = 0
    column: int = 0
    width: int = 1
    text: str = ""

    @property
    def where(self) -> str:
        """`file:line:column`, or the source alone if it has no lines."""
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source

    def excerpt(self, hint: str = "") -> str:
        """The line with its number, carets below the piece, and `hint` behind them; without lines the hint alone."""
        if not self.line:
            return f"    {hint}" if hint else ""
        start = max(0, self.column - 60) if len(self.text) > 100 else 0  # long lines are shown around the piece
        text = "".join(letter if letter.isprintable() else " " for letter in self.text)[start : start + 100].rstrip()
        number = str(self.line)
        carets = "^" * max(1, min(self.width, start + len(text) - self.column + 1))
        below = f"    {' ' * len(number)} │ {' ' * (self.column - 1 - start)}{carets} {hint}"
        return f"    {number} │ {text}\n{below.rstrip()}"


@dataclass(frozen=True)
class Spot:
    """Where a key and its value stand (an item of a list has no key: both are the item)."""

    key: Place
    value: Place


def at(values: Any, path: Sequence[Any]) -> Any:
    """What is at a key path. Raises `KeyError` or `IndexError` where there is nothing."""
    for key in path:
        if not isinstance(values, dict if isinstance(key, str) else list):
            raise KeyError(key)
        values = values[key]
    return values


@dataclass(frozen=True)
class Document:
    """Plain values (dict, list, str, int, float, bool, None) and the spot of each key path."""

    values: Any
    spots: Mapping[KeyPath, Spot]

    def part(self, *path: str | int) -> "Document":
        """The document below a key path that exists, its own paths counted from there."""
        depth = len(path)
        below = {where[depth:]: spot for where, spot in self.spots.items() if where[:depth] == path}
        return Document(at(self.values, path), below)

    def spot(self, path: KeyPath) -> Spot:
        """The spot of `path`, or else of the closest section around it that is written out."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.spots:
                return self.spots[path[:end]]
        return Spot(Place("recipe"), Place("recipe"))


@lru_cache  # many grids have one base; nobody changes a document
def parse(text: str, source: str, *, lines: bool = True) -> Document:
    """Read one YAML document; `source` names it in errors, which have no line or column unless `lines`.

    Raises `RecipeError` at the first thing that can't be read, or that reads differently from how it looks.
    """
    return _Reader(text, source, lines).document()


def plain(text: str) -> str | int | float | bool | None:
    """The value of an unquoted scalar: YAML 1.2's core schema in decimal. `on`, `017` and `1_000` are text.

    Raises `ValueError`, saying why, for numbers that are not finite or have more than 18 digits before the point.
    """
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _NOT_FINITE.fullmatch(text):
        raise ValueError("is not a finite number")
    if _INTEGER.fullmatch(text):
        if len(text) > 19:
            raise ValueError("has too many digits")
        return int(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if number in (float("inf"), float("-inf")):
            raise ValueError("is too large for a number")
        return number
    return text


class _Composer(yaml.BaseLoader):
    """PyYAML's composer without implicit types, tags or bottomless nesting."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # the stubs leave it untyped
        if getattr(event, "tag", None) is not None:
            raise yaml.MarkedYAMLError(None, None, f"the tag {event.tag} is not allowed", event.start_mark)
        if self.depth > DEEPEST:
            raise yaml.MarkedYAMLError(None, None, f"nested deeper than {DEEPEST} levels", event.start_mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _Reader:
    """One pass over the node graph of a text."""

    def __init__(self, text: str, source: str, lines: bool) -> None:
        self.text, self.source = text, source
        self.lines = _BREAK.split(text) if lines else None
        self.spots: dict[KeyPath, Spot] = {}
        self.open: set[int] = set()  # nodes being read, to notice an alias of what it stands in
        self.count = 0

    def document(self) -> Document:
        root = self.compose()
        if root is None:
            self.refuse(self.place(0, 0, 1), "is empty")
        place = self.place_of(root)
        self.spots[()] = Spot(place, place)
        return Document(self.value(root, ()), self.spots)

    def compose(self) -> yaml.Node | None:
        loader = None
        try:
            loader = _Composer(self.text)
            return loader.get_single_node()
        except yaml.reader.ReaderError as error:
            before = _BREAK.split(self.text[: error.position])
            place = self.place(len(before) - 1, len(before[-1]), 1)
            self.refuse(place, f"the character U+{ord(self.text[error.position]):04X} does not belong in YAML")
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            problem, hint = error.problem or error.context or "not YAML", ""
            if "'\\t'" in problem:
                problem, hint = "a tab can't stand here", "indent with spaces"
            elif problem == "but found another document":
                problem, hint = "a second document begins", "one recipe a file"
            elif self.lines and error.context and error.context_mark:
                hint = f"{error.context} that begins in line {error.context_mark.line + 1}"
            self.refuse(self.place(mark.line, mark.column, 1) if mark else self.place(0, 0, 1), problem, hint)
        except (ValueError, OverflowError):  # from inside PyYAML: an escape beyond Unicode, an absurd %YAML version
            mark = loader.get_mark() if loader else None
            self.refuse(self.place(mark.line, mark.column, 1) if mark else self.place(0, 0, 1), "can't be read")
        finally:
            if loader:
                loader.dispose()

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        self.count += 1
        if self.count > MOST_VALUES:
            self.refuse(self.place_of(node), f"more than {MOST_VALUES:,} values, aliases written out")
        if id(node) in self.open:
            self.refuse(self.place_of(node), "an alias stands inside the value that it repeats")
        if len(path) > DEEPEST:
            self.refuse(self.place_of(node), f"nested deeper than {DEEPEST} levels")
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node)
        self.open.add(id(node))
        result = self.mapping(node, path) if isinstance(node, yaml.MappingNode) else self.sequence(node, path)
        self.open.remove(id(node))
        return result

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            place = self.place_of(key_node)
            key = self.scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            if key == "<<":
                self.refuse(place, "merge keys (<<) are not part of a recipe", "write the options out")
            if not isinstance(key, str):
                self.refuse(place, f"{self.shown(key_node)} can't be a key", "keys are words; quote it if it is meant")
            if key in result:
                first = self.spots[(*path, key)].key
                where = f" (first in line {first.line})" if first.line else ""
                self.refuse(place, f"'{key}' is given twice{where}", "keep one of them")
            self.spots[(*path, key)] = Spot(place, self.place_of(value_node))
            result[key] = self.value(value_node, (*path, key))
        return result

    def sequence(self, node: yaml.Node, path: KeyPath) -> list[Any]:
        result = []
        for index, item in enumerate(node.value):
            place = self.place_of(item)
            self.spots[(*path, index)] = Spot(place, place)
            result.append(self.value(item, (*path, index)))
        return result

    def scalar(self, node: yaml.ScalarNode) -> str | int | float | bool | None:
        text = node.value
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            self.refuse(self.place_of(node), "half a surrogate pair is not text", "write the character itself")
        if node.style is not None:  # quoted, or a block: text whatever it looks like
            return str(text)
        try:
            return plain(text)
        except ValueError as error:
            self.refuse(self.place_of(node), f"{self.shown(node)} {error}")

    def shown(self, node: yaml.Node) -> str:
        return node.value[:60] if isinstance(node.value, str) and node.value else "this"

    def place_of(self, node: yaml.Node) -> Place:
        start, end = node.start_mark, node.end_mark
        same = end.line == start.line
        return self.place(start.line, start.column, end.column - start.column if same else 10**6)

    def place(self, line: int, column: int, width: int) -> Place:
        if self.lines is None:
            return Place(self.source)
        text = self.lines[line] if line < len(self.lines) else ""
        return Place(self.source, line + 1, column + 1, max(1, min(width, len(text) - column)), text)

    def refuse(self, place: Place, what: str, hint: str = "") -> NoReturn:
        raise RecipeError(what, where=place.where, remedy=place.excerpt(hint) or None) from None
