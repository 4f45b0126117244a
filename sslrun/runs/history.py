"""A run's history: one JSON line an epoch, on the disk before `append` returns.

A process killed while writing leaves at most half a line at the end, which readers pass over and the next writer
cuts off. Non-finite numbers are kept as null: the file is plain JSON to every reader.
"""

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sslrun.errors import InputError, RunFailed
from sslrun.files import write_text

Row = dict[str, Any]
_TAIL = 1 << 14


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
            file.truncate(self._whole_bytes())
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> list[Row]:
        """All whole rows, oldest first; none without a file. Raises `RunFailed` for damage before the last line."""
        try:
            lines = self.path.read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return []
        rows = []
        for number, line in enumerate(lines, 1):
            try:
                rows.append(_row(line))
            except ValueError as error:
                raise RunFailed(f"damaged: {error}", where=f"{self.path}:{number}") from error
        return rows

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
        """Drop the rows of epochs after `epoch` (on resume, so that none is doubled); all at once or not at all."""
        rows = self.read()
        kept = [row for row in rows if row["epoch"] <= epoch]
        if len(kept) < len(rows) or self._whole_bytes() < _size(self.path):
            write_text(self.path, "".join(map(_line, kept)))

    def _whole_bytes(self) -> int:
        """The file's length up to the end of its last whole line."""
        size = _size(self.path)
        if size == 0:
            return 0
        with self.path.open("rb") as file:
            file.seek(size - 1)
            if file.read(1) == b"\n":
                return size
            file.seek(0)
            return file.read().rfind(b"\n") + 1


def series(rows: Sequence[Mapping[str, Any]], name: str) -> tuple[list[int], list[float]]:
    """(epochs, values) of a signal where it was recorded."""
    found = [(row["epoch"], row[name]) for row in rows if row.get(name) is not None]
    return [epoch for epoch, _ in found], [value for _, value in found]


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _row(line: bytes) -> Row:
    """The row in a line. Raises `ValueError` for anything else."""
    try:
        row = json.loads(line)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(row, dict):
        raise ValueError(f"not a row: {row!r:.60}")
    return row


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
