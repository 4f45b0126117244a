"""The numbers of a report: each condition's mean over seeds, and paired comparisons with a baseline.

Pandas tables in full precision, made from `collecting.Results` with the formulas of `intervals`; how they look is
`layout`'s and `formats`' to say.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean

import pandas as pd

from sslrun.errors import InputError
from sslrun.recipe.schema import Recipe
from sslrun.recipe.schema.judging import evaluations
from sslrun.report.collecting import Results
from sslrun.report.intervals import Difference, estimate, judge, paired_difference
from sslrun.runs.cells import SECONDS, main_numbers
from sslrun.runs.records import FINISHED, UNFINISHED, State
from sslrun.runs.resolving import one_of
from sslrun.runs.verdict import COLLAPSES

Labels = tuple[str, ...]
Values = dict[int, float]
_LEAST = {"std": 0.0, "size": 0.0, "rank": 0.0, "plateau": 1.0}
"""Signals that can't be smaller."""


def default_metrics(results: Results) -> list[str]:
    """The evaluations' accuracies (of those without one their averages over domains, or else the first metric), as far
    as any run has them, of a grid those that it asks for; where no run has an evaluation, as without labels, the
    verdict's signals."""
    runs = results.runs
    columns = [name for name in map(str, runs) if name not in results.timing]
    filled = [name for name in columns if runs[name].notna().any()]
    signals = signals_of(runs)
    ended = len(runs) > 0 and runs["status"].isin(FINISHED).any()
    others = unasked(results)
    asked = [name for name in filled if name not in others]
    return (
        _accuracies(results, asked)
        or _accuracies(results, filled)
        or (ended and signals)
        or _accuracies(results, columns)
        or signals
    )


def signals_of(runs: pd.DataFrame) -> list[str]:
    """The signals that the verdicts of some runs rest on: `std`, `rank`, and `size` where a loss is of it too."""
    sized = "verdict.size" in runs and runs["verdict.size"].notna().any()
    return [name for name in ("std", *(["size"] if sized else []), "rank") if name in runs]


def unasked(results: Results) -> set[str]:
    """The columns of evaluations that runs of a grid have and its cells do not ask for."""
    return results.numbers.keys() - results.asked if results.asked else set()


def _accuracies(results: Results, columns: Sequence[str]) -> list[str]:
    return [
        str(number) for number in main_numbers(results.numbers[name] for name in columns if name in results.numbers)
    ]


def check_metrics(results: Results, names: Sequence[str]) -> list[str]:
    """`names`, each a numeric signal or evaluation of the runs; one by other settings, or by another source of a
    plug-in, may go without saying these if there is one alone. Raises `InputError` with the nearest for any other."""
    given = {*Recipe.model_fields, "verdict", "epoch", "step"}
    signals = [name for name in map(str, results.runs) if name.partition(".")[0] not in given]
    allowed = [name for name in signals if _numeric(results.runs[name])]
    bare = {name: re.sub(r"\[.*\]", "", name) for name in allowed}
    return [one_of(name, allowed, "metric", [one for one in allowed if bare[one] == name]) for name in names]


def _numeric(column: pd.Series) -> bool:
    return bool(pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column))


def conditions(results: Results) -> dict[Labels, list[int]]:
    """Row numbers of each condition's runs, in the order of the axes' labels; one condition without axes."""
    columns = [results.runs[f"axis.{axis}"].tolist() for axis in results.axes]
    groups: dict[Labels, list[int]] = {}
    for row in range(len(results.runs)):
        groups.setdefault(tuple(column[row] for column in columns), []).append(row)
    rank = [{label: number for number, label in enumerate(results.order[axis])} for axis in results.axes]
    return dict(sorted(groups.items(), key=lambda item: [rank[i][label] for i, label in enumerate(item[0])]))


