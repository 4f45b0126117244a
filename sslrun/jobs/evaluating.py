"""Evaluate a run: its encoder, its untrained self and raw pixels; each evaluation a cell of its own.

A cell is one JSON file under the run's `evaluations/`, named by what was asked; asking again reads the file. Who
judges is in `evaluation.judge`.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import nn

from sslrun import console
from sslrun.data import Dataset
from sslrun.errors import DataError, InputError, Unreadable
from sslrun.evaluation.judge import Judge, Subject
from sslrun.files import read_json
from sslrun.jobs.places import Places, choose_device, identify, images_folder, places
from sslrun.jobs.threads import use_threads
from sslrun.networks.group import ALONE, Group
from sslrun.networks.weights import load_weights
from sslrun.recipe import read_recipe
from sslrun.recipe.combining import on_device
from sslrun.recipe.identity import evaluation_identity, evaluation_numerics, science
from sslrun.recipe.plugins import digests
from sslrun.recipe.schema import Recipe
from sslrun.recipe.schema.judging import EvaluationSection
from sslrun.runs.cells import CellName
from sslrun.runs.folder import RunFolder
from sslrun.runs.records import EvaluationRecord
from sslrun.training.starting import starting_encoder

Asked = tuple[CellName, EvaluationSection]
"""An evaluation, by name, and its options."""


def asked_for(recipe: Recipe) -> list[Asked]:
    """The evaluations that a recipe asks for: of the last encoder, then of those that it keeps on the way."""
    epochs = (None, *(recipe.training.keep_encoder_at if recipe.evaluation.kept else ()))
    return [(CellName(kind, at), section) for at in epochs for kind, section in recipe.judged().items()]


def evaluation_job(
    folder: RunFolder,
    recipe: Recipe,
    where: Places,
    asked: Iterable[Asked],
    beat: Callable[[], None] = lambda: None,
    group: Group = ALONE,
) -> list[EvaluationRecord]:
    """The cells of a finished run that are `asked` for; those that are missing or damaged are computed and kept.

    Each cell holds the run's metrics and, as `untrained.*` and `pixels.*`, those of the recipe's baselines. `beat` is
    called all along. The processes of a `group` all call this; the one that leads reads and writes the cells, and
    the others return those that are there. Raises `InputError` where an encoder was not kept.
    """
    wanted = [(name, section, cell_identity(folder.identity, recipe, name, section)) for name, section in asked]
    there = {identity: _kept(folder, name, identity) for name, _, identity in wanted}
    for _, section, identity in wanted:
        if there[identity] is None:
            section.suits(where.data.counts)  # before any is computed
    judge: Judge | None = None
    subjects: dict[int | None, Subject] = {}
    cells = []
    for name, section, identity in wanted:
        cell = there[identity]
        if group.any(group.leads and cell is None):
            begun = time.perf_counter()
            judge = judge or Judge(recipe, where.data, where.results, choose_device(recipe.run.device), beat, group)
            if name.epoch not in subjects:  # the features of one encoder at a time
                subjects = {name.epoch: judge.subject(kept_encoder(folder, judge, name.epoch))}
            metrics = judge.cell(section, subjects[name.epoch])
            seconds = round(time.perf_counter() - begun, 3)
            cell = EvaluationRecord(
                kind=name.kind,
                at=name.epoch,
                identity=identity,
                numerics=evaluation_numerics(recipe),
                settings=_settings(recipe, section),
                metrics=metrics,
                seconds=seconds,
            )
            if group.leads:
                folder.write_evaluation(cell)
        if cell is not None:
            cells.append(cell)
    return cells


def _kept(folder: RunFolder, name: CellName, identity: str) -> EvaluationRecord | None:
    """The evaluation that is there, or none; one that can't be read is none, and named."""
    try:
        return folder.read_evaluation(name, identity)
    except Unreadable as error:
        console.error(f"{error.where}: {error.what}; it is computed again")
        return None


def cell_identity(run: str, recipe: Recipe, name: CellName, section: EvaluationSection) -> str:
    """The identity of one evaluation of the run with identity `run`, as `recipe` asks for it."""
    return evaluation_identity(run, str(name), _settings(recipe, section), evaluation_numerics(recipe))


def _settings(recipe: Recipe, section: EvaluationSection) -> dict[str, Any]:
    return science(section) | {"baselines": list(recipe.evaluation.baselines)}


