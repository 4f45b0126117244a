"""Grids: from a grid file to its cells, each a whole recipe with its axis labels and seed, all checked first.

`schema/grid.py` is the manual, `combining.py` lays partial recipes over the base. Every mistake is pointed at in the
file that it stands in, be it the grid or its base.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import combinations, product
from os import PathLike
from pathlib import Path
from typing import Any, NoReturn

from sslrun.errors import RecipeError
from sslrun.recipe.combining import combine, override
from sslrun.recipe.messages import nearest, shown
from sslrun.recipe.positions import Document, KeyPath, Spot
from sslrun.recipe.reading import check, load, locate
from sslrun.recipe.schema import Recipe
from sslrun.recipe.schema.grid import GridFile
from sslrun.recipe.shipped import shipped_grids

_NAME = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Cell:
    """One entry of a results table: a label for each axis, a seed, and the recipe that they mean."""

    labels: dict[str, str]
    seed: int
    recipe: Recipe

    @property
    def key(self) -> tuple[tuple[str, str], ...]:
        """What tells it from the grid's other cells."""
        return (*self.labels.items(), ("seed", str(self.seed)))

    def __str__(self) -> str:
        return " ".join(f"{axis}={label}" for axis, label in self.key)


@dataclass(frozen=True)
class Grid:
    """A grid file, read. `cells` go seed by seed, so that a sweep that is cut short has whole tables of fewer seeds."""

    name: str
    file: GridFile
    cells: tuple[Cell, ...] = field(repr=False)

    @property
    def axes(self) -> dict[str, tuple[str, ...]]:
        """The labels of each axis, in the order of the file."""
        return {axis: tuple(labels) for axis, labels in self.file.axes.items()}


def read_grid(path: str | PathLike[str], overrides: Iterable[str] = (), *, small: bool = False) -> Grid:
    """Read a grid and every cell of it, with `key=value` overrides over all cells; `small` adds the grid's own.

    A bare name means a shipped grid. Raises `RecipeError` with file:line:column, and for a cell that can't be, which.
    """
    file = locate(path, shipped_grids(), "grid")
    document = load(file)
    grid = check(GridFile, document)
    for axis, labels in grid.axes.items():
        if not labels:
            _refuse(document, ("axes", axis), "an axis needs labels", "label: {partial recipe}")
        if axis == "seed" or "=" in axis:
            _refuse(document, ("axes", axis), "can't be the name of an axis", "seeds are given by `seeds: N`")
    _check_labels(grid, document)
    name = _NAME.sub("-", file.stem).lstrip("._-")[:64] or "grid"
    over = [*([("small", document.part("small"))] if small and grid.small else [])]
    over += [(f"--set {text}", override(text)) for text in overrides]
    _check_settings(grid, document, over)
    base = _base(grid, document, file)
    named = Document({**base.values, "name": name}, base.spots)
    return Grid(name, grid, tuple(_cells(grid, document, named, [partial for _, partial in over])))


def _cells(grid: GridFile, document: Document, base: Document, over: list[Document]) -> Iterator[Cell]:
    common = [document.part("set")] if grid.set else []
    parts = {(axis, label): document.part("axes", axis, label) for axis in grid.axes for label in grid.axes[axis]}
    rows = [dict(zip(grid.axes, row, strict=True)) for row in product(*grid.axes.values())]
    kept = [labels for labels in rows if not any(_matches(rule, labels) for rule in grid.exclude)]
    if not kept:
        _refuse(document, ("exclude",), "leaves out every cell", "remove a rule")
    for seed in grid.seeds:
        for labels in kept:
            partials = [*common, *(parts[pair] for pair in labels.items()), *over]
            cell = combine(base, *partials, Document({"seed": seed}, {("seed",): document.spot(("seeds",))}))
            try:
                yield Cell(labels, seed, check(Recipe, cell))
            except RecipeError as error:
                which = Cell(labels, seed, Recipe.model_construct())
                what = f"{error.what}, in the cell {which}" if labels else error.what
                raise RecipeError(what, where=error.where, remedy=error.remedy) from None


