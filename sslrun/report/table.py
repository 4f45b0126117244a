"""A table of a report before it has a format: cells of text, each with its number.

`layout`, `slopes`, `analyses` and `compare` make them; `formats` and `page` print them.
"""

import math
from dataclasses import dataclass
from typing import Any

NONE = "–"
"""The text of an empty cell."""

Texts = tuple[str, ...]


@dataclass(frozen=True)
class Cell:
    """Text, and its number where it is one (pages sort by it)."""

    text: str
    value: float | None = None

    @property
    def finite(self) -> float | None:
        """Its number, as JSON has them."""
        return self.value if self.value is not None and math.isfinite(self.value) else None


@dataclass(frozen=True)
class Table:
    """A table with its title and what must be said of it."""

    title: str
    header: Texts
    rows: tuple[tuple[Cell, ...], ...]
    notes: Texts = ()

    @property
    def words(self) -> list[bool]:
        """Which columns hold words (and are set to the left): those without any number."""
        return [all(row[column].value is None for row in self.rows) for column in range(len(self.header))]

    @property
    def texts(self) -> list[list[str]]:
        """The rows without their numbers."""
        return [[cell.text for cell in row] for row in self.rows]

    def as_json(self) -> dict[str, Any]:
        """For programs: its title, a row of texts for each line, and the numbers behind them (null where there is
        none)."""
        numbers = [[cell.finite for cell in row] for row in self.rows]
        return {"title": self.title, "header": list(self.header), "rows": self.texts, "numbers": numbers}


def number(value: float | None, form: str) -> Cell:
    """A number in Python's format `form`; nothing for none and for NaN."""
    return Cell(NONE, value) if value is None or math.isnan(value) else Cell(f"{value:{form}}", value)


def p_value(p: float) -> Cell:
    """A p-value as papers print it."""
    return Cell("< 0.001", p) if p < 0.001 else number(p, ".3f")


def count(n: int) -> Cell:
    """A whole number."""
    return Cell(str(n), n)


def interval(low: float, high: float, form: str) -> Cell:
    """From bound to bound, sorted by the lower one; nothing where it is not known."""
    return Cell(NONE) if math.isnan(low) else Cell(f"{low:{form}} to {high:{form}}", low)
