"""A grid file: a base recipe, and named axes whose entries are partial recipes laid over it; or, in place of axes, a
search: what to vary freely, how long, and by what to judge.

The descriptions are the manual. `grid.py` reads a file and expands it into cells, `space.py` makes the recipes of a
search; what a partial recipe may hold is the recipe's own schema.
"""

import json
from fractions import Fraction
from typing import Any, Literal, Self

from pydantic import field_validator, model_validator

from sslrun.grids.engines import Engine, Local
from sslrun.recipe.plugins import PluginName
from sslrun.recipe.schema.base import Misfit, Section, option

Direction = Literal["maximise", "minimise"]
Partial = dict[str, Any]
MOST_SEEDS = 1000


class Varied(Section):
    """What one option of the recipe may be: a number of a range, or one of some choices."""

    low: float | None = option(None, "The least it may be.")
    high: float | None = option(None, "The most it may be.")
    log: bool = option(False, "Whether ratios count rather than differences, as they do for learning rates.")
    step: float | None = option(None, "Only `low` plus whole numbers of steps; of any fineness if null.", gt=0)
    choices: tuple[Any, ...] | None = option(None, "The values to choose from, sections and null among them.")

    @model_validator(mode="after")
    def _range_or_choices(self) -> Self:
        if self.choices is not None:
            if self.model_fields_set != {"choices"}:
                raise Misfit("choices stand alone, without low, high, log or step", "choices")
            if len({json.dumps(choice, sort_keys=True) for choice in self.choices}) < max(2, len(self.choices)):
                raise Misfit("needs two choices or more, each once", "choices")
            return self
        if self.low is None or self.high is None:
            raise Misfit("needs low and high, or choices", "low" if self.high is None else "high")
        if self.low >= self.high:
            raise Misfit("low must be below high", "low", "high")
        if self.log and self.low <= 0:
            raise Misfit("with log, low must be above 0", "low", "log")
        if self.log and self.step is not None:
            raise Misfit("log and step don't go together", "step", "log")
        low, high = Fraction(str(self.low)), Fraction(str(self.high))
        if self.step is not None and (high - low) % Fraction(str(self.step)):
            raise Misfit("high is not low plus a whole number of steps", "high", "step")
        return self


class Pruning(Section):
    """Ends trials early whose best signal so far is worse than the median of the trials before them at that epoch."""

    signal: Literal["std", "rank", "loss", "probe.knn.accuracy", "probe.linear.accuracy"] = option(
        description="What to look at after each epoch; `probe.*` come with `evaluation.every`. Less is better of "
        "`loss`, more of all others."
    )
    after_epochs: int = option(5, "What comes before is not looked at.", ge=1)
    after_trials: int = option(5, "None is ended before so many others are done.", ge=1)


class Search(Section):
    """A search in place of the full product of axes. Each trial is a run (one for each of the grid's seeds)."""

    trials: int = option(
        description="How many trials, whatever becomes of them. More may be asked for later.", ge=1, le=100_000
    )
    fields: dict[str, Varied] = option(description="What is varied: options of the recipe, dotted.")
    objectives: dict[str, Direction] = option(
        {"knn": "maximise"}, "What trials are judged by: metrics of the runs' table (means over the grid's seeds)."
    )
    sampler: Literal["tpe", "random", "cmaes"] = option(
        "tpe", "How trials are chosen: by the outcomes so far (`tpe`; `cmaes` for numbers alone), or at random."
    )
    pruning: Pruning | None = option(None, "When to end trials early; with one objective and one seed.")

    @model_validator(mode="after")
    def _sampler_can(self) -> Self:
        if not self.fields:
            raise Misfit("names no option to vary", "fields")
        if not self.objectives:
            raise Misfit("names no metric", "objectives")
        if self.pruning is not None and len(self.objectives) > 1:
            raise Misfit("pruning needs a single objective", "pruning", "objectives")
        if self.sampler == "cmaes" and len(self.objectives) > 1:
            raise Misfit("cmaes needs a single objective", "sampler", "objectives")
        if self.sampler == "cmaes" and len(self.fields) < 2:
            raise Misfit("cmaes needs two fields or more", "sampler", "fields")
        return self


class GridFile(Section):
    """What to vary. Every combination of the axes' labels is a cell, once for each seed; or a search varies freely."""

    base: str = option(description="The recipe that all cells start from: a path from the grid's folder, or a name.")
    imports: tuple[PluginName, ...] = option((), "Plug-ins beside those of the base recipe; see `imports` there.")
    notes: str = option("", "What the grid is for; kept with its results.")
    set: Partial = option({}, "A partial recipe, nested or dotted, laid over the base for all cells.")
    axes: dict[str, dict[str, Partial]] = option(
        {}, "What is varied: each axis has labels, and each label a partial recipe ({} is the base as it is)."
    )
    exclude: tuple[dict[str, Any], ...] = option(
        (),
        "Cells to leave out: a rule names a label, or a list of labels, for each axis that it looks at, and maybe a "
        "seed or seeds: so that each seed has its own unseen domain, say.",
    )
    search: Search | None = option(None, "In place of axes: options to vary freely, judged by their outcomes.")
    engine: Engine = option(Local(kind="local"), "What carries the runs out.")
    seeds: tuple[int, ...] = option((0,), "How many seeds (0, 1, ...), or a list of them.")
    baseline: dict[str, str] | None = option(
        None, "What reports compare with, seed by seed: a label for some or all axes."
    )
    small: Partial = option(
        {},
        "A partial recipe that `--small` lays over every cell, for a trial: `<grid>+small` in reports, its runs tagged "
        "`small`.",
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
