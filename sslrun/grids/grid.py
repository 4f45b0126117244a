"""Grids: from a grid file to its cells, each a whole recipe with its axis labels and seed, all checked first.

`schema.py` is the manual, `sslrun.recipe.combining` lays partial recipes over the base. Every mistake is pointed at in
the file that it is in, be it the grid or its base.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import product
from os import PathLike
from pathlib import Path

from sslrun.errors import InputError, RecipeError
from sslrun.grids.checking import check_axes, check_baseline, check_settings, check_shape, matches
from sslrun.grids.schema import GridFile
from sslrun.grids.space import Space, read_space
from sslrun.paths import plain_name
from sslrun.recipe import trial
from sslrun.recipe.combining import combine, options, override
from sslrun.recipe.document import Document
from sslrun.recipe.introspect import operational, sections
from sslrun.recipe.messages import nearest, refuse, shown
from sslrun.recipe.reading import as_asked, check, load, locate, with_plugins
from sslrun.recipe.schema import Recipe
from sslrun.recipe.shipped import shipped_grids

SMALL = "small"
"""The tag of runs of `--small`."""
_VARIANT_DIGITS = 6
_FILES = {("data", "path"), ("network", "weights")}
"""Operational as places are; but what is found there decides the numbers."""


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
    source: str = ""
    """Its file, from the root on: two grids may have one name."""

    @property
    def record_name(self) -> str:
        """What reports call it: `<name>`, or `<name>+small` and the like, lest a trial replaces the whole grid."""
        return f"{self.name}+{self.variant}" if self.variant else self.name

    @property
    def axes(self) -> dict[str, tuple[str, ...]]:
        """The labels of each axis, in the order of the file."""
        return {axis: tuple(labels) for axis, labels in self.file.axes.items()}

    @property
    def comparisons(self) -> int:
        """How many conditions are compared with its baseline: the family that a claim is one of, for each metric."""
        conditions = {tuple(cell.labels.items()) for cell in self.cells}
        baseline = self.file.baseline or {}
        references = {labels: tuple((dict(labels) | baseline).items()) for labels in conditions}
        return sum(reference != labels and reference in conditions for labels, reference in references.items())


def read_grid(
    path: str | PathLike[str],
    overrides: Iterable[str] = (),
    *,
    small: bool = False,
    whole: bool = False,
    imports: Iterable[str | Path] = (),
) -> Grid:
    """Read a grid and every cell of it, with `key=value` overrides over all cells; `small` adds the grid's own;
    `whole` whatever SSLRUN_TRIAL says.

    `imports` are plug-ins besides those that it and its base name. The cells of a search are the runs of one point of
    its space. A bare name means a shipped grid. Raises `RecipeError` with file:line:column, and for a cell that can't
    be, which.
    """
    file = locate(path, shipped_grids(), "grid")
    document = load(file)
    if "method" in document.values and "base" not in document.values:
        raise RecipeError("is a recipe, not a grid", where=str(file), remedy=f"sslrun pretrain {file}")
    with_plugins(document, [file.parent], imports)  # whose engines the grid may name
    check_shape(document)
    grid = check(GridFile, document)
    check_axes(grid, document)
    name = plain_name(file.stem, "grid")
    changes = [(f"--set {text}", override(text)) for text in overrides]
    shrunk = small and bool(grid.small)
    over = [*([("small", document.part("small"))] if shrunk else []), *changes]
    check_settings(grid, document, over)
    about = _variant(shrunk, [partial for _, partial in changes])
    base = _base(grid, document, file, imports)
    named = Document({**base.values, "name": name}, base.spots)
    cut = trial.on() and not whole
    partials = [partial for _, partial in over]
    if shrunk:
        partials += _tag(combine(named, *partials))
    if cut:
        about = "+".join(filter(None, ["trial", about]))
    source = str(file.resolve())
    if grid.search is None:
        return Grid(
            name,
            grid,
            tuple(_cells(grid, document, named, partials, whole))[: trial.CELLS if cut else None],
            None,
            about,
            source,
        )
    partials = [*_common(grid, document), *partials]
    if cut:
        partials += trial.changes(check(Recipe, combine(named, *partials)))
    space = read_space(grid.search, grid.seeds, document, named, partials)
    return Grid(name, grid, tuple(Cell({}, one.seed, one) for one in space.recipes(space.first)), space, about, source)


def _cells(grid: GridFile, document: Document, base: Document, over: list[Document], whole: bool) -> Iterator[Cell]:
    common = _common(grid, document)
    parts = {(axis, label): document.part("axes", axis, label) for axis in grid.axes for label in grid.axes[axis]}
    rows = [dict(zip(grid.axes, row, strict=True)) for row in product(*grid.axes.values())]
    kept = [
        (labels, seed)
        for seed, labels in product(grid.seeds, rows)
        if not any(matches(rule, {**labels, "seed": seed}) for rule in grid.exclude)
    ]
    if not kept:
        refuse(document, ("exclude",), "leaves out every cell", "remove a rule")
    check_baseline(grid, document, [labels for labels, _ in kept])
    found: dict[tuple[str, ...], Recipe] = {}  # of each condition: no option has to do with the seed
    for labels, seed in kept:
        condition = tuple(labels.values())
        if condition not in found:
            partials = [*common, *(parts[pair] for pair in labels.items()), *over]
            cell = combine(base, *partials, Document({"seed": seed}, {("seed",): document.spot(("seeds",))}))
            try:
                found[condition] = as_asked(cell, whole=whole)
            except RecipeError as error:
                which = Cell(labels, seed, Recipe.model_construct())
                what = f"{error.what}, in the cell {which}" if labels else error.what
                raise RecipeError(what, where=error.where, remedy=error.remedy) from None
        yield Cell(labels, seed, found[condition].model_copy(update={"seed": seed}))


def _common(grid: GridFile, document: Document) -> list[Document]:
    return [document.part("set")] if grid.set else []


def _base(grid: GridFile, document: Document, file: Path, imports: Iterable[str | Path]) -> Document:
    neighbour = file.parent / grid.base
    near = _is_there(neighbour)
    try:
        path = locate(neighbour if near else grid.base)
        return with_plugins(load(path), [path.parent, file.parent], [*grid.imports, *imports])
    except RecipeError as error:
        if near:
            raise
        refuse(document, ("base",), f"{shown(grid.base)}: {error.what}", error.remedy or "", key=False)


def _is_there(path: Path) -> bool:
    try:
        return path.exists() and not path.is_dir()
    except OSError:  # a name that is too long, say
        return False


def _tag(together: Document) -> list[Document]:
    """What gives runs of `--small` the tag `small`, besides the tags that they have. Wrong ones stay, to be refused."""
    run = together.values.get("run", {})
    tags = run.get("tags", []) if isinstance(run, dict) else None
    return [override(f"run.tags={json.dumps([*tags, SMALL])}")] if isinstance(tags, list) else []


def _variant(small: bool, changes: Sequence[Document]) -> str:
    """The end of a grid's name in reports: `small`, some hex digits for the changes, both with a `+`; or nothing.

    A record goes by that name, so that a trial never replaces the whole grid. Options that only say how or where runs
    are done make no other cells, and count for nothing.
    """
    settings = {
        ".".join(option): partial.part(*spot).values
        for partial in changes
        for spot, option in options(partial.values)
        if option in _FILES or not _operational(option)
    }
    digest = sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:_VARIANT_DIGITS]
    return "+".join([*([SMALL] if small else []), *([digest] if settings else [])])


def _operational(option: tuple[str, ...]) -> bool:
    """Whether the schema marks an option as how or where a run is done; some kind's, where kinds differ."""
    found = sections(Recipe)
    for name in option:
        fields = [section.model_fields[name] for section in found if name in section.model_fields]
        if any(map(operational, fields)):
            return True
        found = tuple(inner for one in fields for inner in sections(one.annotation))
    return False


