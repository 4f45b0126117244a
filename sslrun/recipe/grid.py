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
from typing import Any

from sslrun.errors import RecipeError
from sslrun.recipe.combining import combine, options, override
from sslrun.recipe.messages import nearest, refuse, shown
from sslrun.recipe.positions import Document, KeyPath
from sslrun.recipe.reading import check, load, locate
from sslrun.recipe.schema import Recipe
from sslrun.recipe.schema.grid import GridFile
from sslrun.recipe.shipped import shipped_grids
from sslrun.recipe.space import Space, read_space
from sslrun.recipe.variant import variant

_NAME = re.compile(r"[^A-Za-z0-9._-]+")
TABLE_COLUMNS = (
    *("metric", "n", "mean", "std", "low", "high", "p", "p_holm", "distinguishable", "more_seeds"),
    *("runs", "collapsed", "failed", "unfinished", "missing"),
)
"""What reports have columns of, beside one for each axis."""


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
    space: Space | None = field(default=None, repr=False)
    """What a search varies; none for a grid of axes."""
    variant: str = ""
    """What `--small` and `--set` made of it; empty for the whole grid."""

    @property
    def record_name(self) -> str:
        """What reports call it: `<name>`, or `<name>+small` and the like, lest a trial replaces the whole grid."""
        return f"{self.name}+{self.variant}" if self.variant else self.name

    @property
    def axes(self) -> dict[str, tuple[str, ...]]:
        """The labels of each axis, in the order of the file."""
        return {axis: tuple(labels) for axis, labels in self.file.axes.items()}


def read_grid(path: str | PathLike[str], overrides: Iterable[str] = (), *, small: bool = False) -> Grid:
    """Read a grid and every cell of it, with `key=value` overrides over all cells; `small` adds the grid's own.

    The cells of a search are the runs of one point of its space. A bare name means a shipped grid. Raises
    `RecipeError` with file:line:column, and for a cell that can't be, which.
    """
    file = locate(path, shipped_grids(), "grid")
    document = load(file)
    grid = check(GridFile, document)
    for axis, labels in grid.axes.items():
        if not labels:
            refuse(document, ("axes", axis), "an axis needs labels", "label: {partial recipe}")
        if axis == "seed" or axis in TABLE_COLUMNS or "=" in axis:
            taken = f"tables have columns of their own: {', '.join(TABLE_COLUMNS)}"
            hint = "seeds are given by `seeds: N`" if axis == "seed" else "without =" if "=" in axis else taken
            refuse(document, ("axes", axis), "can't be the name of an axis", hint)
    _check_labels(grid, document)
    name = _NAME.sub("-", file.stem).lstrip("._-")[:64] or "grid"
    changes = [(f"--set {text}", override(text)) for text in overrides]
    shrunk = small and bool(grid.small)
    over = [*([("small", document.part("small"))] if shrunk else []), *changes]
    _check_settings(grid, document, over)
    about = variant(shrunk, [partial for _, partial in changes])
    base = _base(grid, document, file)
    named = Document({**base.values, "name": name}, base.spots)
    partials = [partial for _, partial in over]
    if grid.search is None:
        return Grid(name, grid, tuple(_cells(grid, document, named, partials)), variant=about)
    space = read_space(grid.search, grid.seeds, document, named, [*_common(grid, document), *partials])
    return Grid(name, grid, tuple(Cell({}, one.seed, one) for one in space.recipes(space.first)), space, about)


def _cells(grid: GridFile, document: Document, base: Document, over: list[Document]) -> Iterator[Cell]:
    common = _common(grid, document)
    parts = {(axis, label): document.part("axes", axis, label) for axis in grid.axes for label in grid.axes[axis]}
    rows = [dict(zip(grid.axes, row, strict=True)) for row in product(*grid.axes.values())]
    kept = [labels for labels in rows if not any(_matches(rule, labels) for rule in grid.exclude)]
    if not kept:
        refuse(document, ("exclude",), "leaves out every cell", "remove a rule")
    _check_baseline(grid, document, kept)
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


def _common(grid: GridFile, document: Document) -> list[Document]:
    return [document.part("set")] if grid.set else []


def _matches(rule: dict[str, Any], labels: dict[str, str]) -> bool:
    return all(labels[axis] in (wanted if isinstance(wanted, list) else [wanted]) for axis, wanted in rule.items())


def _base(grid: GridFile, document: Document, file: Path) -> Document:
    beside = file.parent / grid.base
    try:
        return load(beside if beside.is_file() else locate(grid.base))
    except RecipeError as error:
        if beside.is_file():
            raise
        refuse(document, ("base",), f"{shown(grid.base)}: {error.what}", error.remedy or "", key=False)


def _check_labels(grid: GridFile, document: Document) -> None:
    """Whether `exclude` and `baseline` name axes and labels that there are."""
    rules: list[tuple[KeyPath, dict[str, Any]]] = [(("exclude", i), rule) for i, rule in enumerate(grid.exclude)]
    rules += [(("baseline",), dict(grid.baseline))] if grid.baseline is not None else []
    for path, rule in rules:
        if not rule:
            refuse(document, path, "names no axis", f"axes: {', '.join(grid.axes)}")
        for axis, wanted in rule.items():
            if axis not in grid.axes:
                hint = f"{nearest(axis, grid.axes)}  (axes: {', '.join(grid.axes) or 'none'})".strip()
                refuse(document, (*path, axis), f"no such axis: {axis}", hint)
            for label in wanted if isinstance(wanted, list) else [wanted]:
                if not isinstance(label, str) or label not in grid.axes[axis]:
                    hint = f"{nearest(str(label), grid.axes[axis])}  (labels: {', '.join(grid.axes[axis])})".strip()
                    refuse(document, (*path, axis), f"no such label of {axis}: {shown(label)}", hint, key=False)


def _check_baseline(grid: GridFile, document: Document, kept: list[dict[str, str]]) -> None:
    """Whether `exclude` leaves any of the kept conditions another to be compared with."""
    references = [{**labels, **(grid.baseline or {})} for labels in kept]
    missed = [
        [rule for rule in range(len(grid.exclude)) if _matches(grid.exclude[rule], reference)]
        for reference, labels in zip(references, kept, strict=True)
        if reference != labels
    ]
    if missed and all(missed):
        rules = sorted({rule for by in missed for rule in by})
        told = ", ".join(document.spot(("exclude", rule)).key.where for rule in rules)
        refuse(document, ("baseline",), "no cell is left to compare others with", f"`exclude` removes them: {told}")


def _check_settings(grid: GridFile, document: Document, over: list[tuple[str, Document]]) -> None:
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
                told = "give `seeds` in the grid" if option[0] == "seed" else "runs are called as the grid's file"
                refuse(document, path, f"{option[0]} is not set by partial recipes of a grid", told)
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
