"""What runs cost on this machine: the median of earlier runs of the kind that are here, else a few timed steps.

Two runs cost the same if they share data, views, network, batch, precision, device, threads and number of devices;
methods and optimisers hardly matter beside these. `plan` adds up.
"""

import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from sslrun import console
from sslrun.errors import InputError, RunFailed
from sslrun.files import read_json
from sslrun.jobs.measuring import Cost
from sslrun.recipe.schema import Recipe
from sslrun.runs.folder import RunFolder, run_folders
from sslrun.sweeps.work import Job

Key = str
_MOST_RUNS = 200  # the newest of each kind tell enough
_SILENT_SECONDS = 10.0


class Costs:
    """The costs of a sweep's jobs; `measure` times a job of whose kind no earlier run in `results` tells.

    `anywhere`: jobs go to other machines, so runs of any machine tell. `devices` is how many each job has.
    """

    def __init__(
        self, results: Path, measure: Callable[[Job], Cost], *, anywhere: bool = False, devices: int = 1
    ) -> None:
        self.devices = devices
        self._results, self._known, self._anywhere = results, dict[Key, Cost | None](), anywhere
        self._looked = False
        self._timed, self._said = 0, 0.0
        self._measure = measure
        self._how = "measured on earlier runs"
        self._untimed: list[str] = []

    def of(self, job: Job) -> Cost | None:
        """What the job costs in all; None if its steps could not be timed."""
        if not self._looked:  # there may be thousands of runs, and nothing left to do
            self._known |= earlier(self._results, anywhere=self._anywhere)
            self._looked = True
        kind = recipe_key(job.recipes[0], self.devices)
        if kind not in self._known:
            self._say_timing(job)
            self._timed += 1
            try:
                self._known[kind] = self._measure(job)
                self._how = "measured on a few steps; linear probes and baselines not counted"
            except RunFailed as error:  # its own run will tell: the others need not wait for that
                self._known[kind] = None
                self._untimed.append(
                    f"without a time: {job} and its like. A few steps failed: {error.what}; {error.where}"
                )
        return self._known[kind]

    def _say_timing(self, job: Job) -> None:
        """That a kind of run is timed: of the first, and then now and then, as large grids take minutes."""
        if not self._timed:
            console.error("timing a few steps here, as no earlier run tells what such a run takes")
        elif time.monotonic() - self._said >= _SILENT_SECONDS:
            console.error(f"{self._timed} kind{'s' * (self._timed > 1)} of run timed, now {job}")
        else:
            return
        self._said = time.monotonic()

    def left(self, job: Job, folder: RunFolder | None) -> float | None:
        """Seconds until the job is done whose run has this folder: the epochs and the evaluations that are left."""
        cost = self.of(job)
        if cost is None:
            return None
        evaluation, done = cost.evaluation * len(job.recipes), 0
        if folder is not None:
            # What this run took for a kind of evaluation under other settings tells more than the mean over all kinds.
            took = {found.kind: found.seconds for found in folder.evaluations([]) if found.seconds is not None}
            each = evaluation / max(1, len(job.evaluations))
            evaluation, done = sum(took.get(name.kind, each) for name in job.missing(folder)), folder.status.epoch
        return cost.epoch * max(0, job.recipes[0].training.epochs - done) + evaluation

    def how(self) -> list[str]:
        """How they are known; then a line for each kind that could not be timed."""
        return [self._how, *self._untimed]


def recipe_key(recipe: Recipe, devices: int = 1) -> Key:
    """What makes runs on so many devices cost the same; the recipe's device and threads are resolved."""
    return _key(recipe.model_dump(mode="json"), recipe.run.threads, recipe.run.device, devices)


def _key(recipe: dict[str, Any], threads: int | None, device: str, devices: int) -> Key:
    training = {name: recipe["training"][name] for name in ("batch_size", "precision", "channels_last")}
    parts = [recipe["data"], recipe["views"], recipe["network"], training, threads, device, devices]
    return json.dumps(parts, sort_keys=True)


def expected(recipe: Recipe, results: Path, device: str, threads: int | None, devices: int = 1) -> Cost | None:
    """What earlier runs of this name and kind cost here on so many devices; None if there are none."""
    run = recipe.run.model_copy(update={"device": device, "threads": threads})
    kind = recipe_key(recipe.model_copy(update={"run": run}), devices)
    named = [folder for folder in run_folders(results) if folder.name == recipe.name]
    found = [cost for folder in named[-_MOST_RUNS:] for key, cost in _measured(folder, anywhere=False) if key == kind]
    return _median(found) if found else None


def earlier(results: Path, *, anywhere: bool = False) -> dict[Key, Cost]:
    """The median costs of runs on this host, or anywhere, by key. Folders that can't be read are passed over."""
    found: dict[Key, list[Cost]] = {}
    for folder in run_folders(results):
        for kind, cost in _measured(folder, anywhere):
            found.setdefault(kind, []).append(cost)
    return {kind: _median(costs[-_MOST_RUNS:]) for kind, costs in found.items()}


def _measured(folder: RunFolder, anywhere: bool) -> Iterator[tuple[Key, Cost]]:
    try:
        about = read_json(folder.environment)
        status, row = folder.status, folder.history.last()
        here = anywhere or about["host"] == socket.gethostname()
        if not here or not row or not row["epoch"] or not row["seconds"]:
            return
        recipe = folder.record.recipe
        device = recipe["run"]["device"]
        device = ("cuda" if about["gpus"] else "cpu") if device == "auto" else device.partition(":")[0]
        seconds = sum(found.seconds or 0.0 for found in folder.evaluations([]))
        size = sum(path.stat().st_size for path in folder.path.rglob("*") if path.is_file())
        kind = _key(recipe, status.threads, device, status.processes)
        yield kind, Cost(row["seconds"] / row["epoch"], seconds, size)
    except (OSError, ValueError, KeyError, TypeError, InputError, RunFailed):
        return


def _median(costs: list[Cost]) -> Cost:
    evaluated = [cost.evaluation for cost in costs if cost.evaluation] or [0.0]
    size = round(median(cost.size for cost in costs))
    return Cost(median(cost.epoch for cost in costs), median(evaluated), size)
