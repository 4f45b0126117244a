"""What is kept of runs, typed: what a run is, its status, its evaluations, and which cells of a grid are which runs.

Each is a JSON file that is read and written here alone; what is not such a record is an error that names the file.
Where these files lie: `folder`. What state a run is in at this moment: `state_now`, which `status` and `table` use.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from sslrun.errors import InputError, Unreadable
from sslrun.files import litter, locked, write_json
from sslrun.runs.cells import CellName
from sslrun.runs.verdict import COLLAPSES, verdict

if TYPE_CHECKING:
    from pydantic import TypeAdapter

LeftOut = list[tuple[str, str]]
"""(path, why) of what could not be read."""
Scalar = bool | int | float | None
Metric = Scalar | list[Scalar] | dict[str, Scalar]
_SECTIONS = ("data", "views", "network", "method", "optimizer", "training", "evaluation", "run")


class State(StrEnum):
    """The state of a run or of a grid's cell. `interrupted`, `unjudged` and `missing` are not kept: see `state_now`."""

    DONE = "done"
    COLLAPSED = "collapsed"
    """Finished too: a collapse is a result."""
    PRUNED = "pruned"
    """Ended before its time by a search that had seen enough; asked for again, it goes on."""
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    """Begun, and no process works on it."""
    UNJUDGED = "unjudged"
    """A cell whose run is finished and lacks evaluations that the cell asks for."""
    QUEUED = "queued"
    MISSING = "missing"
    """A cell whose run has no folder."""
    FAILED = "failed"


FINISHED = (State.DONE, State.COLLAPSED)
UNFINISHED = (State.PRUNED, State.RUNNING, State.INTERRUPTED, State.UNJUDGED, State.QUEUED)


def utc_now() -> str:
    """The time now, as kept in a run's files: ISO 8601, UTC, whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Record:
    """What all records have: what to call one, what lacks it where the file is not there, and what to do then."""

    what: ClassVar[str]
    absent: ClassVar[str] = "not there"
    remedy: ClassVar[str]


@dataclass(frozen=True)
class RunRecord(Record):
    """What a run is, `identity.json`: its full identity in hex, and the resolved recipe as `recipe.yaml` has it."""

    what, absent = "a run's identity", "not a run"
    remedy = "Give the folder of a run, or its name: `sslrun status` lists them."

    identity: str
    recipe: dict[str, Any]

    def __post_init__(self) -> None:
        for name in _SECTIONS:
            if not isinstance(self.recipe.get(name), dict | None):
                raise ValueError(f"recipe.{name} is no section")


@dataclass(frozen=True)
class Status(Record):
    """How far a run is, `status.json`. Times are ISO 8601 in UTC; `evidence`: the numbers on which the verdict rests.

    A run whose process was killed still says `running` here.
    """

    what, absent = "a run's status", "half-written"
    remedy = (
        "Put a copy of it back, or make the run anew: pretrain --fresh, or `sslrun remove FOLDER` and a sweep again."
    )

    state: State
    created: str = ""
    started: str | None = None
    finished: str | None = None
    seconds: float = 0.0
    """Seconds spent at work, over all its sessions."""
    epoch: int = 0
    """Epochs finished."""
    epochs: int | None = None
    """Epochs asked for."""
    threads: int | None = None
    """CPU threads it began with; a resumed run uses as many, for the same bits."""
    processes: int = 1
    """How many worked on it together, in its last session."""
    data: str | None = None
    """The data folder in which it found its images, if they are files."""
    reason: str | None = None
    """Why it failed or ended early, in one line."""
    verdict: str | None = None
    """`none`, `dimensional` or `complete`, as `runs.verdict` judges the evidence."""
    evidence: dict[str, float | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        counts = (self.epoch, self.epochs or 1, self.threads or 1, self.processes)
        if not math.isfinite(self.seconds) or min(counts[0], *(count - 1 for count in counts[1:])) < 0:
            raise ValueError("a time or a count is out of range")

    @property
    def finished_well(self) -> bool:
        """Whether there is nothing left to train: done, or collapsed."""
        return self.state in FINISHED

    def judged(self) -> "Status":
        """The same with the verdict that the evidence has today: runs were judged by other bounds before."""
        if not self.finished_well or not {"std_threshold", "rank_threshold"} <= self.evidence.keys():
            return self
        kind = verdict(self.evidence)
        return replace(self, verdict=kind, state=State.COLLAPSED if kind in COLLAPSES else State.DONE)


def state_now(status: Status, *, held: bool, complete: bool = True) -> State:
    """The state of a run at this moment. `held`: a live process holds its lease; `complete`: all evaluations that are
    asked of it are there.
    """
    if status.finished_well and complete:
        return status.state
    if held:
        return State.RUNNING
    if status.finished_well:
        return State.FAILED if status.reason else State.UNJUDGED  # by that an evaluation failed
    return State.INTERRUPTED if status.state == State.RUNNING else status.state


@dataclass(frozen=True, kw_only=True)
class EvaluationRecord(Record):
    """One evaluation of a run, `evaluations/*.json`: what was asked (`settings`), and what came of it."""

    what = "an evaluation"
    remedy = "`sslrun evaluate RUN` or its sweep computes it again."

    kind: str
    at: int | None = None
    """The epoch of the kept encoder that was judged; None for the last one."""
    identity: str
    numerics: int = 1
    """Of two with the same settings the higher one counts: see `recipe.identity.evaluation_numerics`."""
    settings: dict[str, Any]
    metrics: dict[str, Metric]
    """By name, with a baseline's in front: `untrained.accuracy`."""
    seconds: float | None = None

    @property
    def name(self) -> CellName:
        """What it is called."""
        return CellName(self.kind, self.at)