def select(grid: Grid, only: Sequence[str]) -> list[Cell]:
    """The cells that fit every `axis=label` (or `seed=N`) in `only`; several of one axis mean any of them.

    Raises `InputError` naming the axes and labels there are.
    """
    every = {**grid.axes, "seed": tuple(map(str, grid.file.seeds))}
    wanted: dict[str, set[str]] = {}
    for text in only:
        axis, equals, label = text.partition("=")
        if axis not in every:
            remedy = f"{nearest(axis, every) or 'write --only axis=label'}  (axes: {', '.join(every)})"
            raise InputError(f"no such axis: {axis}", where=f"--only {text}", remedy=remedy)
        if not equals:
            remedy = f"write --only {axis}=LABEL  (labels: {', '.join(every[axis])})"
            raise InputError(f"names no label of {axis}", where=f"--only {text}", remedy=remedy)
        if label not in every[axis]:
            remedy = f"{nearest(label, every[axis])}  (labels: {', '.join(every[axis])})".strip()
            raise InputError(f"no such label of {axis}: {label}", where=f"--only {text}", remedy=remedy)
        wanted.setdefault(axis, set()).add(label)
    kept = [cell for cell in grid.cells if all(label in wanted.get(axis, {label}) for axis, label in cell.key)]
    if not kept:
        raise InputError("the grid excludes all of these cells", where=f"--only {' --only '.join(only)}")
    return kept
