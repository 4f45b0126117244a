"""Analyse several runs on the same images: `sslrun analyse`. What is missing is computed and kept as cells.

The cells are made as any evaluation's are (`evaluating`); here it is made sure that they can be compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from sslrun.data import Dataset
from sslrun.errors import InputError
from sslrun.evaluation.analyses import analysed, domains_of, plane
from sslrun.evaluation.judge import Judge
from sslrun.evaluation.style_measures import StyleMeasures, measure_style
from sslrun.jobs.evaluating import asking_recipe, evaluate_by, kept_encoder
from sslrun.jobs.places import choose_device, images_folder, places
from sslrun.recipe.identity import science
from sslrun.recipe.schema import Analyses, Recipe
from sslrun.runs.folder import RunFolder
from sslrun.runs.records import EvaluationRecord

_KINDS = (Analyses.NAME,)


@dataclass(frozen=True, eq=False)
class Plane:
    """The features of the analysed images, M of them, in two dimensions."""

    points: NDArray[np.float64]  # (M, 2)
    domains: NDArray[np.int64]  # (M,)
    labels: NDArray[np.int64]  # (M,)
    domain_names: tuple[str, ...]
    class_names: tuple[str, ...]


def analyse_runs(
    folders: Sequence[RunFolder],
    changes: Sequence[str] = (),
    *,
    at: int | None = None,
    data: Path | None = None,
    device: str | None = None,
) -> list[EvaluationRecord]:
    """The cell `analyses` of each run, of its last encoder or that of epoch `at`; `changes` as `evaluate_run` has them.

    Raises `InputError` for runs whose data or whose questions differ, and as `evaluate_run` does.
    """
    recipes = [asking_recipe(folder, _KINDS, changes, device, typed="sslrun analyse") for folder in folders]
    opened = places(recipes[0], data=data or images_folder(folders[0], recipes[0])).data
    about = [_asked(recipe, opened) for recipe in recipes]
    for folder, other in zip(folders[1:], about[1:], strict=True):
        for part, ours in about[0].items():
            if other[part] != ours:
                raise InputError(
                    f"can't be compared with {folders[0].path.name}: {part} {_differing(other[part], ours)}",
                    where=folder.path.name,
                    remedy="Analyses compare encoders on the same images, by the same measures.",
                )
    return [
        evaluate_by(recipe, folder, _KINDS, at=at, data=opened)[0]
        for recipe, folder in zip(recipes, folders, strict=True)
    ]


def style_of(folder: RunFolder, data: Path | None = None) -> StyleMeasures:
    """What a style can do on a run's images, by its recipe's views. Raises `DataError` where the images are gone."""
    recipe = asking_recipe(folder, _KINDS, (), None, typed="sslrun analyse")
    return measure_style(recipe, places(recipe, data=data or images_folder(folder, recipe)).data)


def planes(
    folders: Sequence[RunFolder],
    changes: Sequence[str] = (),
    *,
    at: int | None = None,
    data: Path | None = None,
    device: str | None = None,
) -> list[Plane]:
    """The analysed images as each run's encoder sees them, then as the first run's untrained one does."""
    found: list[Plane] = []
    opened: Dataset | None = None
    for folder in folders:
        recipe = asking_recipe(folder, _KINDS, changes, device, typed="sslrun analyse")
        where = places(recipe, folder.path.parent, opened or data or images_folder(folder, recipe))
        opened = where.data
        judge = Judge(recipe, where.data, where.results, choose_device(recipe.run.device))
        found.append(_plane(judge, kept_encoder(folder, judge, at)))
        if folder is folders[0]:
            untrained = _plane(judge, judge.starting_encoder())
    return [*found, untrained]


def _plane(judge: Judge, encoder: nn.Module) -> Plane:
    subject = judge.subject(encoder)
    images = analysed(_section(judge.recipe), subject)
    points_M2 = plane(subject.features(images))
    return Plane(
        points_M2.numpy(),
        domains_of(images).numpy(),
        images.labels.numpy(),
        images.domain_names,
        images.class_names,
    )


def _section(recipe: Recipe) -> Analyses:
    return recipe.evaluation.analyses or Analyses()


def _asked(recipe: Recipe, data: Dataset) -> dict[str, dict[str, Any]]:
    """What must agree: the images (a limit is on training images only), and what is asked of them."""
    images = science(recipe.data) | {"files": places(recipe, data=data).data.fingerprint}
    images.pop("limit", None)
    return {"data": images, "evaluation.analyses": science(_section(recipe))}


def _differing(theirs: dict[str, Any], ours: dict[str, Any]) -> str:
    names = [name for name in {**theirs, **ours} if theirs.get(name) != ours.get(name)]
    told = (f"{name} {theirs.get(name, 'default')}, not {ours.get(name, 'default')}" for name in names)
    return "has " + "; ".join(told)
