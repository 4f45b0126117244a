"""What a grid file can't mean: labels that there are not, options set twice, axes named like a table's columns.

Each refusal points at its place in the file. `grid.py` asks before it expands a grid into cells.
"""

import math
from collections.abc import Mapping
from itertools import combinations
from typing import Any

from sslrun.errors import RecipeError
from sslrun.grids.schema import GridFile
from sslrun.recipe.combining import options
from sslrun.recipe.document import Document, KeyPath
from sslrun.recipe.introspect import sections
from sslrun.recipe.messages import nearest, refuse, shown
from sslrun.recipe.schema import Recipe

TABLE_COLUMNS = (
    *("metric", "n", "mean", "std", "low", "high", "p", "p_holm", "distinguishable"),
    *("could_see", "fresh_from", "fresh_to"),
    *("runs", "dimensional", "complete", "failed", "unfinished", "missing"),
)
"""What reports have columns of, besides one for each axis."""


MOST_CELLS = 100_000


def check_shape(document: Document) -> None:
    """Whether it is written as grids are: no section of a recipe but under `set`, and axes of labels."""
    for name in document.values:
        if sections(Recipe.model_fields[name].annotation) if name in Recipe.model_fields else ():
            hint = f"what all cells have in common stands under `set`: set: {{{name}: ...}}"
            refuse(document, (name,), f"{name}: belongs to recipes, not to grids", hint)
    axes = document.values.get("axes")
    for axis, labels in axes.items() if isinstance(axes, dict) else ():
        wrong = [label for label in labels if not isinstance(labels, dict) or not isinstance(labels[label], dict)]
        if isinstance(labels, dict | list) and wrong:
            value = labels[wrong[0]] if isinstance(labels, dict) else wrong[0]
            option, values = axis if "." in axis else "OPTION", [(wrong[0], value)]
            if isinstance(value, list) and "." in str(wrong[0]):  # values of an option, which are to be a label each
                option, values = wrong[0], [(shown(one), one) for one in value[:3]]
            each = ", ".join(f'"{label}": {{{option}: {shown(one)}}}' for label, one in values)
            hint = f"{each}, say; {{}} is the base as it is"
            path = ("axes", axis, wrong[0]) if isinstance(labels, dict) else ("axes", axis)
            what = "an axis has labels, and each label what it changes"
            refuse(document, path, f"{'.'.join(map(str, path))}: {what}", hint, key=False)


def check_axes(grid: GridFile, document: Document) -> None:
    """Whether each axis has labels and a name that tables can use, and each rule names axes and labels that exist."""
    for axis, labels in grid.axes.items():
        if not labels:
            refuse(document, ("axes", axis), "an axis needs labels", "label: {partial recipe}")
        if axis == "seed" or axis in TABLE_COLUMNS or "=" in axis:
            taken = f"tables have columns of their own: {', '.join(TABLE_COLUMNS)}"
            hint = "seeds are given by `seeds: N`" if axis == "seed" else "without =" if "=" in axis else taken
            refuse(document, ("axes", axis), "can't be the name of an axis", hint)
    _check_labels(grid, document)
    count = math.prod(map(len, grid.axes.values())) * len(grid.seeds)
    if count > MOST_CELLS:
        factors = [*(f"{axis} {len(labels)}" for axis, labels in grid.axes.items()), f"seeds {len(grid.seeds)}"]
        hint = "fewer labels or seeds; or a search, which looks at some points of a large space"
        refuse(document, ("axes",), f"{count:,} cells ({' × '.join(factors)}) are more than {MOST_CELLS:,}", hint)


def matches(rule: dict[str, Any], labels: Mapping[str, str | int]) -> bool:
    """Whether an `exclude` rule means the cell of these labels, its seed among them; a whole condition, without."""
    return all(
        axis in labels and labels[axis] in (wanted if isinstance(wanted, list) else [wanted])
        for axis, wanted in rule.items()
    )


