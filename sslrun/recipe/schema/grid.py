"""A grid file: a base recipe, and named axes whose entries are partial recipes laid over it.

`sslrun.recipe.grid` reads one and expands it into cells; what a partial recipe may hold is the recipe's own schema.
"""

from typing import Any, Self

from pydantic import field_validator, model_validator

from sslrun.recipe.schema.base import Misfit, Section, option
from sslrun.recipe.schema.search import Search

Partial = dict[str, Any]
MOST_SEEDS = 1000


class GridFile(Section):
    """What to vary. Every combination of the axes' labels is a cell, once for each seed; or a search varies freely."""

    base: str = option(description="The recipe that all cells start from: a path from the grid's folder, or a name.")
    notes: str = option("", "What the grid is for; kept with its results.")
    set: Partial = option({}, "A partial recipe, nested or dotted, laid over the base for all cells.")
    axes: dict[str, dict[str, Partial]] = option(
        {}, "What is varied: each axis has labels, and each label a partial recipe ({} is the base as it is)."
    )
    exclude: tuple[dict[str, Any], ...] = option(
        (), "Cells to leave out: a rule names a label, or a list of labels, for each axis that it looks at."
    )
    search: Search | None = option(None, "In place of axes: options to vary freely, judged by their outcomes.")
    seeds: tuple[int, ...] = option((0,), "How many seeds (0, 1, ...), or a list of them.")
    baseline: dict[str, str] | None = option(
        None, "What reports compare with, seed by seed: a label for some or all axes."
    )
    small: Partial = option(
        {}, "A partial recipe that `--small` lays over every cell, for a trial: in reports `<grid>+small`."
    )

    @field_validator("seeds", mode="plain")
    @classmethod
    def _number_or_list(cls, value: Any) -> tuple[int, ...]:
        if type(value) is int and 1 <= value <= MOST_SEEDS:
            return tuple(range(value))
        whole = isinstance(value, list) and all(type(seed) is int and 0 <= seed < 2**31 for seed in value)
        if not (whole and 1 <= len(set(value)) == len(value) <= MOST_SEEDS):
            raise ValueError(f"must be a number from 1 to {MOST_SEEDS}, or a list of different whole numbers from 0 on")
        return tuple(value)

    @model_validator(mode="after")
    def _axes_or_search(self) -> Self:
        if self.search is not None and self.axes:
            raise Misfit("a search takes the place of axes", "axes", "search")
        if self.search is not None and self.search.pruning is not None and len(self.seeds) > 1:
            raise Misfit("pruning looks at one run a trial: give one seed", "seeds", "search.pruning")
        return self
