"""The options in which the recipes of runs differ, as axes of a report: which of them, their labels and short names."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from sslrun.grids.checking import TABLE_COLUMNS
from sslrun.recipe.introspect import operational, sections
from sslrun.recipe.schema import Evaluation, Recipe
from sslrun.recipe.schema.base import Section
from sslrun.report.table import NONE

Labels = dict[str, list[str]]
"""By column of `load_runs`, what each row says."""

_JUDGED_ALIKE = {
    f"evaluation.{name}" for name, field in Evaluation.model_fields.items() if not sections(field.annotation)
}
"""What of `evaluation` changes no metric's meaning."""
_DATA = "data"
_BESIDE = (_DATA, "plugins")
"""The columns that tell runs on other contents of data, and by other sources of plug-ins, apart."""
_MOST_AXES, _MOST_TOLD = 4, 6
_NUMBER = 1
"""Where numbers stand among labels: behind none, before words."""


def axes(runs: pd.DataFrame) -> tuple[Labels, Labels]:
    """The columns that rows are told apart by, and what else differs between rows.

    Of the first are as few as tell all rows apart, and then, lest one of these be blamed alone, what differs just as it
    does; but not what goes with the kind of its section, or as a learning rate with the method, nor too much to show.
    """
    found = differing(runs)

    def finer(name: str, than: Sequence[str]) -> bool:
        rows = _rows(found, than, len(runs))
        return len(set(zip(rows, found[name], strict=True))) > len(set(rows))

    apart: list[str] = []
    for name in found:
        apart += [name] * finer(name, apart)
    kinds = [f"{section}.kind" for section in Recipe.model_fields if f"{section}.kind" in apart]
    rest = [name for name in found if name not in apart and not of_a_kind(name, found)]
    also = [name for name in rest if finer(name, [*kinds, *_kinds_above(name, found)])][
        : max(0, _MOST_AXES - len(apart))
    ]
    for name in [name for name in _BESIDE if name in runs]:
        alike = runs[name].groupby(pd.Series(_rows(found, apart, len(runs)), runs.index))
        found[name] = [_label(value) for value in alike.transform(_known)]
        also += [name] * finer(name, apart)
    shown = {*apart, *also}
    return (
        {name: labels for name, labels in found.items() if name in shown},
        {name: found[name] for name in rest if name not in shown},
    )


def differing(runs: pd.DataFrame) -> Labels:
    """Every option in which the recipes differ that changes what is computed, kinds first: these say most."""
    parts, left_out = set(Recipe.model_fields) - {"name", "seed", "run"}, {*_operational(Recipe), *_JUDGED_ALIKE, _DATA}
    candidates = [name for name in runs.columns if name.partition(".")[0] in parts and name not in left_out]
    found = {name: [_label(value) for value in runs[name]] for name in candidates}
    ordered = sorted(found, key=lambda name: not name.endswith(".kind"))
    return {name: found[name] for name in ordered if len(set(found[name])) > 1}


def set_beside(runs: pd.DataFrame, axis: str) -> list[str]:
    """What the labels of a grid's axis set beside what they say, as a rate that goes with the predictor: a line for
    each option that they decide and all runs have. Kinds, numbers as they are, and words of one label each go without.
    """
    there = runs[runs["folder"].notna()] if "folder" in runs else runs[:0]
    labels, lines = there[f"axis.{axis}"].tolist(), []
    for name, values in differing(there).items():
        pairs = dict.fromkeys(zip(labels, values, strict=True))
        if len(pairs) > len(set(labels)) or NONE in values or name.endswith(".kind"):
            continue
        read = [(_number_or_text(label)[:2], _number_or_text(value)[:2]) for label, value in pairs]
        as_written = all(label == value and value[0] == _NUMBER for label, value in read)
        if as_written or (len(set(values)) == len(pairs) and any(value[0] != _NUMBER for _, value in read)):
            continue
        of_value = {value: [label for label, other in pairs if other == value] for value in ascending(values)}
        lines.append(f"{axis} sets {name}: " + "; ".join(f"{one} {' | '.join(of)}" for one, of in of_value.items()))
    return lines


def told(labels: Mapping[str, Sequence[str]]) -> str:
    """`training.epochs 4 | 8, ...`, of no more options and labels than can be read."""
    parts = []
    for name in list(labels)[:_MOST_TOLD]:
        there = ascending(labels[name])
        parts.append(f"{name} {' | '.join([*there[:_MOST_TOLD], *['...'] * (len(there) > _MOST_TOLD)])}")
    more = len(labels) - _MOST_TOLD
    return ", ".join(parts) + (f", and {more} more" if more > 0 else "")


def ascending(labels: Sequence[str]) -> list[str]:
    """Each label once: none, then numbers, then words."""
    return sorted(set(labels), key=_number_or_text)


def short_names(columns: Sequence[str]) -> list[str]:
    """Each column by as few of its last parts as tell it from the others, and from the tables' own columns; `.kind`
    goes without saying."""
    paths = [column.removesuffix(".kind").split(".") for column in columns]
    return [next(filter(_only_in(paths), _endings(path)), column) for path, column in zip(paths, columns, strict=True)]


def _rows(found: Labels, columns: Sequence[str], count: int) -> list[tuple[str, ...]]:
    return list(zip(*(found[name] for name in columns), strict=True)) or [()] * count


def _kinds_above(name: str, found: Labels) -> list[str]:
    """The columns of the kinds that its sections have, where these differ."""
    above = [f"{name[: dot.start()]}.kind" for dot in re.finditer(r"\.", name)]
    return [kind for kind in above if kind in found and kind != name]


def of_a_kind(name: str, found: Labels) -> bool:
    """Whether an option is only there or not, as the kind of its section has it or not."""
    return len({*found[name]} - {NONE}) < 2 and bool(_kinds_above(name, found))


def _known(data: pd.Series) -> pd.Series:
    """The data, or the sources, of runs that are otherwise alike; those that didn't keep it are taken for runs on the
    only one known."""
    known = data.dropna().unique()
    return data.fillna(known[0]) if len(known) == 1 else data


def _operational(section: type[Section], above: str = "") -> Iterator[str]:
    """The dotted paths of all options that don't change what is computed."""
    for name, field in section.model_fields.items():
        if operational(field):
            yield above + name
        for inner in sections(field.annotation):
            yield from _operational(inner, f"{above}{name}.")


def _endings(path: list[str]) -> Iterator[str]:
    return (".".join(path[-n:]) for n in range(1, len(path) + 1))


def _only_in(paths: list[list[str]]) -> Callable[[str], bool]:
    return lambda ending: ending not in TABLE_COLUMNS and sum(ending in _endings(path) for path in paths) == 1


def _label(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_label, value))
    if value is None or value != value:
        return NONE
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{int(value)}" if value.is_integer() and abs(value) < 1e15 else f"{value:g}"
    return str(value)


def _number_or_text(label: str) -> tuple[int, float, str]:
    try:
        return (_NUMBER, float(label), label)
    except ValueError:
        return (0 if label == NONE else _NUMBER + 1, 0.0, label)