def _check_labels(grid: GridFile, document: Document) -> None:
    """Whether `exclude` and `baseline` name axes and labels that there are."""
    rules: list[tuple[KeyPath, dict[str, Any]]] = [(("exclude", i), rule) for i, rule in enumerate(grid.exclude)]
    rules += [(("baseline",), dict(grid.baseline))] if grid.baseline is not None else []
    for path, rule in rules:
        if not rule:
            refuse(document, path, "names no axis", f"axes: {', '.join(grid.axes)}")
        for axis, wanted in rule.items():
            if axis == "seed" and path[0] == "exclude":
                _check_seeds(grid, document, (*path, axis), wanted)
                continue
            if axis not in grid.axes:
                hint = f"{nearest(axis, grid.axes)}  (axes: {', '.join(grid.axes) or 'none'})".strip()
                refuse(document, (*path, axis), f"no such axis: {axis}", hint)
            for label in wanted if isinstance(wanted, list) else [wanted]:
                if not isinstance(label, str) or label not in grid.axes[axis]:
                    hint = f"{nearest(str(label), grid.axes[axis])}  (labels: {', '.join(grid.axes[axis])})".strip()
                    refuse(document, (*path, axis), f"no such label of {axis}: {shown(label)}", hint, key=False)


def _check_seeds(grid: GridFile, document: Document, path: KeyPath, wanted: Any) -> None:
    """Whether a rule names seeds that the grid has."""
    for seed in wanted if isinstance(wanted, list) else [wanted]:
        if type(seed) is not int or seed not in grid.seeds:
            hint = f"(seeds: {', '.join(map(str, grid.seeds))})"
            refuse(document, path, f"no such seed of this grid: {shown(seed)}", hint, key=False)


def check_baseline(grid: GridFile, document: Document, kept: list[dict[str, str]]) -> None:
    """Whether `exclude` leaves any of the kept conditions another to be compared with."""
    references = [{**labels, **(grid.baseline or {})} for labels in kept]
    missed = [
        [rule for rule in range(len(grid.exclude)) if matches(grid.exclude[rule], reference)]
        for reference, labels in zip(references, kept, strict=True)
        if reference != labels
    ]
    if missed and all(missed):
        rules = sorted({rule for by in missed for rule in by})
        rules_at = ", ".join(document.spot(("exclude", rule)).key.where for rule in rules)
        refuse(document, ("baseline",), "no cell is left to compare others with", f"`exclude` removes them: {rules_at}")


def check_settings(grid: GridFile, document: Document, over: list[tuple[str, Document]]) -> None:
    """Whether each option is set in one place: two axes or fields, or one and `--set`, would make labels that lie."""
    axes: dict[str, dict[tuple[str, ...], KeyPath]] = {
        axis: {
            tuple(option): (*path, *spot)
            for label in labels
            for path in [("axes", axis, label)]
            for spot, option in options(document.part(*path).values)
        }
        for axis, labels in grid.axes.items()
    }
    fields = grid.search.fields if grid.search else {}
    search: dict[tuple[str, ...], KeyPath] = {tuple(name.split(".")): ("search", "fields", name) for name in fields}
    common: dict[tuple[str, ...], KeyPath] = {tuple(option): ("set", *spot) for spot, option in options(grid.set)}
    for settings in (*axes.values(), search, common):
        for option, path in settings.items():
            if option[0] in ("seed", "name"):
                hint = "give `seeds` in the grid" if option[0] == "seed" else "runs are called as the grid's file"
                refuse(document, path, f"{option[0]} is not set by partial recipes of a grid", hint)
    for (first, ours), (second, theirs) in combinations(axes.items(), 2):
        for option, path in theirs.items():
            if any(_clash(option, other) for other in ours):
                refuse(document, path, f"{'.'.join(option)} is set by two axes, {first} and {second}", "keep one")
    for one, other in combinations(search, 2):
        if _clash(one, other):
            what = f"{'.'.join(other)} and {'.'.join(one)} are not two options"
            refuse(document, search[other], what, "one is part of the other: keep one")
    varied = [(f"what the axis {axis} varies", f"--only {axis}=LABEL picks cells", axes[axis]) for axis in axes]
    varied.append(("what the search varies", "take it out of `search.fields` to set it", search))
    varied.append(("the grid's to give", "--only seed=N picks cells", {("seed",): (), ("name",): ()}))
    for source, partial in over:
        for spot, option in options(partial.values):
            for what, hint, settings in varied:
                if any(_clash(option, one) for one in settings):
                    place = partial.spot(spot).key
                    remedy = place.excerpt(hint) or f"{source}: {hint}"
                    raise RecipeError(f"{'.'.join(option)} is {what}", where=place.where, remedy=remedy)


def _clash(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether setting both is setting one thing twice: the same option, or a section and an option in it."""
    shared = min(len(one), len(other))
    return one[:shared] == other[:shared]
