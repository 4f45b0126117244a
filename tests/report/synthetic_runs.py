"""Run folders as training leaves them, with made-up numbers, for tests of what reads them."""

import hashlib
import json
import math
from dataclasses import asdict
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from sslrun.recipe import read_recipe, to_yaml
from sslrun.recipe.schema import Collapse, Recipe
from sslrun.runs.folder import RunFolder
from sslrun.runs.records import EvaluationRecord, State, Status
from sslrun.runs.verdict import evidence

D = 16


def identity_of(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


@cache
def _recipe(changes: tuple[str, ...]) -> tuple[str, dict[str, Any]]:
    recipe: Recipe = read_recipe("quickstart", changes)
    return to_yaml(recipe), recipe.model_dump(mode="json")


def make_run(
    results: Path,
    seed: int,
    *changes: str,
    knn: float | None = 0.95,
    state: str = "done",
    verdict: str = "none",
    epochs: int = 10,
    name: str = "quick",
    reason: str | None = None,
) -> RunFolder:
    """A run of quickstart with `changes` (`key=value`), at kNN accuracy `knn` (no evaluations if None)."""
    text, recipe = _recipe((*changes, "seed=0"))
    text, recipe = text.replace("seed: 0", f"seed: {seed}", 1), {**recipe, "seed": seed, "name": name}
    identity = identity_of(changes, seed)
    folder = RunFolder(results / f"{name}-{identity[:16]}")
    (folder.path / "evaluations").mkdir(parents=True)
    folder.recipe.write_text(text)
    rows, history = _history(epochs, seed, verdict)
    folder.history.path.write_text(history)
    status = Status(
        state=State(state),
        created="2026-01-01T00:00:00Z",
        seconds=60.0 + seed,
        epoch=epochs,
        epochs=epochs,
        verdict=verdict if state in ("done", "collapsed") else None,
        evidence=evidence(rows[-1], Collapse()),
        reason=reason,
    )
    (folder.path / "status.json").write_text(json.dumps(asdict(status)))
    (folder.path / "environment.json").write_text(json.dumps({"torch": "2.9", "cpu": "a <b>fast</b> one", "gpus": []}))
    (folder.path / "identity.json").write_text(json.dumps({"identity": identity, "recipe": recipe}))
    if knn is not None and state in ("done", "collapsed"):
        for kind, accuracy in (("knn", knn), ("linear", knn + 0.01)):
            write_cell(folder, kind, accuracy, recipe["evaluation"][kind])
    return folder


@cache
def _history(epochs: int, seed: int, verdict: str) -> tuple[list[dict[str, Any]], str]:
    rows = [row(epoch, epochs, seed, verdict) for epoch in range(epochs + 1)]
    return rows, "".join(json.dumps(each) + "\n" for each in rows)


def write_cell(folder: RunFolder, kind: str, accuracy: float, settings: dict[str, Any]) -> str:
    """An evaluation of a run; its identity."""
    identity = identity_of(folder.path.name, kind, sorted(settings.items()))
    metrics = {"accuracy": accuracy, "untrained.accuracy": 0.8, "pixels.accuracy": 0.9}
    cell = EvaluationRecord(kind=kind, identity=identity, settings=settings, metrics=metrics, seconds=1.5)
    folder.evaluation_path(cell.name, identity).write_text(json.dumps(asdict(cell)))
    return identity


def row(epoch: int, epochs: int, seed: int, verdict: str = "none") -> dict[str, Any]:
    """One epoch's row of the history, as training writes it."""
    draw = Random(f"{seed} {epoch}")
    part = epoch / epochs
    alive = 0.02 if verdict == "complete" else 0.85
    spectrum = [math.exp(-0.25 * mode * (1 + 3 * part * (mode > 6))) * (1 + draw.random() / 10) for mode in range(D)]
    return {
        "epoch": epoch,
        "step": epoch * 10,
        "loss": None if epoch == 0 else -1 - 2.6 * (1 - math.exp(-4 * part)) + draw.gauss(0, 0.02),
        "lr": None if epoch == 0 else 0.03,
        "images_per_second": None if epoch == 0 else 5000.0 + draw.random(),
        "std": 0.2 + (alive - 0.2) * (1 - math.exp(-3 * part)) + draw.gauss(0, 0.003),
        "rank": 1.5 + 6 * part + draw.gauss(0, 0.1) if verdict == "none" else 1.4,
        "rank_correlation": 1.3 + 5 * part,
        "cosine": 1 - 0.8 * part,
        "asymmetry": 0.8 * (1 - part),
        "commutator": 0.5 * (1 - part),
        "smallest_eigenvalue": -0.2 * (1 - part),
        "alignment": 0.2 + 0.7 * part,
        "alignments": [min(1.0, 0.1 + part * math.exp(-mode / 12) + 0.1 * draw.random()) for mode in range(D)],
        "p": [math.sqrt(value) * (0.4 + 0.6 * part) + draw.gauss(0, 0.02) for value in spectrum],
        "spectrum": spectrum,
        "proportionality": 0.9 + 0.1 * part,
        "seconds": epoch * 3.0,
    }


__all__ = ["identity_of", "make_run", "row", "write_cell"]
