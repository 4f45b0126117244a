"""What a search may vary, and the recipes of its points: the `search` block of a grid, checked before a start.

`schema/search.py` is the manual. Every option is tried at both ends of its range (or at each of its choices), together
with those of every other option, so that a mistake is found here and not by the fortieth trial.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

from sslrun.errors import RecipeError
from sslrun.grids.schema import Search
from sslrun.recipe.combining import combine, merge, options
from sslrun.recipe.document import Document, KeyPath, Spot, at, plain
from sslrun.recipe.messages import nearest, refuse
from sslrun.recipe.reading import check
from sslrun.recipe.schema import Recipe
from sslrun.runs.cells import Number

_SIGNALS = ("loss", "std", "rank", "cosine", "seconds")


@dataclass(frozen=True)
class Space:
    """The options that a search varies, and what stays the same in all its recipes."""

    search: Search
    seeds: tuple[int, ...]
    document: Document
    base: Document
    partials: Sequence[Document]
    whole: frozenset[str]
    """The fields that hold whole numbers."""

    @property
    def first(self) -> dict[str, Any]:
        """The point at the low end of all ranges, and at the first of all choices."""
        return {name: at(self.document.values, ends[0]) for name, ends in _ends(self.search).items()}

    def recipes(self, point: Mapping[str, Any]) -> tuple[Recipe, ...]:
        """The recipes of a point (a value for each field), one a seed. Raises `RecipeError` for one that can't be."""
        spots = {name: self.document.spot(("search", "fields", name)) for name in point}
        parts = {name: Document(value, {(): spots[name]}) for name, value in point.items()}
        return tuple(_recipe(self.base, self.partials, parts, seed) for seed in self.seeds)

    def settings(self, point: Mapping[str, Any]) -> list[str]:
        """All that the grid lays over its base at a point, as `key=value` for `--set`."""
        together: dict[str, Any] = {}
        for partial in (*(partial.values for partial in self.partials), point):
            together = merge(together, partial)
        return [f"{'.'.join(path)}={_written(at(together, spot))}" for spot, path in options(together)]


def read_space(
    search: Search, seeds: tuple[int, ...], document: Document, base: Document, partials: Sequence[Document]
) -> Space:
    """The space of the `search` block in a grid's `document`; `partials` are laid over `base` in all its recipes.

    Raises `RecipeError` with file:line:column.
    """
    numbers = {name for name, field in search.fields.items() if field.choices is None}
    if search.sampler == "cmaes" and len(numbers) < len(search.fields):
        name = next(name for name in search.fields if name not in numbers)
        refuse(document, ("search", "fields", name), "cmaes searches ranges of numbers only", "tpe takes choices too")
    ends = _ends(search)
    for corner in _corners(ends):
        parts = _parts(document, corner)
        try:
            recipe = _recipe(base, partials, parts, seeds[0])
        except RecipeError as error:
            point = ", ".join(f"{name} {_written(part.values)}" for name, part in parts.items())
            raise RecipeError(f"{error.what}, at {point}", where=error.where, remedy=error.remedy) from None
        _check_objectives(search, document, recipe)
    first = _recipe(base, partials, _parts(document, {name: paths[0] for name, paths in ends.items()}), seeds[0])
    whole = frozenset(name for name in numbers if isinstance(_held(first, name), int))
    for name in whole:
        step = search.fields[name].step
        if step is not None and not step.is_integer():
            refuse(document, ("search", "fields", name, "step"), f"{name} holds whole numbers", "", key=False)
    return Space(search, seeds, document, base, partials, whole)


def _recipe(base: Document, partials: Sequence[Document], parts: Mapping[str, Document], seed: int) -> Recipe:
    fields = [
        Document({name: part.values}, {(name, *path): spot for path, spot in part.spots.items()})
        for name, part in parts.items()
    ]
    return check(Recipe, combine(base, *partials, *fields, Document({"seed": seed}, {})))


def _ends(search: Search) -> dict[str, list[KeyPath]]:
    """Where in the grid's document the ends of each field stand: low and high, or its choices."""
    ends: dict[str, list[KeyPath]] = {}
    for name, field in search.fields.items():
        path = ("search", "fields", name)
        choices = [(*path, "choices", index) for index in range(len(field.choices or ()))]
        ends[name] = [*choices] or [(*path, "low"), (*path, "high")]
    return ends


def _corners(ends: Mapping[str, list[KeyPath]]) -> Iterator[dict[str, KeyPath]]:
    """Points at which every two fields meet at all of their ends, the others staying at their first."""
    first = {name: paths[0] for name, paths in ends.items()}
    for names in combinations(ends, min(2, len(ends))):
        for paths in product(*(ends[name] for name in names)):
            yield first | dict(zip(names, paths, strict=True))


def _parts(document: Document, corner: Mapping[str, KeyPath]) -> dict[str, Document]:
    """What a corner gives each field, spots included: the key is the field's own."""
    parts = {name: document.part(*path) for name, path in corner.items()}
    keys = {name: document.spot(("search", "fields", name)).key for name in parts}
    return {
        name: Document(part.values, {**part.spots, (): Spot(keys[name], part.spot(()).value)})
        for name, part in parts.items()
    }


def _check_objectives(search: Search, document: Document, recipe: Recipe) -> None:
    """Whether a recipe's run will have the metrics that trials are judged and pruned by."""
    # Where domains are held out, these are judged on them: what is unseen must not choose.
    unseen = bool(getattr(recipe.data, "held_out", ()))
    asked = recipe.judged()
    judged = [Number(kind, metric=key) for kind, section in asked.items() for key in section.choosing(unseen)]
    allowed = [*map(str, judged), *_SIGNALS]
    for metric in search.objectives:
        if metric not in allowed:
            hint = f"{nearest(metric, allowed)}  (allowed: {', '.join(allowed)})".strip()
            what = (
                "it is of the domains held out, which must not choose"
                if unseen
                else "runs here will have no such metric"
            )
            refuse(document, ("search", "objectives", metric), f"{metric}: {what}", hint)
    probe = Number.of_signal(search.pruning.signal) if search.pruning is not None else None
    if probe is not None and (recipe.evaluation.every is None or probe not in judged):
        hint = f"it needs evaluation.every and evaluation.{probe.kind}"
        what = f"{probe.signal}: runs here will not record it"
        refuse(document, ("search", "pruning", "signal"), what, hint, key=False)


def _held(recipe: Recipe, name: str) -> Any:
    """What a recipe holds at a dotted path. Numbers are as the schema has them: 1 became 1.0 where any may stand."""
    held: Any = recipe
    for part in name.split("."):
        held = getattr(held, part)
    return held


def _written(value: Any) -> str:
    """A value as YAML on one line, words without quotes."""
    bare = isinstance(value, str) and re.fullmatch(r"[A-Za-z_][\w./-]*", value) and plain(value) == value
    return str(value) if bare else json.dumps(value, ensure_ascii=False)