def values(results: Results, metric: str, without_collapsed: bool = False) -> dict[Labels, Values]:
    """For each condition a metric by seed, of its finished runs; two runs of one seed count by their mean.

    Where axes are averaged, a seed counts if it has a number at each of the condition's labels on them; in a grid, at
    each that the grid has for this seed.
    """
    seeds, states, numbers = (results.runs[name].tolist() for name in ("seed", "status", metric))
    averaged = list(zip(*(results.runs[f"axis.{axis}"] for axis in results.averaged), strict=True)) or [()] * len(seeds)
    counted = FINISHED[:1] if without_collapsed else FINISHED
    found = {}
    for labels, rows in conditions(results).items():
        by_seed: dict[int, dict[Labels, list[float]]] = {}
        for row in rows:
            if states[row] in counted and numbers[row] is not None and math.isfinite(numbers[row]):
                by_seed.setdefault(int(seeds[row]), {}).setdefault(averaged[row], []).append(float(numbers[row]))
        wanted: dict[int | None, set[Labels]] = {}
        for row in rows:
            wanted.setdefault(int(seeds[row]) if results.grid else None, set()).add(averaged[row])
        found[labels] = {
            seed: fmean(fmean(several) for several in parts.values())
            for seed, parts in sorted(by_seed.items())
            if parts.keys() == wanted[seed if results.grid else None]
        }
    return found


def proportion(results: Results, metric: str) -> bool:
    """Whether a metric is a part of one, as accuracies are: an evaluation's number that never leaves 0 to 1."""
    number = results.numbers.get(metric)
    column = results.runs[metric].dropna() if number is not None and number.metric != SECONDS else []
    return len(column) > 0 and all(0 <= value <= 1 for value in column)


def level(results: Results, metric: str, baseline: str) -> float | None:
    """What a metric is of a baseline (`untrained`, `pixels`), over conditions and seeds; None if no run has that."""
    judged = results.numbers.get(metric)
    column = str(replace(judged, baseline=baseline)) if judged and not judged.baseline else ""
    found = values(results, column) if column in results.runs else {}
    numbers = [number for by_seed in found.values() for number in by_seed.values()]
    return fmean(numbers) if numbers else None


def yardsticks(results: Results, metrics: Sequence[str]) -> list[str]:
    """Lines on what the encoder that training starts from has in these metrics, and what raw pixels have."""
    lines = []
    for baseline in ("untrained", "pixels"):
        levels = {metric: level(results, metric, baseline) for metric in metrics}
        told: dict[str, list[str]] = {}
        for metric, number in levels.items():
            if number is not None:
                told.setdefault(whose(results, metric, baseline), []).append(f"{metric} {number:.3f}")
        lines += [f"{who}, mean over conditions and seeds: {', '.join(each)}" for who, each in told.items()]
    return lines


def whose(results: Results, metric: str, baseline: str) -> str:
    """Who a baseline is, in words, as a metric judges it: its weights may have been trained for that."""
    words = {"untrained": "the untrained encoder", "pixels": "raw pixels"}[baseline]
    number = results.numbers.get(metric)
    section = evaluations().get(number.kind) if number is not None else None
    trained = section is not None and number is not None and section.trains_baseline(baseline, number.metric)
    return f"{words}, fine-tuned" if trained else words


def reach(results: Results, metric: str) -> tuple[float, float]:
    """The least and the most that a metric can be: intervals end there."""
    if proportion(results, metric):
        return 0.0, 1.0
    return _LEAST.get(metric, -math.inf), math.inf


def summary(results: Results, metrics: Sequence[str], without_collapsed: bool = False) -> pd.DataFrame:
    """One row a condition and metric: labels, `n`, `mean`, `std`, 95 % interval (`low`, `high`; cut at `reach`), and
    of how many `runs`, how many are a `dimensional` or a `complete` collapse (counted in the mean unless
    `without_collapsed`), `failed`, `unfinished` and `missing`."""
    states = results.runs["status"].tolist() if len(results.runs) else []
    verdicts = results.runs["verdict"].tolist() if "verdict" in results.runs else [None] * len(states)
    by_metric = {metric: values(results, metric, without_collapsed) for metric in metrics}
    ends = {metric: reach(results, metric) for metric in metrics}
    rows = []
    for labels, members in conditions(results).items():
        there = [states[row] for row in members]
        collapsed = [verdicts[row] for row in members if states[row] == State.COLLAPSED]
        outcome = {
            "runs": len(there),
            **{kind: collapsed.count(kind) for kind in COLLAPSES},
            "failed": there.count(State.FAILED),
            "unfinished": sum(state in UNFINISHED for state in there),
            "missing": there.count(State.MISSING),
        }
        for metric in metrics:
            found = estimate(list(by_metric[metric][labels].values())).within(*ends[metric])
            rows.append({**dict(zip(results.axes, labels, strict=True)), "metric": metric, **vars(found), **outcome})
    outcomes = ["runs", *COLLAPSES, "failed", "unfinished", "missing"]
    return pd.DataFrame(rows, columns=[*results.axes, "metric", "n", "mean", "std", "low", "high", *outcomes])


