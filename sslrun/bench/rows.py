"""A measured row: reference against ours, the ratio's median and spread, its bar; as JSON and as a table.

The bars themselves are written where they are used (`training`, `images`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from sslrun.bench.timing import Clock, Settings, Timing
from sslrun.networks.precision import has_bf16
from sslrun.runs.environment import environment


@dataclass(frozen=True)
class Row:
    """One comparison. The ratio is the reference's time over ours, or, for a `share`, ours over the reference's.

    `units` are done by one call; without them, times are shown. The clock that counts is `cpu` on a CPU, else `wall`.
    A ratio should reach `bar`, a share and the `error` should not exceed theirs.
    """

    kind: Literal["step", "views", "style", "rule", "parts", "limit", "graph", "jobs", "devices"]
    what: str
    reference: Timing
    ours: Timing
    clock: Clock
    unit: str
    units: int | None = None
    share: bool = False
    bar: float | None = None
    error: float | None = None
    error_bar: float | None = None

    def ratios(self, clock: str) -> list[float]:
        """The ratio of each round by `clock`, `cpu` or `wall`."""
        pairs = zip(getattr(self.reference, clock), getattr(self.ours, clock), strict=True)
        return [ours / theirs if self.share else theirs / ours for theirs, ours in pairs]

    @property
    def ratio(self) -> float:
        """The median by the clock that counts."""
        return median(self.ratios(self.clock))

    @property
    def below_the_bar(self) -> bool:
        """Whether the ratio or the error misses its bar."""
        missed = self.bar is not None and (self.ratio > self.bar if self.share else self.ratio < self.bar)
        return missed or (self.error is not None and self.error_bar is not None and self.error > self.error_bar)

    def amount(self, timing: Timing) -> float:
        """Units a second, or milliseconds, by the clock that counts."""
        seconds: float = median(getattr(timing, self.clock))
        return self.units / seconds if self.units else 1000 * seconds


def machine(settings: Settings) -> dict[str, Any]:
    """What was measured on: processor, GPU, cores, memory, versions; no host name."""
    known = environment(threads=1)
    del known["host"]
    return known | {"device": settings.device.type, "bf16": has_bf16(settings.device)}


def caption(settings: Settings, images: str) -> list[str]:
    """What is measured on, for the head of a printed report; `images` says on which."""
    known = machine(settings)
    place = f"{known['cpu']}, one thread" if settings.on_cpu else f"{settings.device}: {', '.join(set(known['gpus']))}"
    batches = f"batches of {settings.batch}, steps of {settings.step_batch}"
    clock = "CPU" if settings.on_cpu else "wall"
    lines = [
        f"{place} · torch {known['torch']} · sslrun {known['sslrun']}",
        f"rounds: {settings.rounds} · {batches} · {images} · by {clock} time",
    ]
    if known["bf16"] is False:
        lines.append("bf16 is left out: this device has no instructions for it, and emulates it many times slower")
    return lines


def as_json(rows: Sequence[Row], settings: Settings, images: str) -> dict[str, Any]:
    """The whole report, with every round's seconds; `images` says what was measured on."""
    return {
        "machine": machine(settings),
        "rounds": settings.rounds,
        "batch": settings.batch,
        "step_batch": settings.step_batch,
        "images": images,
        "rows": [_row_json(row) for row in rows],
    }


def _row_json(row: Row) -> dict[str, Any]:
    ratio = {
        clock: {"median": median(ratios), "min": min(ratios), "max": max(ratios)}
        for clock, ratios in (("cpu", row.ratios("cpu")), ("wall", row.ratios("wall")))
    }
    return {
        "kind": row.kind,
        "what": row.what,
        "unit": row.unit,
        "reference": row.amount(row.reference),
        "ours": row.amount(row.ours),
        "share" if row.share else "ratio": ratio,
        "clock": row.clock,
        "bar": row.bar,
        "error": row.error,
        "error_bar": row.error_bar,
        "below_the_bar": row.below_the_bar,
        "seconds": {"reference": vars(row.reference), "ours": vars(row.ours)},
    }


def table(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Header and cells of rows of one kind."""
    share, errors = rows[0].share, rows[0].error is not None
    header = [f"{rows[0].kind} ({rows[0].unit})", "reference", "ours", "share" if share else "ratio", "spread"]
    other = "wall" if rows[0].clock == "cpu" else None
    header += [*(["by wall"] if other else []), *(["error"] if errors else []), "bar", ""]
    return header, [_cells(row, other) for row in rows]


def _cells(row: Row, other: str | None) -> list[str]:
    ratios = row.ratios(row.clock)
    cells = [row.what, _number(row.amount(row.reference)), _number(row.amount(row.ours))]
    cells += [_ratio(row, row.ratio), f"{_ratio(row, min(ratios))} – {_ratio(row, max(ratios))}"]
    if other:
        cells.append(_ratio(row, median(row.ratios(other))))
    if row.error is not None:
        cells.append(f"{row.error:.1e}")
    bars = [] if row.bar is None else [f"{'≤' if row.share else '≥'} {_bar(row)}"]
    if row.error_bar is not None:
        bars.append(f"error ≤ {row.error_bar:.0e}")
    return [*cells, ", ".join(bars), "misses the bar" if row.below_the_bar else ""]


def _ratio(row: Row, ratio: float) -> str:
    return f"{100 * ratio:.3f} %" if row.share else f"{ratio:.3g}" if ratio >= 10 else f"{ratio:.2f}"


def _bar(row: Row) -> str:
    return f"{100 * (row.bar or 0):g} %" if row.share else f"{row.bar:g}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