@dataclass(frozen=True, kw_only=True)
class CellRecord:
    """One cell of a grid: its label on each axis, its seed, its run, and the identities of its evaluations by name."""

    labels: dict[str, str]
    seed: int
    identity: str
    evaluations: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> tuple[frozenset[tuple[str, str]], int]:
        """What tells it from the grid's other cells."""
        return frozenset(self.labels.items()), self.seed

    @property
    def asked(self) -> list[tuple[CellName, str]]:
        """Its evaluations: names and identities."""
        return [(CellName.parse(name), identity) for name, identity in self.evaluations.items()]

    def __str__(self) -> str:
        return " · ".join([*(f"{axis} {label}" for axis, label in self.labels.items()), f"seed {self.seed}"])


@dataclass(frozen=True, kw_only=True)
class GridRecord(Record):
    """Which cell of a grid is which run, `<results>/sweeps/<grid>.json`; reports join on it.

    It holds nothing that the grid's file and the data don't say, and is written anew by each sweep. Under `--small` or
    `--set` it is another file, `<grid>+small.json` and the like; the second grid of one name is `<grid>-2.json`.
    """

    what = "a sweep"
    remedy = "Remove the file; `sslrun sweep` writes it anew."

    grid: str
    notes: str | None = None
    axes: dict[str, tuple[str, ...]]
    seeds: tuple[int, ...] = ()
    baseline: dict[str, str] | None = None
    cells: tuple[CellRecord, ...]
    source: str | None = None
    """The grid's file, from the root on."""
    base: str | None = None
    """What that file calls its base."""
    digest: str | None = None
    """Of the file as it was swept, SHA-256 in hex."""

    def __post_init__(self) -> None:
        for cell in self.cells:
            if missing := self.axes.keys() - cell.labels.keys():
                raise ValueError(f"a cell has no label of {', '.join(sorted(missing))}")
            _ = cell.asked  # raises for what is no name of an evaluation

    def apart(self, results: Path) -> "GridRecord":
        """The same, under the first name that is not another grid's in `results`: its own, or that with a number."""
        for name in chain([self.grid], (f"{self.grid}-{number}" for number in count(2))):
            try:
                if self._continues(read(GridRecord, _record_path(results, name))):
                    break
            except InputError:  # not there, or of no use to anybody
                break
        return replace(self, grid=name)

    def _continues(self, there: "GridRecord") -> bool:
        """Whether this is the same grid, perhaps with other labels or seeds by now; or nothing is lost if it goes."""
        same = self.source is not None and (self.source, self.base) == (there.source, there.base)
        ours = {cell.key: cell.identity for cell in self.cells}
        return (same and self.axes.keys() == there.axes.keys()) or all(
            ours.get(cell.key) == cell.identity for cell in there.cells
        )

    def write(self, results: Path) -> "GridRecord":
        """Keep it where it replaces no other grid's; what was written."""
        with locked(results / ".lock"):
            kept = self.apart(results)
            write_json(_record_path(results, kept.grid), asdict(kept))
        return kept


def _record_path(results: Path, name: str) -> Path:
    return results / "sweeps" / f"{name}.json"


def grid_records(results: Path, left_out: LeftOut) -> dict[str, GridRecord]:
    """The records of all grids that were swept into a results folder, by name."""
    records = read_all(GridRecord, sorted((results / "sweeps").rglob("*.json")), left_out)
    return {record.grid: record for record in records}


R = TypeVar("R", bound=Record)
_READERS: "dict[type[Record], TypeAdapter[Any]]" = {}
"""Made once each: `read` is called for thousands of files."""


def read(record: type[R], path: Path) -> R:
    """The record in a file; keys of other versions are passed over. Raises `Unreadable` naming the file and what is
    wrong with it.
    """
    from pydantic import TypeAdapter, ValidationError  # here, since they take a while to import

    if record not in _READERS:
        _READERS[record] = TypeAdapter(record)
    try:
        found: R = _READERS[record].validate_json(path.read_bytes(), strict=True)
        return found
    except FileNotFoundError:
        what = f"{record.absent}: no {path.name}"
    except OSError as error:
        what = f"can't be read: {error.strerror or error}"
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        spot = "".join(f"{part}: " for part in [".".join(map(str, first["loc"]))] if part)
        kind = "damaged" if first["type"] == "json_invalid" else f"foreign: not {record.what}"
        what = f"{kind}: {spot}{first['msg'].removeprefix('Value error, ')}"
    raise Unreadable(what, where=str(path), remedy=record.remedy)


def read_all(record: type[R], paths: Iterable[Path], left_out: LeftOut | None) -> Iterator[R]:
    """The records in those files but for what systems leave beside them; those that can't be read go to `left_out`, or
    raise `InputError` if that is none."""
    for path in paths:
        if litter(path.name):
            continue
        try:
            yield read(record, path)
        except InputError as error:
            if left_out is None:
                raise
            left_out.append((str(path), error.what))