def read_baseline(results: Results, text: str | None) -> dict[str, str]:
    """`axis=label,axis=label` as axes and labels; the grid's own baseline for none. Raises `InputError`."""
    return dict(read_labels(results, text, "--baseline")) if text else results.baseline


def read_labels(results: Results, text: str, option: str) -> list[tuple[str, str]]:
    """The axis and the label of each `axis=label` in a text that `option` gives. Raises `InputError`."""
    found = []
    for part in re.split(r",(?=[^,=]*=)", text):  # labels may hold commas: `unseen=clipart, infograph`
        name, equals, label = part.partition("=")
        if not equals:
            what = f"{option} {text!r} names no label"
            raise InputError(what, remedy="Give axis=label, for example predictor=linear.")
        axis = results.axis(name.strip())
        found.append((axis, results.label(axis, label.strip())))
    return found


def comparable(results: Results, metrics: Sequence[str], without_collapsed: bool) -> list[tuple[str, str]]:
    """The first axis and label that, as a baseline, something could be compared with, seed by seed; empty for none."""
    for metric in metrics:
        found = [each for each in values(results, metric, without_collapsed).items() if each[1]]
        for place, axis in enumerate(results.axes):
            firsts: dict[Labels, tuple[str, Values]] = {}
            for labels, ours in found:
                first, theirs = firsts.setdefault(labels[:place] + labels[place + 1 :], (labels[place], ours))
                if theirs is not ours and theirs.keys() & ours.keys():
                    return [(axis, first)]
    return []


def unpaired(results: Results, baseline: Mapping[str, str]) -> int:
    """How many conditions are not compared, as none that is otherwise alike has the baseline's labels."""
    there = conditions(results)
    return sum(_reference(results, labels, baseline) not in there for labels in there)


def _reference(results: Results, labels: Labels, baseline: Mapping[str, str]) -> Labels:
    return tuple(baseline.get(axis, label) for axis, label in zip(results.axes, labels, strict=True))


def comparisons(
    results: Results, metrics: Sequence[str], baseline: Mapping[str, str], without_collapsed: bool = False
) -> pd.DataFrame:
    """Every condition against the one that has `baseline`'s labels and is otherwise alike, paired by seed.

    One row a condition and metric: labels, `mean` difference, its 95 % interval, number of pairs `n`, `p`, `p_holm`
    (over all comparisons of the metric), `distinguishable`, and what else `intervals.Judged` says;
    `could_see` is infinite where proportions can't differ by so much.
    """
    judgement = ["p_holm", "distinguishable", "could_see", "fresh_from", "fresh_to"]
    columns = [*results.axes, "metric", "n", "mean", "std", "low", "high", "p", *judgement]
    if not baseline:
        return pd.DataFrame(columns=columns)
    rows = []
    for metric in metrics:
        by_labels, of_one = values(results, metric, without_collapsed), proportion(results, metric)
        found: list[tuple[Labels, Difference]] = []
        for labels, ours in by_labels.items():
            reference = _reference(results, labels, baseline)
            if reference != labels and reference in by_labels:
                found.append((labels, paired_difference(ours, by_labels[reference])))
        for (labels, difference), judged in zip(found, judge([each for _, each in found]), strict=True):
            rows.append(
                {
                    **dict(zip(results.axes, labels, strict=True)),
                    "metric": metric,
                    **vars(difference.estimate.within(-1.0, 1.0) if of_one else difference.estimate),
                    "p": difference.p,
                    **{name: getattr(judged, name) for name in judgement},
                    "could_see": math.inf if of_one and judged.could_see > 1 else judged.could_see,
                }
            )
    return pd.DataFrame(rows, columns=columns)
