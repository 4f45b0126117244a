"""What each part does, given the others: main effects of a full grid's axes, and each effect at each label of another.

An effect is a difference between two labels of one axis, taken seed by seed over all conditions that are otherwise
alike; `intervals` judges it. For grids that are whole products: `sslrun report --effects`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sslrun.report.collecting import Results
from sslrun.report.intervals import Difference, judge, paired_difference
from sslrun.report.table import Cell, Table, count, interval, number, p_value
from sslrun.report.tables import Labels, Values, values

_NOTE = "Seed by seed over all conditions that are otherwise alike; p is adjusted for all rows of this table."


@dataclass(frozen=True)
class Effect:
    """`label` less `reference` on `axis`, over the conditions `given` (an axis and its label; none for all)."""

    axis: str
    label: str
    reference: str
    given: tuple[str, str] | None
    conditions: int
    difference: Difference


def effects(results: Results, metric: str, baseline: dict[str, str]) -> list[Effect]:
    """The main effects of all axes, then those given each label of each other axis. A label is compared with the
    baseline's of its axis, or the first; a seed counts if it has the metric in all conditions that are compared.
    """
    found = values(results, metric)
    given: list[tuple[str, str] | None] = [None]
    given += [(axis, label) for axis in results.axes for label in results.order[axis]]
    return [
        effect
        for where in given
        for axis in results.axes
        if where is None or where[0] != axis
        for effect in _of_axis(results, found, axis, baseline.get(axis, results.order[axis][0]), where)
    ]


def _of_axis(
    results: Results, found: dict[Labels, Values], axis: str, reference: str, given: tuple[str, str] | None
) -> Iterator[Effect]:
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
            yield Effect(axis, label, reference, given, len(pairs), paired_difference(*mean))


def _over(parts: Sequence[Values]) -> Values:
    """Each seed's mean over conditions, of the seeds that all of them have."""
    seeds = set.intersection(*(set(part) for part in parts))
    return {seed: sum(part[seed] for part in parts) / len(parts) for seed in sorted(seeds)}


def effect_tables(results: Results, metrics: Sequence[str], baseline: dict[str, str]) -> list[Table]:
    """Two tables a metric: main effects, and effects given each other part, each family guarded by Holm's method."""
    tables = []
    for metric in metrics:
        found = effects(results, metric, baseline)
        for given, words in ((False, "mean over all others"), (True, "given another")):
            family = [effect for effect in found if (effect.given is not None) == given]
            judged = judge([effect.difference for effect in family])
            rows = [
                (
                    Cell(f"{effect.axis}: {effect.label} less {effect.reference}"),
                    *((Cell(" ".join(effect.given)),) if effect.given else ()),
                    number(effect.difference.estimate.mean, "+.4f"),
                    interval(effect.difference.estimate.low, effect.difference.estimate.high, "+.4f"),
                    count(effect.conditions),
                    count(effect.difference.estimate.n),
                    p_value(one.p_holm),
                )
                for effect, one in zip(family, judged, strict=True)
            ]
            header = ("part", *(("given",) if family and given else ()))
            header += ("difference", "95 % interval", "conditions", "seeds", "p (Holm)")
            tables.append(Table(f"{metric}: what each part does, {words}", header, tuple(rows), (_NOTE,)))
    return tables
