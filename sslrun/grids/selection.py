"""The cells of a grid that `--only` names. Every word that names none is refused with those that do."""

from collections.abc import Sequence

from sslrun.errors import InputError
from sslrun.grids.grid import Cell, Grid
from sslrun.recipe.messages import nearest


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