def _matches(rule: dict[str, Any], labels: dict[str, str]) -> bool:
    return all(labels[axis] in (wanted if isinstance(wanted, list) else [wanted]) for axis, wanted in rule.items())


def _base(grid: GridFile, document: Document, file: Path) -> Document:
    beside = file.parent / grid.base
    try:
        return load(beside if beside.is_file() else locate(grid.base))
    except RecipeError as error:
        if beside.is_file():
            raise
        _refuse(document, ("base",), f"{shown(grid.base)}: {error.what}", error.remedy or "", key=False)


def _check_labels(grid: GridFile, document: Document) -> None:
    """Whether `exclude` and `baseline` name axes and labels that there are."""
    rules: list[tuple[KeyPath, dict[str, Any]]] = [(("exclude", i), rule) for i, rule in enumerate(grid.exclude)]
    rules += [(("baseline",), dict(grid.baseline))] if grid.baseline is not None else []
    for path, rule in rules:
        if not rule:
            _refuse(document, path, "names no axis", f"axes: {', '.join(grid.axes)}")
        for axis, wanted in rule.items():
            if axis not in grid.axes:
                hint = f"{nearest(axis, grid.axes)}  (axes: {', '.join(grid.axes) or 'none'})".strip()
                _refuse(document, (*path, axis), f"no such axis: {axis}", hint)
            for label in wanted if isinstance(wanted, list) else [wanted]:
                if label not in grid.axes[axis]:
                    hint = f"{nearest(str(label), grid.axes[axis])}  (labels: {', '.join(grid.axes[axis])})".strip()
                    _refuse(document, (*path, axis), f"no such label of {axis}: {shown(label)}", hint, key=False)


def _check_settings(grid: GridFile, document: Document, over: list[tuple[str, Document]]) -> None:
    """Whether each option is set in one place: two axes, or an axis and `--set`, would make labels that lie."""
    axes = {
        axis: {
            tuple(option): (*path, *spot)
            for label in labels
            for path in [("axes", axis, label)]
            for spot, option in _options(document.part(*path).values)
        }
        for axis, labels in grid.axes.items()
    }
    common = {tuple(option): ("set", *spot) for spot, option in _options(grid.set)}
    for options in (*axes.values(), common):
        for option, path in options.items():
            if option[0] in ("seed", "name"):
                told = "give `seeds` beside `axes`" if option[0] == "seed" else "runs are called as the grid's file"
                _refuse(document, path, f"{option[0]} is not set by partial recipes of a grid", told)
    for (first, ours), (second, theirs) in combinations(axes.items(), 2):
        for option, path in theirs.items():
            if any(_clash(option, other) for other in ours):
                _refuse(document, path, f"{'.'.join(option)} is set by two axes, {first} and {second}", "keep one")
    for source, partial in over:
        for spot, option in _options(partial.values):
            axis = next((axis for axis, ours in axes.items() if any(_clash(tuple(option), one) for one in ours)), None)
            if axis or option[0] in ("seed", "name"):
                what = f"{'.'.join(option)} is " + (f"what the axis {axis} varies" if axis else "the grid's to give")
                place = partial.spot(tuple(spot)).key
                hint = f"--only {axis}=LABEL picks cells" if axis else "--only seed=N picks cells"
                raise RecipeError(what, where=place.where, remedy=place.excerpt(hint) or f"{source}: {hint}")


def _options(
    partial: Any, spot: KeyPath = (), above: tuple[str, ...] = ()
) -> Iterator[tuple[KeyPath, tuple[str, ...]]]:
    """Every option that a partial sets: its key path as written, and with dotted keys taken apart."""
    for key, value in partial.items():
        path = (*above, *key.split("."))
        if isinstance(value, dict) and value:
            yield from _options(value, (*spot, key), path)
        else:
            yield (*spot, key), path


def _clash(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether setting both is setting one thing twice: the same option, or a section and an option in it."""
    shared = min(len(one), len(other))
    return one[:shared] == other[:shared]


def _refuse(document: Document, path: KeyPath, what: str, hint: str, *, key: bool = True) -> NoReturn:
    spot: Spot = document.spot(path)
    place = spot.key if key else spot.value
    raise RecipeError(what, where=place.where, remedy=place.excerpt(hint) or None)