def evaluate_run(
    folder: RunFolder,
    kinds: Sequence[str],
    changes: Sequence[str] = (),
    *,
    at: int | None = None,
    data: Path | Dataset | None = None,
    device: str | None = None,
    imports: Sequence[str | Path] = (),
) -> tuple[Recipe, list[EvaluationRecord]]:
    """Judge a kept run by `kinds` of evaluation (those its recipe asks for if none is named); its recipe, the cells.

    `at` judges the encoder kept after that epoch. `changes` may set `evaluation.*` and `run.*` fields only; `imports`
    are plug-ins that judge it. Raises as `asking_recipe` and `evaluate_by` do.
    """
    recipe = asking_recipe(folder, kinds, changes, device, imports)
    return recipe, evaluate_by(recipe, folder, kinds, at=at, data=data)


def asking_recipe(
    folder: RunFolder,
    kinds: Sequence[str],
    changes: Sequence[str] = (),
    device: str | None = None,
    imports: Sequence[str | Path] = (),
    typed: str | None = None,
) -> Recipe:
    """The recipe of a kept run, which asks for `kinds` even if it did not, with `changes` over it.

    `typed` is what asked for the kinds, for messages; the option of each if none.
    """
    asked = [(typed or f"--{kind.replace('_', '-')}", f"evaluation.{kind}={{}}") for kind in kinds]
    return read_recipe(folder.recipe, [*asked, *changes, *on_device(device)], imports=imports)


def evaluate_by(
    recipe: Recipe,
    folder: RunFolder,
    kinds: Sequence[str],
    *,
    at: int | None = None,
    data: Path | Dataset | None = None,
    group: Group = ALONE,
) -> list[EvaluationRecord]:
    """Judge a kept run as `recipe` asks: by `kinds`, or by all that it asks for if none is named. The processes of a
    `group` all call this.

    Raises `InputError` if the recipe pretrains something else, and `DataError` if the images or the plug-ins here are
    not those that the run was pretrained with. Plug-ins that it was not pretrained with may judge it.
    """
    where = places(recipe, folder.path.parent, data or images_folder(folder, recipe))
    check_pretrained(recipe, folder, where)
    sections = recipe.judged()
    if compares := [kind for kind in kinds if kind not in sections]:
        raise InputError(
            f"{', '.join(compares)} compares labels, and {recipe.data.kind} data have none",
            where=folder.path.name,
            remedy=f"`sslrun embed {folder.path.name} --sheet neighbours.png` shows what the encoder finds alike.",
        )
    use_threads(recipe.run.threads, folder.status.threads, choose_device(recipe.run.device).type)
    asked = [(CellName(kind, at), section) for kind, section in sections.items() if not kinds or kind in kinds]
    return evaluation_job(folder, recipe, where, asked, group=group)


def check_pretrained(recipe: Recipe, folder: RunFolder, where: Places) -> None:
    """Raise `InputError` if the recipe pretrains something else than the run, and `DataError` if the images or plug-ins
    here are not those that it was pretrained with."""
    pretrained = recipe.model_copy(update={"imports": tuple(folder.record.recipe.get("imports", ()))})
    if identify(pretrained, where.data) != folder.identity:
        if science(pretrained) != science(read_recipe(folder.recipe)):
            raise InputError(
                "this changes what was pretrained, not only how it is judged",
                where="--set",
                remedy="Only evaluation.* and run.* can change here; `sslrun pretrain` makes another run.",
            )
        if changed := _changed_plugins(pretrained, folder):
            copies = [path for name in changed for path in (folder.plugins / f"{name}.py", folder.plugins / name)]
            own = " ".join(f"--import {path}" for path in copies if path.exists())
            raise DataError(
                f"the source of {' and '.join(changed)} has changed since this run was pretrained",
                where=folder.path.name,
                remedy=(f"The run has a copy of it as it was: {own}\n" if own else "Put it back as it was. ")
                + "`sslrun pretrain` makes another run by that of today.",
            )
        raise DataError(
            "the images found here are not those that this run was pretrained on: some were added, removed or changed "
            "since, or it is another folder",
            where=where.data.place,
            remedy="Put them back as they were, or give the right folder with --data (or --set data.path=). `sslrun "
            "pretrain` makes another run of these.",
        )


def _changed_plugins(recipe: Recipe, folder: RunFolder) -> list[str]:
    """The plug-ins whose source is another than the run's environment says."""
    with suppress(OSError, ValueError, AttributeError):
        kept = read_json(folder.environment).get("plugins") or {}
        return [name for name, digest in digests(recipe.imports).items() if kept.get(name, digest) != digest]
    return []


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
