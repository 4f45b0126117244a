"""What a tracker is told of a run, and how trackers register.

A tracker is a function that begins with one run and gives what takes the rest (`Telling`). One of your own needs one
file: `@tracker("mine")` over such a function, named by `--import` (`sslrun.extend` has what it needs).
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Protocol

from sslrun.errors import InputError
from sslrun.runs.folder import RunFolder
from sslrun.runs.history import Row, is_number
from sslrun.runs.records import Status
from sslrun.runs.table import evaluation_numbers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Setting = str | int | float | bool
_NOT_SCIENCE = ("name", "run", "evaluation", "imports")
_LAST = ("loss", "std", "rank", "alignment")


class NotYet(InputError):
    """Of this run there is nothing yet that a tracker takes."""


@dataclass(frozen=True)
class Told:
    """One run. `project` is the grid that it is told as a part of, or `sslrun`; `labels` are its own on the axes."""

    folder: RunFolder
    project: str
    labels: Mapping[str, str]
    varied: frozenset[str]
    """The settings in which the runs differ that are told together."""

    @property
    def name(self) -> str:
        """Its folder's name."""
        return self.folder.path.name

    @property
    def settings(self) -> dict[str, Setting]:
        """The options of its recipe that may change numbers, dotted; lists as text."""
        return settings(self.folder)

    @property
    def table(self) -> dict[str, Setting]:
        """What tells it from the others: its labels, the seed, the settings that vary."""
        return {**self.labels, **{name: value for name, value in self.settings.items() if name in self.varied}}

    @property
    def began(self) -> float:
        """When it was started, in seconds since 1970; each row says how many seconds later it was."""
        status = self.folder.status
        return datetime.fromisoformat(status.started or status.created).timestamp()

    def outcome(self) -> dict[str, float]:
        """The last epoch's signals and the numbers of all evaluations, as `load_runs` calls them."""
        last = self.folder.history.last() or {}
        asked = self.folder.record.recipe.get("evaluation") or {}
        found = {str(name): value for name, value in evaluation_numbers(self.folder.evaluations([]), asked).items()}
        return {name: float(value) for name, value in {**_only(last, _LAST), **found}.items() if is_number(value)}


class Telling(Protocol):
    """What goes on being told of one run."""

    def tell(self, rows: Sequence[Row]) -> None:
        """Some epochs more, in order: rows of its history."""

    def picture(self, name: str, epoch: int, figure: "Figure") -> None:
        """A figure of where it is after an epoch."""

    def end(self, told: Told, status: Status) -> None:
        """There is nothing more to come, for now; `told.outcome()` has what came of it."""


Begin = Callable[[Told, Path], Telling]


@dataclass(frozen=True)
class Tracker:
    """A way to tell of runs, and the package that it needs."""

    begin: Begin
    package: str | None = None


TRACKERS: dict[str, Tracker] = {}


def tracker(name: str, package: str | None = None) -> Callable[[Begin], Begin]:
    """Register a function as the tracker `name`: given a run and the folder to write to, it begins to tell of it.

    Beginning with a run again replaces what was told of it before, as far as the tracker lets one. `package` is an
    importable module without which it can't be used.
    """

    def register(begin: Begin) -> Begin:
        TRACKERS[name] = Tracker(begin, package)
        return begin

    return register


def choose(name: str) -> Tracker:
    """The tracker of that name. Raises `InputError` if there is none, or its package is not installed."""
    if name not in TRACKERS:
        raise InputError(f"no tracker {name!r}", where="--to", remedy=f"It is one of {', '.join(TRACKERS)}.")
    found = TRACKERS[name]
    if found.package is not None and find_spec(found.package) is None:
        raise InputError(
            f"{name} needs a package that is not installed: {found.package}",
            where="--to",
            remedy=f"pip install {found.package}",
        )
    return found


def settings(folder: RunFolder) -> dict[str, Setting]:
    """The options of a run's recipe that may change numbers, dotted; lists as text, null left out."""
    found: dict[str, Setting] = {}

    def add(value: Any, name: str) -> None:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                add(inner, f"{name}.{key}" if name else str(key))
        elif isinstance(value, str | int | float | bool):
            found[name] = value
        elif value is not None:
            found[name] = str(value)

    add({name: value for name, value in public_recipe(folder).items() if name not in _NOT_SCIENCE}, "")
    return found


def public_recipe(folder: RunFolder) -> dict[str, Any]:
    """A run's recipe without what it says of the machine: of paths the last part is left."""
    recipe: dict[str, Any] = json.loads(json.dumps(folder.record.recipe))
    recipe.pop("run", None)
    for section, option in (("data", "path"), ("network", "weights")):
        inside = recipe.get(section) or {}
        if isinstance(inside.get(option), str):
            inside[option] = PurePath(inside[option]).name
    return recipe


def numbers(row: Row) -> dict[str, float]:
    """The plain numbers of a history's row, those of the epoch itself left out."""
    return {
        name: float(value)
        for name, value in row.items()
        if name not in ("epoch", "step") and is_number(value) and math.isfinite(value)
    }


def _only(row: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: row[name] for name in names if name in row}
