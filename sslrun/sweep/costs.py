"""What runs cost on this machine: from the histories of runs that are here, else from a few timed steps.

Two runs cost the same if they share data, views, network, batch, precision, device and threads; methods and optimisers
hardly matter beside these.
"""

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from sslrun.errors import InputError, RunFailed
from sslrun.files import read_json
from sslrun.recipe.schema import Recipe
from sslrun.runs.folder import RunFolder, run_folders

Key = str
_MOST_RUNS = 200  # the newest of each kind tell enough


@dataclass(frozen=True)
class Cost:
    """What one run takes: seconds an epoch, seconds of all evaluations, bytes on the disk."""

    epoch: float
    evaluation: float
    size: int


def key(recipe: dict[str, Any], threads: int | None, device: str) -> Key:
    """What makes runs cost the same; `recipe` as its JSON values."""
    training = {name: recipe["training"][name] for name in ("batch_size", "precision", "channels_last")}
    parts = [recipe["data"], recipe["views"], recipe["network"], training, threads, device]
    return json.dumps(parts, sort_keys=True)


def recipe_key(recipe: Recipe) -> Key:
    """The key of a recipe whose device and threads are resolved."""
    return key(recipe.model_dump(mode="json"), recipe.run.threads, recipe.run.device)


def earlier(results: Path) -> dict[Key, Cost]:
    """The median costs of runs on this host, by key. Folders that can't be read are passed over."""
    found: dict[Key, list[Cost]] = {}
    for folder in run_folders(results):
        for kind, cost in _measured(folder):
            found.setdefault(kind, []).append(cost)
    return {kind: _median(costs[-_MOST_RUNS:]) for kind, costs in found.items()}


def evaluation_seconds(folder: RunFolder) -> dict[str, float]:
    """What each kind of evaluation took that is in a run's folder; those that can't be read are passed over."""
    return {found.kind: found.seconds for found in folder.evaluations([]) if found.seconds is not None}


def _measured(folder: RunFolder) -> Iterator[tuple[Key, Cost]]:
    try:
        about = read_json(folder.environment)
        status, row = folder.status, folder.history.last()
        if about["host"] != socket.gethostname() or not row or not row["epoch"] or not row["seconds"]:
            return
        recipe = folder.record.recipe
        device = recipe["run"]["device"]
        device = ("cuda" if about["gpus"] else "cpu") if device == "auto" else device.partition(":")[0]
        seconds = sum(found.seconds or 0.0 for found in folder.evaluations([]))
        size = sum(path.stat().st_size for path in folder.path.rglob("*") if path.is_file())
        yield key(recipe, status.threads, device), Cost(row["seconds"] / row["epoch"], seconds, size)
    except (OSError, ValueError, KeyError, TypeError, InputError, RunFailed):
        return


def _median(costs: list[Cost]) -> Cost:
    evaluated = [cost.evaluation for cost in costs if cost.evaluation] or [0.0]
    size = round(median(cost.size for cost in costs))
    return replace(costs[0], epoch=median(cost.epoch for cost in costs), evaluation=median(evaluated), size=size)
