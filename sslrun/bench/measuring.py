"""Which measurements are made: those asked for, of one recipe or of the shipped ones that the bars are about."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sslrun.bench.pictures import recipe_images, stand_ins
from sslrun.bench.rows import Row
from sslrun.bench.steps import rule_rows, step_rows
from sslrun.bench.style import SIZES, style_rows
from sslrun.bench.timing import Settings, one_thread
from sslrun.bench.views import SHAPES, views_row
from sslrun.data import open_dataset
from sslrun.data.images import ImageSet
from sslrun.recipe import read_recipe
from sslrun.recipe.schema import Recipe

KINDS = ("step", "views", "style", "rule")
STEP_RECIPES = ("cifar10_directpred", "imagenette_directpred")
RULE_RECIPE = "imagenette_directpred"


@dataclass(frozen=True)
class Subject:
    """A recipe to measure, with its `own` images or with stand-ins."""

    recipe: Recipe
    images: ImageSet
    own: bool


def subject(recipe: Recipe, data: Path | None, settings: Settings) -> Subject:
    """The recipe with its own images if they are below the data folder `data`, else with stand-ins."""
    opened = open_dataset(recipe.data, data or Path())
    batch = max(settings.batch, settings.step_batch)
    return Subject(recipe, *recipe_images(opened, batch, own=data is not None))


def measure(
    kinds: Sequence[str], settings: Settings, one: Subject | None = None, changes: Sequence[str] = ()
) -> Iterator[list[Row]]:
    """The rows of each of `kinds` in turn, on one CPU thread.

    They are of the subject, or, without one, of the shipped recipes that have bars, on stand-ins and with `changes`
    laid over them. Raises `RecipeError` for these before anything is measured.
    """
    shipped = {}
    if one is None:
        shipped = {name: read_recipe(name, changes) for name in {*STEP_RECIPES, RULE_RECIPE, *SHAPES.values()}}
    for kind in kinds:
        with one_thread():
            rows = list(_subject_rows(kind, one, settings) if one else _shipped_rows(kind, shipped, settings))
        yield rows


def _subject_rows(kind: str, one: Subject, settings: Settings) -> Iterator[Row]:
    recipe, images = one.recipe, one.images
    match kind:
        case "step":
            yield from step_rows(recipe, images, settings)
        case "views":
            yield views_row(recipe, images.images[: settings.batch], recipe.views.size, settings)
        case "style":
            yield from style_rows(images.images[: settings.batch], settings)
        case "rule":
            yield from rule_rows(recipe, images, settings)


def _shipped_rows(kind: str, recipes: dict[str, Recipe], settings: Settings) -> Iterator[Row]:
    match kind:
        case "step":
            for name in STEP_RECIPES:
                one = subject(recipes[name], None, settings)
                yield from step_rows(one.recipe, one.images, settings)
        case "views":
            for (stored, size), name in SHAPES.items():
                yield views_row(recipes[name], stand_ins(settings.batch, 3, stored), size, settings)
        case "style":
            for size in SIZES:
                yield from style_rows(stand_ins(settings.batch, 3, size), settings)
        case "rule":
            one = subject(recipes[RULE_RECIPE], None, settings)
            yield from rule_rows(one.recipe, one.images, settings)
