"""What each part does, given the others: main effects of a full grid's axes, and each effect at each label of another.

An effect is a difference between two labels of one axis, taken seed by seed over all conditions that are otherwise
alike; `intervals` judges it. For grids that are whole products: `sslrun report --effects`.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from sslrun.report.collecting import Results
from sslrun.report.intervals import Difference, judge, paired_difference
from sslrun.report.table import Cell, Table, count, interval, number, p_value
from sslrun.report.tables import Labels, Values, values

_MOST_GAPS = 6
_NOTE = "Seed by seed over all conditions that are otherwise alike; p is adjusted for all rows of this table."


@dataclass(frozen=True)
class Effect:
    """`label` less `reference` on `axis`, over the conditions `given` (an axis and its label; none for all)."""

    metric: str
    axis: str
    label: str
    reference: str
    given: tuple[str, str] | None
    conditions: int
    difference: Difference
    p_holm: float = math.nan
    """p adjusted for all main effects on the metric, or for all effects that are given another part."""

    def as_json(self) -> dict[str, Any]:
        """For programs: `mean` and its bounds are those of the difference, `n` is the number of seeds."""
        ours = {name: value for name, value in vars(self).items() if name != "difference"}
        given = None if self.given is None else dict([self.given])
        return {**ours, "given": given, **vars(self.difference.estimate), "p": self.difference.p}


def effects(results: Results, metric: str, baseline: dict[str, str]) -> list[Effect]:
    """The main effects of all axes, then those given each label of each other axis. A label is compared with the
    baseline's of its axis, or the first; a seed counts if it has the metric in all conditions that are compared. Each
    of the two families is guarded by Holm's method.
    """
    measured = values(results, metric)
    given: list[tuple[str, str] | None] = [None]
    given += [(axis, label) for axis in results.axes for label in results.order[axis]]
    found = [
        Effect(metric, axis, label, reference, where, conditions, difference)
        for where in given
        for axis in results.axes
        if where is None or where[0] != axis
        for reference in [baseline.get(axis, results.order[axis][0])]
        for label, conditions, difference in _of_axis(results, measured, axis, reference, where)
    ]
    families = ([effect for effect in found if (effect.given is None) == main] for main in (True, False))
    return [
        replace(effect, p_holm=one.p_holm)
        for family in families
        for effect, one in zip(family, judge([effect.difference for effect in family]), strict=True)
    ]


def _of_axis(
    results: Results, found: dict[Labels, Values], axis: str, reference: str, given: tuple[str, str] | None
) -> Iterator[tuple[str, int, Difference]]:
    """Each label less the reference: the label, the number of conditions, and the difference."""
    place = results.axes.index(axis)
    for label in results.order[axis]:
        pairs = []
        for labels, ours in found.items():
            other = (*labels[:place], reference, *labels[place + 1 :])
            at = given is None or labels[results.axes.index(given[0])] == given[1]
            if labels[place] == label != reference and other in found and at:
                pairs.append((ours, found[other]))
        if pairs:
            mean = [_over([pair[side] for pair in pairs]) for side in (0, 1)]
            yield label, len(pairs), paired_difference(*mean)


def _over(parts: Sequence[Values]) -> Values:
    """Each seed's mean over conditions, of the seeds that all of them have."""
    seeds = set.intersection(*(set(part) for part in parts))
    return {seed: sum(part[seed] for part in parts) / len(parts) for seed in sorted(seeds)}


def _gaps(results: Results, metric: str) -> list[str]:
    """A line that names the cells of the whole product that have no number, which take their seeds from effects."""
    measured = values(results, metric)
    seeds = set[int]().union(*measured.values()) or set(results.runs["seed"])
    gaps = []
    for labels in product(*(results.order[axis] for axis in results.axes)):
        lacking = sorted(seeds - measured.get(labels, {}).keys())
        some = f" (seed{'s' * (len(lacking) > 1)} {', '.join(map(str, lacking))})" if len(lacking) < len(seeds) else ""
        gaps += [(", ".join(labels) or "all runs") + some] if lacking else []
    more = f"; and {len(gaps) - _MOST_GAPS} more" if len(gaps) > _MOST_GAPS else ""
    told = f"The grid is not whole: no {metric} of {'; '.join(gaps[:_MOST_GAPS])}{more}. "
    return [f"{told}A seed counts where all conditions that are compared have it."] if gaps else []


def effect_tables(results: Results, found: Sequence[Effect], metrics: Sequence[str]) -> list[Table]:
    """Two tables a metric: main effects, and effects given each other part."""
    tables = []
    for metric in metrics:
        notes = (_NOTE, *_gaps(results, metric))
        for given, words in ((False, "mean over all others"), (True, "given another")):
            family = [effect for effect in found if effect.metric == metric and (effect.given is not None) == given]
            rows = [
                (
                    Cell(f"{effect.axis}: {effect.label} less {effect.reference}"),
                    *((Cell(" ".join(effect.given)),) if effect.given else ()),
                    number(effect.difference.estimate.mean, "+.4f"),
                    interval(effect.difference.estimate.low, effect.difference.estimate.high, "+.4f"),
                    count(effect.conditions),
                    count(effect.difference.estimate.n),
                    p_value(effect.p_holm),
                )
                for effect in family
            ]
            header = ("part", *(("given",) if family and given else ()))
            header += ("difference", "95 % interval", "conditions", "seeds", "p (Holm)")
            tables.append(Table(f"{metric}: what each part does, {words}", header, tuple(rows), notes))
    return tables
