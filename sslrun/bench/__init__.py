"""Measured speed: the training step, views, styles and predictor rules, each against what one would write at first.

`sslrun bench` prints what `measure` yields. Reference and ours take turns in one process, on one CPU thread; every
number is of this machine and this moment. Read `timing` (how), `training`, `images`, `limits`, `reference` (what),
`rows` (the report).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sslrun.bench.images import recipe_images, stand_ins, style_rows, views_rows
from sslrun.bench.limits import device_rows, graph_rows, job_rows, limit_rows, part_rows
from sslrun.bench.rows import Row, as_json, caption, table
from sslrun.bench.timing import Settings, one_thread
from sslrun.bench.training import rule_rows, step_rows
from sslrun.data import Dataset, open_dataset
from sslrun.data.images import ImageSet
from sslrun.recipe import read_recipe
from sslrun.recipe.schema import Recipe

__all__ = ["KINDS", "Row", "Settings", "Subject", "as_json", "caption", "measure", "subject", "table"]

KINDS = {
    "step": step_rows,
    "views": views_rows,
    "style": style_rows,
    "rule": rule_rows,
    "parts": part_rows,
    "limit": limit_rows,
    "graph": graph_rows,
    "jobs": job_rows,
    "devices": device_rows,
}
SHIPPED: dict[str, Sequence[tuple[str, int | None, int | None]]] = {
    "step": [("cifar10_directpred", None, None), ("imagenette_directpred", None, None)],
    "views": [
        ("stl10_directpred", 96, 96),
        ("cifar10_directpred", 32, 32),
        ("imagenette_directpred", 128, 96),
        ("imagenet_directpred", 224, 224),
    ],
    "style": [("stl10_directpred", 96, 96), ("imagenet_directpred", 224, 224)],
    "rule": [("imagenette_directpred", None, None)],
    "parts": [("cifar10_directpred", None, None)],
    "limit": [("cifar10_directpred", None, None), ("stl10_directpred", 96, 96)],
    "graph": [("cifar10_directpred", None, None)],
    "jobs": [("cifar10_directpred", None, None)],
    "devices": [("cifar10_directpred", None, None)],
}
"""What is measured without a recipe: the shipped ones that have bars, with the side of the stored images and of the
views where these are not the recipe's own."""


@dataclass(frozen=True)
class Subject:
    """A recipe to measure, with its `own` images or with stand-ins."""

    recipe: Recipe
    images: ImageSet
    own: bool


def subject(recipe: Recipe, data: Dataset | None, settings: Settings) -> Subject:
    """The recipe with its own images, `data`, if they are there, else with stand-ins."""
    opened = data or open_dataset(recipe.data, Path())
    batch = max(settings.batch, settings.step_batch)
    return Subject(recipe, *recipe_images(opened, batch, own=data is not None))


def measure(
    kinds: Sequence[str], settings: Settings, one: Subject | None = None, changes: Sequence[str] = ()
) -> Iterator[list[Row]]:
    """The rows of each of `kinds` in turn, on one CPU thread; none of what this device does not have.

    They are of the subject, or, without one, of the shipped recipes that have bars, on stand-ins and with `changes`
    laid over them. Raises `RecipeError` for these before anything is measured.
    """
    shipped = {} if one else {name: read_recipe(name, changes) for rows in SHIPPED.values() for name, _, _ in rows}
    for kind in kinds:
        rows: list[Row] = []
        with one_thread():
            for name, stored, size in [("", None, None)] if one else SHIPPED[kind]:
                measured = one or _shipped(shipped[name], stored, size, settings)
                rows += KINDS[kind](measured.recipe, measured.images, settings)
        yield rows


def _shipped(recipe: Recipe, stored: int | None, size: int | None, settings: Settings) -> Subject:
    if stored is None:
        return subject(recipe, None, settings)
    views = recipe.views.model_copy(update={"size": size})
    return Subject(recipe.model_copy(update={"views": views}), ImageSet(*stand_ins(settings.batch, 3, stored)), False)
