"""What runs are compared with, the untrained encoder and raw pixels: their metrics, once for all runs that share them.

They are kept in `<results>/baselines/`, one file for each baseline and evaluation, named by all that decides its
numbers. All of it may be deleted at any time. `judge.Judge` computes what is missing.
"""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from sslrun.data.dataset import Dataset
from sslrun.files import read_json, write_json
from sslrun.networks.group import ALONE, Group
from sslrun.recipe.identity import NUMERICS, evaluation_numerics, science, weights_digest
from sslrun.recipe.schema import Recipe
from sslrun.recipe.schema.judging import EvaluationSection

Metrics = dict[str, Any]
"""Numbers, and what else JSON takes, by name; accuracies are parts of 1."""


def baseline_metrics(
    name: str,
    recipe: Recipe,
    data: Dataset,
    results: Path,
    device: torch.device,
    section: EvaluationSection,
    compute: Callable[[], Metrics],
    group: Group = ALONE,
) -> Metrics:
    """The metrics of baseline `name` (`untrained`, `pixels`) under one evaluation: kept ones, or `compute()`, kept.

    Of several processes the one that leads reads and writes; the others have them only where all compute.
    """
    kind, views = section.NAME, science(recipe.views)
    about = {
        "baseline": name,
        "evaluation": {kind: science(section)},
        "seed": recipe.seed,  # of the untrained weights, and of what a probe draws
        "data": {"fingerprint": data.fingerprint, **science(recipe.data)},
        "views": {key: views[key] for key in section.views_of_baseline(name) if key in views},
        "calibrated": name == "untrained" and evaluation_numerics(recipe) > 1,
        "network": {"weights": weights_digest(recipe), **science(recipe.network)} if name == "untrained" else None,
        "precision": recipe.training.precision,
        "channels_last": recipe.training.channels_last,
        "device": device.type,
        "threads": torch.get_num_threads(),
        "numerics": NUMERICS,
    }
    identity = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    path = results / "baselines" / f"{name}-{kind}-{identity[:16]}.json"
    metrics: Metrics | None = None
    with suppress(OSError, ValueError, KeyError, TypeError):  # none, or damaged: computed (again)
        kept = read_json(path)
        if kept["identity"] == identity:
            metrics = dict(kept["metrics"])
    if group.any(group.leads and metrics is None):
        metrics = compute()
        if group.leads:
            write_json(path, {"identity": identity, "about": about, "metrics": metrics})
    return metrics or {}
