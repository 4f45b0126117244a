"""A run's history: one JSON line an epoch, on the disk before `append` returns.

A process killed while writing leaves at most half a line at the end, which readers pass over and the next writer
cuts off. Non-finite numbers are kept as null. What is damaged is read up to its first bad line, and `damage` names it.
Rows that were written before there was a `size` have that of their `spectrum`.
"""

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any, TypeGuard

from sslrun.errors import InputError, RunFailed
from sslrun.files import whole_lines, write_text

Row = dict[str, Any]
DAMAGED = "Put a copy of it back, or start the run anew with --fresh."
"""What to do where rows would be missing."""
_TAIL = 1 << 14
_MOST = 1e300
_NUMBERS = {
    "step",
    "loss",
    "lr",
    "images_per_second",
    "std",
    "size",
    "rank",
    "rank_correlation",
    "cosine",
    "seconds",
    "memory_share",
    "asymmetry",
    "commutator",
    "smallest_eigenvalue",
    "alignment",
    "proportionality",
    "balance",
}
_LISTS = {"spectrum", "alignments", "p"}
"""What those rows hold that everything which reads histories computes with; see `sslrun.training.diagnostics`."""


@dataclass(frozen=True)
class History:
    """The rows kept at `path` (`history.jsonl`); each has its `epoch`, counted as the writer counts."""

    path: Path

    def append(self, row: Mapping[str, Any]) -> None:
        """Add one row, durably. Raises `KeyError` without an `epoch`, `TypeError` for values that JSON has not."""
        if not isinstance(row["epoch"], int):
            raise TypeError(f"epoch must be an int, not {row['epoch']!r}")
        line = _line(row).encode()
        with self.path.open("ab+") as file:
            file.truncate(whole_lines(self.path))
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> list[Row]:
        """The rows up to the first bad line (`damage` names it), oldest first; none without a file."""
        return self._read()[0]

    def damage(self, most: int | None = None) -> tuple[str, str] | None:
        """(file and line, why) of the first line that is no row, or whose epoch does not follow; None if all are, or
        the `most` first ones, which alone are read then."""
        return self._read(most)[1]

    def _read(self, most: int | None = None) -> tuple[list[Row], tuple[str, str] | None]:
        try:
            with self.path.open("rb") as file:
                lines = [line[:-1] for line in islice(file, most) if line.endswith(b"\n")]
        except FileNotFoundError:
            return [], None
        except OSError as error:
            return [], (str(self.path), f"can't be read: {error.strerror or error}")
        rows: list[Row] = []
        for number, line in enumerate(lines, 1):
            try:
                row = _row(line)
                if rows and row["epoch"] <= rows[-1]["epoch"]:
                    raise ValueError(f"epoch {row['epoch']} after epoch {rows[-1]['epoch']}")
            except ValueError as error:
                return rows, (f"{self.path}:{number}", f"damaged: {error}")
            rows.append(row)
        return rows, None

    def last(self) -> Row | None:
        """The last whole row, read from the end of the file; none without one. Raises `InputError` if damaged."""
        try:
            with self.path.open("rb") as file:
                size, tail = file.seek(0, os.SEEK_END), _TAIL
                while True:
                    file.seek(max(0, size - tail))
                    lines = file.read().split(b"\n")
                    if len(lines) >= 3 or tail >= size:
                        break
                    tail *= 8
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InputError(f"can't be read: {error.strerror or error}", where=str(self.path)) from error
        if len(lines) < 2:
            return None
        try:
            return _row(lines[-2])
        except ValueError as error:
            raise InputError(f"damaged: {error}", where=str(self.path)) from error

    def truncate_after(self, epoch: int) -> None:
        """Drop the rows of epochs after `epoch` (on resume, so that none is doubled); all at once or not at all.

        Raises `RunFailed` for a bad line: rows would be missing for good.
        """
        rows, damage = self._read()
        if damage is not None:
            where, why = damage
            raise RunFailed(why, where=where, remedy=DAMAGED)
        kept = [row for row in rows if row["epoch"] <= epoch]
        if self.path.exists() and (len(kept) < len(rows) or whole_lines(self.path) < self.path.stat().st_size):
            write_text(self.path, "".join(map(_line, kept)))


def series(rows: Sequence[Mapping[str, Any]], name: str) -> tuple[list[int], list[float]]:
    """(epochs, values) of a signal where it was recorded."""
    found = [(row["epoch"], row[name]) for row in rows if is_number(row.get(name))]
    return [epoch for epoch, _ in found], [value for _, value in found]


def is_number(value: Any) -> TypeGuard[float]:
    """Whether `value` is a number that can be drawn and computed with."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _MOST


def size_of(spectrum: Sequence[float]) -> float:
    """The root mean square of the outputs' entries from the eigenvalues of their correlation F, whose mean it is the
    square of."""
    return math.sqrt(max(0.0, fmean(spectrum)))


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and all(entry is None or is_number(entry) for entry in value)


def _row(line: bytes) -> Row:
    """The row in a line. Raises `ValueError` for anything else."""
    try:
        row = json.loads(line, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(row, dict):
        raise ValueError(f"not a row: {row!r:.60}")
    epoch = row.get("epoch")
    if not isinstance(epoch, int) or isinstance(epoch, bool) or not 0 <= epoch < _MOST:
        raise ValueError(f"epoch is {epoch!r:.60}")
    for name, value in row.items():
        if value is not None and name in _NUMBERS and not is_number(value):
            raise ValueError(f"{name} is {value!r:.60}")
        if value is not None and name in _LISTS and not _is_list(value):
            raise ValueError(f"{name} is {value!r:.60}")
    if "size" not in row and (spectrum := row.get("spectrum")) and None not in spectrum:
        row["size"] = size_of(spectrum)
    return row


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of ours")


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(_finite(row), ensure_ascii=False, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    """`value` with null for every number that JSON can't hold."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return value
