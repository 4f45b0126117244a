"""Where all runs of a results folder stand, and the cells of every sweep in it: what `sslrun status` prints.

It reads folders only, so it works from anywhere, during a sweep and long after.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sslrun.errors import InputError
from sslrun.files import read_json
from sslrun.runs.cells import CellName
from sslrun.runs.folder import RunFolder
from sslrun.runs.resolving import run_names
from sslrun.runs.standing import Standing, cell_state, last_lines, standing

_STATES = ("done", "collapsed", "pruned", "running", "interrupted", "queued", "waiting", "failed")
_LOG_LINES = 3


@dataclass(frozen=True)
class Run:
    """One run: its folder's name, where it stands, and the labels of the first grid's cell that it is."""

    name: str
    standing: Standing
    labels: str


@dataclass(frozen=True)
class Overview:
    """All runs, the cells of each grid by state, and (path, why) of what could not be read."""

    results: Path
    runs: tuple[Run, ...]
    grids: dict[str, dict[str, int]]
    left_out: tuple[tuple[str, str], ...]

    def lines(self) -> Iterator[str]:
        """For people: a line for each grid, each running run, and each failed one with its reason and last words."""
        if not self.runs and not self.grids:
            yield f"no runs in {self.results}"
            return
        for name, cells in self.grids.items():
            yield f"{name}   {sum(cells.values())} cells: {_told(cells)}"
        yield f"{self.results}   {len(self.runs)} runs: {_told(Counter(run.standing.state for run in self.runs))}"
        for run in self.runs:
            if run.standing.state == "running":
                yield f"running       {run.name}   {_progress(run.standing)}{_labels(run)}"
        for run in self.runs:
            found = run.standing
            if found.reason and found.state != "running":
                yield f"{found.state:13} {run.name}   {found.reason.splitlines()[0]}{_labels(run)}"
                yield from (f"    {line}" for line in last_lines(RunFolder(self.results / run.name), _LOG_LINES))
        yield from (f"left out      {path}: {why}" for path, why in self.left_out)

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        runs = [{"run": run.name, "labels": run.labels, **asdict(run.standing)} for run in self.runs]
        return {"grids": self.grids, "runs": runs, "left_out": [list(pair) for pair in self.left_out]}


def overview(results: Path) -> Overview:
    """Read a results folder. Raises `InputError` if there is none."""
    if not results.is_dir():
        raise InputError("no such results folder", where=str(results), remedy="Name one: sslrun status DIR")
    left_out: list[tuple[str, str]] = []
    found: dict[str, tuple[str, Standing]] = {}
    for name in run_names(results):
        try:
            folder = RunFolder(results / name)
            found[folder.identity] = name, standing(folder)
        except (InputError, OSError) as error:
            left_out.append((str(results / name), str(error).splitlines()[0]))
    grids: dict[str, dict[str, int]] = {}
    labels: dict[str, str] = {}
    for path in sorted((results / "sweeps").glob("*.json")):
        try:
            sweep = read_json(path)
            grids[str(sweep["grid"])] = _cells(results, sweep["cells"], found)
            for cell in sweep["cells"]:
                words = [*(f"{axis} {label}" for axis, label in cell["labels"].items()), f"seed {cell['seed']}"]
                labels.setdefault(cell["identity"], " · ".join(words))
        except (OSError, ValueError, KeyError, TypeError) as error:
            left_out.append((str(path), f"not a sweep: {error}"))
    runs = tuple(Run(name, state, labels.get(identity, "")) for identity, (name, state) in found.items())
    return Overview(results, runs, grids, tuple(left_out))


def _cells(results: Path, cells: list[dict[str, Any]], runs: dict[str, tuple[str, Standing]]) -> dict[str, int]:
    """How many cells of a grid are in which state."""
    states: Counter[str] = Counter()
    for cell in cells:
        name, run = runs.get(cell["identity"], ("", None))
        folder = RunFolder(results / name)
        asked = {CellName.parse(name): found for name, found in cell["evaluations"].items()}
        states[cell_state(folder, run.state, run.reason, asked) if run else "waiting"] += 1
    return {state: states[state] for state in _STATES if states[state]}


def _told(states: dict[str, int]) -> str:
    return " · ".join(f"{states[state]} {state}" for state in _STATES if states.get(state)) or "none"


def _progress(found: Standing) -> str:
    parts = [
        f"epoch {found.epoch}/{found.epochs}" if found.epochs else "starting",
        "" if found.loss is None else f"loss {found.loss:.3f}",
        "" if found.std is None else f"std {found.std:.2f}",
        "" if found.images_per_second is None else f"{found.images_per_second:,.0f} img/s",
        "" if found.seconds_left is None else f"{found.seconds_left / 60:.0f} min left",
    ]
    return "  ".join(part for part in parts if part)


def _labels(run: Run) -> str:
    return f"   ({run.labels})" if run.labels else ""
