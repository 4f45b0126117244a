"""Evaluate a run: its encoder, its untrained self and raw pixels; each kind of evaluation a cell of its own.

A cell is one JSON file under the run's `evaluations/`, named by what was asked; asking again reads the file. Who
judges is in `evaluation.judge`.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sslrun.data import Dataset
from sslrun.errors import DataError, InputError
from sslrun.evaluation.judge import Judge, Subject
from sslrun.jobs.places import Places, choose_device, identify, places
from sslrun.networks.backbones import load_weights
from sslrun.recipe import read_recipe
from sslrun.recipe.identity import evaluation_identity, science
from sslrun.recipe.schema import Recipe
from sslrun.recipe.schema.base import Section
from sslrun.runs.cells import CellName
from sslrun.runs.folder import RunFolder
from sslrun.runs.records import EvaluationRecord
from sslrun.training.starting import starting_encoder

KINDS = ("knn", "linear", "authors_probe", "udg", "analyses")


def asked_for(recipe: Recipe) -> dict[str, Section]:
    """The evaluations that a recipe asks for, by kind."""
    sections = {kind: getattr(recipe.evaluation, kind) for kind in KINDS}
    return {kind: section for kind, section in sections.items() if section is not None}


def epochs_asked_for(recipe: Recipe) -> tuple[int | None, ...]:
    """After which epochs a recipe asks for them: None is the last one, others are those of kept encoders."""
    return (None, *(recipe.training.keep_encoder_at if recipe.evaluation.kept else ()))


def evaluation_job(
    folder: RunFolder,
    recipe: Recipe,
    where: Places,
    sections: Mapping[str, Section],
    *,
    at: int | None = None,
    beat: Callable[[], None] = lambda: None,
) -> list[EvaluationRecord]:
    """The cells of a finished run, one a kind in `sections`; those that are missing are computed and kept.

    `at` judges the encoder kept after that epoch instead of the last one. Each cell holds the run's metrics and, as
    `untrained.*` and `pixels.*`, those of the recipe's baselines. `beat` is called all along.
    """
    judge: Judge | None = None
    subject: Subject | None = None
    cells = []
    for kind, section in sections.items():
        settings = _settings(recipe, section)
        name = CellName(kind, at)
        identity = cell_identity(folder.identity, recipe, name, section)
        cell = folder.read_evaluation(name, identity)
        if cell is None:
            begun = time.perf_counter()
            if judge is None or subject is None:
                judge = Judge(recipe, where.data, where.results, choose_device(recipe.run.device), beat)
                subject = judge.subject(kept_encoder(folder, judge, at))
            metrics = judge.cell(kind, section, subject)
            seconds = round(time.perf_counter() - begun, 3)
            cell = EvaluationRecord(
                kind=kind, at=at, identity=identity, settings=settings, metrics=metrics, seconds=seconds
            )
            folder.write_evaluation(cell)
        cells.append(cell)
    return cells


def cell_identity(run: str, recipe: Recipe, name: CellName, section: Section) -> str:
    """The identity of one evaluation of the run with identity `run`, as `recipe` asks for it."""
    return evaluation_identity(run, str(name), _settings(recipe, section))


def _settings(recipe: Recipe, section: Section) -> dict[str, Any]:
    return science(section) | {"baselines": list(recipe.evaluation.baselines)}


def evaluate_run(
    folder: RunFolder,
    kinds: Sequence[str],
    changes: Sequence[str] = (),
    *,
    at: int | None = None,
    data: Path | Dataset | None = None,
    device: str | None = None,
) -> list[EvaluationRecord]:
    """Judge a kept run by `kinds` of evaluation (those its recipe asks for if none is named); the cells.

    `changes` may set `evaluation.*` and `run.*` fields only. Raises `InputError` if they change what was pretrained,
    and `DataError` if the images here are not those it was pretrained on.
    """
    changes = [*changes, *([f"run.device={device}"] if device else [])]
    changes = [f"evaluation.{kind}={{}}" for kind in kinds if not _has(folder, kind)] + changes
    recipe = read_recipe(folder.recipe, changes)
    where = places(recipe, folder.path.parent, data)
    if identify(recipe, where.data) != folder.identity:
        original = read_recipe(folder.recipe)
        if science(recipe) != science(original):
            raise InputError(
                "this changes what was pretrained, not only how it is judged",
                where="--set",
                remedy="Only evaluation.* and run.* can change here; `sslrun pretrain` makes another run.",
            )
        raise DataError(
            "the images found here are not those that this run was pretrained on",
            where=str(where.data.root),
            remedy="Give the right folder with --data.",
        )
    sections = {kind: getattr(recipe.evaluation, kind) for kind in kinds} if kinds else asked_for(recipe)
    # The run's own threads, as after its pretraining: with others the same cell would have other bits.
    torch.set_num_threads(folder.status.threads or recipe.run.threads or torch.get_num_threads())
    return evaluation_job(folder, recipe, where, sections, at=at)


def _has(folder: RunFolder, kind: str) -> bool:
    return getattr(read_recipe(folder.recipe).evaluation, kind) is not None


def kept_encoder(folder: RunFolder, judge: Judge, at: int | None) -> nn.Module:
    """The run's last encoder, or that of epoch `at`. Raises `InputError` if it was not kept."""
    path = folder.encoder if at is None else folder.encoder_at(at)
    if not path.exists():
        kept = ", ".join(map(str, folder.kept_epochs())) or "none"
        what = "this run has no encoder yet" if at is None else f"no encoder was kept after epoch {at} (kept: {kept})"
        raise InputError(what, where=str(folder.path), remedy="`sslrun pretrain` the recipe first; it goes on.")
    encoder = starting_encoder(judge.recipe, judge.channels)
    load_weights(encoder, path)
    return encoder
