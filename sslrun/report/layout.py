"""The tables of a report as cells of text: means by condition, square tables, comparisons, failures, the scorecard.

From the numbers of `tables` and `scorecard`; `formats` and `page` print what comes out.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from sslrun.grids.power import MOST_SEEDS
from sslrun.report.collecting import Results
from sslrun.report.intervals import NO_SPREAD
from sslrun.report.scorecard import Contrast, Score
from sslrun.report.table import NONE, Cell, Table, Texts, count, interval, number, p_value
from sslrun.runs.records import State
from sslrun.runs.verdict import COLLAPSES

Record = Mapping[Any, Any]


def lists(results: Results, means: pd.DataFrame, metrics: Sequence[str], along: Sequence[str], of: str) -> list[Table]:
    """One row a condition; if `along` names only some axes, a table for each combination of the others' labels.
    `of` says over which runs the means are."""
    header = (*along, *(title for metric in metrics for title in (metric, "95 % interval")), "n", "outcome")
    note = f"Mean ± standard deviation over n seeds, {of}; the interval is Student's t for the mean."
    tables = []
    for title, block in _grouped(means.to_dict("records"), _others(results, along)).items():
        forms = {metric: _form([row for row in block if row["metric"] == metric]) for metric in metrics}
        rows = []
        for labels, found in _grouped(block, along).items():
            numbers: list[Cell] = []
            for row in found:
                form = forms[row["metric"]]
                numbers += _mean(row, form), interval(row["low"], row["high"], form)
            least, most = (bound(row["n"] for row in found) for bound in (min, max))
            n = Cell(str(least) if least == most else f"{least} to {most}", most)
            rows.append((*map(_label, labels), *numbers, n, Cell(_outcome(found[0]))))
        tables.append(Table(_named("Results", results, along, title), header, tuple(rows), (note + _cut(block),)))
    return tables


def squares(results: Results, means: pd.DataFrame, along: Sequence[str], across: Sequence[str], of: str) -> list[Table]:
    """A square table for each metric, and for each combination of labels of the axes that are in neither."""
    along = along or [axis for axis in results.axes if axis not in across]
    note = f"Mean ± standard deviation over seeds [95 % t interval of the mean] (number of seeds), {of}."
    ranks = {axis: {label: rank for rank, label in enumerate(results.order[axis])} for axis in across}
    tables = []
    for (metric,), all_rows in _grouped(means.to_dict("records"), ["metric"]).items():
        for title, block in _grouped(all_rows, _others(results, [*along, *across])).items():
            form = _form(block)
            heads = list(_grouped(block, across))
            heads.sort(key=lambda labels: [ranks[axis][label] for axis, label in zip(across, labels, strict=True)])
            rows = []
            for labels, found in _grouped(block, along).items():
                by_head = {tuple(row[axis] for axis in across): row for row in found}
                cells = (_square(by_head[head], form) if head in by_head else Cell(NONE) for head in heads)
                rows.append((*map(_label, labels), *cells))
            header = (*along, *(", ".join(head) for head in heads))
            name = _named(f"{metric} by {', '.join(across)}", results, [*along, *across], title)
            tables.append(Table(name, header, tuple(rows), (note + _cut(block),)))
    return tables


def _cut(rows: Sequence[Record]) -> str:
    """What must be said of intervals that would go beyond what a value can be: below 0 or 1, or above 1."""
    cut = any(row["n"] > 1 and row["std"] > 0 and (row["low"] in (0, 1) or row["high"] == 1) for row in rows)
    return " Intervals are cut where no value can be." * cut


def compared(results: Results, paired: pd.DataFrame, reference: dict[str, str]) -> list[Table]:
    """For each metric the differences from the baseline, and what they allow to say."""
    against = ", ".join(f"{axis} {label}" for axis, label in reference.items())
    header = (
        *(*results.axes, "difference", "95 % interval", "pairs", "p (Holm)", "so"),
        *("could see", "fresh seeds"),
    )
    alike = " that are otherwise alike" if len(reference) < len(results.axes) else ""
    several = ", from which rows may differ in several axes at once" if len(reference) > 1 else ""
    tables: list[Table] = []
    for (metric,), rows in _grouped(paired.to_dict("records"), ["metric"]).items():
        form = f"+{_form(rows)}"
        cells = [
            (
                *(_label(row[axis]) for axis in results.axes),
                number(row["mean"], form),
                interval(row["low"], row["high"], form),
                count(row["n"]),
                p_value(row["p_holm"]),
                Cell(_conclusion(row)),
                _could_see(row["could_see"], form.removeprefix("+")),
                Cell(_fresh(row["fresh_from"], row["fresh_to"]), row["fresh_from"]),
            )
            for row in rows
        ]
        tables.append(Table(f"{metric} against {against}", header, tuple(cells)))
    shown = {cell.text for table in tables for row in table.rows for cell in row[-2:]}
    out_of_reach = " (none: no two proportions differ by so much)" if "none" in shown else ""
    untested = " that have two pairs and a spread" if any(math.isnan(p) for p in paired["p_holm"]) else ""
    empty = f" {NONE}: fewer than two pairs, no spread or no difference to reckon with." if NONE in shown else ""
    notes = (
        f"Differences are taken seed by seed from runs with {against}{alike}{several}. Each interval is "
        "of its comparison alone; p is adjusted by Holm's method for all comparisons of this "
        f"table{untested}. Seeds vary training: of other test images, or other labels, neither says anything.",
        f"Could see: the smallest difference that as many pairs with this spread would show in 80 % of studies"
        f"{out_of_reach}, at 5 % over the number of comparisons, as Holm's method judges the first. "
        f"Fresh seeds: how many new pairs, without these, would show a difference of the size seen as "
        f"often at that level, at the 95 % bounds of the spread.{empty} What was looked at here has had its 5 %: "
        "adding seeds to it until something shows finds differences where there are none.",
    )
    return [*tables[:-1], *(replace(table, notes=notes) for table in tables[-1:])]


def troubles(results: Results) -> list[Table]:
    """The runs that failed or were interrupted, each with the reason that it left; no table if there are none."""
    runs = results.runs
    rows = []
    for row, state in enumerate(runs["status"].tolist() if len(runs) else []):
        if state in (State.FAILED, State.INTERRUPTED):
            reason = runs["reason"].iloc[row]
            why = str(reason).splitlines()[0] if isinstance(reason, str) and reason else "its process is gone"
            labels = (_label(runs[f"axis.{axis}"].iloc[row]) for axis in results.axes)
            seed = int(runs["seed"].iloc[row])
            run = Cell(str(runs["folder"].iloc[row]))
            rows.append((run, *labels, count(seed), Cell(state), Cell(why)))
    header = ("run", *results.axes, "seed", "status", "reason")
    return [Table("Runs that did not finish", header, tuple(rows))] if rows else []


def scored(scores: Sequence[Score]) -> Table:
    """The scorecard. What all of our runs do otherwise than the papers is said once, below the table."""
    header = ("claim", "where", "paper, %", "ours", "ours, %", "seeds", "what we did otherwise")
    ours = [set(score.differences) for score in scores if score.ours is not None]
    always = set.intersection(*ours) if len(ours) > 1 else set()
    notes = ["Papers' numbers are Top-1 as printed, mean ± standard deviation; ours likewise, over all finished seeds."]
    if always:
        first = next(score for score in scores if score.ours is not None)
        notes.append("Everywhere otherwise: " + "; ".join(each for each in first.differences if each in always) + ".")
    return Table(
        "Scorecard: papers beside ours", header, tuple(_score(score, always) for score in scores), tuple(notes)
    )


def contrasted(found: Sequence[Contrast]) -> list[Table]:
    """Differences between claims beside those of our runs, which leave out what both of a pair do otherwise."""
    rows = tuple(
        (
            Cell(f"{each.score.claim.setting} – {each.against.claim.setting}"),
            Cell(f"{each.theirs:+.2f}", each.theirs),
            Cell(", ".join(each.score.labels or ()) + " – " + ", ".join(each.against.labels or ())),
            number(each.ours.estimate.mean, "+.2f"),
            interval(each.ours.estimate.low, each.ours.estimate.high, "+.2f"),
            count(each.ours.estimate.n),
        )
        for each in found
        if each.ours.estimate.n
    )
    header = ("claims", "paper, %", "ours", "ours, %", "95 % interval", "pairs")
    note = "Runs of a pair differ in nothing but what the claims are about. Paired by seed; each interval is its own."
    return [Table("Scorecard: contrasts", header, rows, (note,))] if rows else []


def unscored(scores: Sequence[Score]) -> Table:
    """The claims that no run of ours can be compared with."""
    rows = tuple(_claim(score) for score in scores)
    return Table("Claims without a run here", ("claim", "where", "paper, %"), rows)


def _claim(score: Score) -> tuple[Cell, Cell, Cell]:
    claim = score.claim
    where = f"{claim.paper}, {claim.table}" + ("" if claim.verified else " (not verified)")
    number = float(claim.value.split()[0]) if claim.value else None
    return Cell(claim.setting), Cell(where), Cell(claim.value or "no number", number)


def _score(score: Score, always: set[str]) -> tuple[Cell, ...]:
    if score.ours is None or score.labels is None:
        raise ValueError("a claim without runs has no row in the scorecard")
    ours = score.ours
    mean = Cell(f"{ours.mean:.2f}" + (f" ± {ours.std:.2f}" if ours.n > 1 else ""), ours.mean)
    rest = "as below" if len(always) > 1 else "nothing more" if always else "nothing"
    otherwise = "; ".join(each for each in score.differences if each not in always) or rest
    condition = Cell(", ".join(score.labels) or "all runs")
    return (*_claim(score), condition, mean, count(ours.n), Cell(otherwise))


def _conclusion(row: Record) -> str:
    if row["n"] == 0:
        return "no seed in common"
    if row["distinguishable"]:
        return "higher" if row["mean"] > 0 else "lower"
    if row["n"] == 1:
        return "not distinguishable: one seed tells nothing of the spread"
    if row["std"] <= NO_SPREAD and row["mean"]:
        return "not distinguishable: all seeds differ by the same, no spread to judge by"
    return "not distinguishable"


def _could_see(least: float, form: str) -> Cell:
    return Cell("none", least) if math.isinf(least) else number(least, form)


def _fresh(least: float, most: float) -> str:
    if math.isnan(least):
        return NONE
    if math.isinf(least):
        return f"over {MOST_SEEDS:,}"
    return (
        f"{least:.0f}"
        if least == most
        else f"{least:.0f} to " + (f"{MOST_SEEDS:,}+" if math.isinf(most) else f"{most:.0f}")
    )


def _others(results: Results, shown: Sequence[str]) -> list[str]:
    return [axis for axis in results.axes if axis not in shown]


def _named(what: str, results: Results, shown: Sequence[str], labels: Texts) -> str:
    others = (f"{axis} {label}" for axis, label in zip(_others(results, shown), labels, strict=True))
    return "; ".join([what, *others])


def _grouped(rows: Sequence[Record], keys: Sequence[str]) -> dict[Texts, list[Record]]:
    groups: dict[Texts, list[Record]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    return groups


def _label(text: str) -> Cell:
    try:
        return Cell(text, float(text))
    except ValueError:
        return Cell(text)


def _form(rows: Sequence[Record]) -> str:
    """A format with two digits of the usual spread; at least three decimals for numbers up to 1, at most five."""
    spreads = sorted(row["std"] for row in rows if row["std"] > 0)
    largest = max((abs(row["mean"]) for row in rows if row["n"]), default=0.0)
    middle = spreads[len(spreads) // 2] if spreads else largest / 100 or 1.0
    return f".{min(max(1 - math.floor(math.log10(middle)), 3 if largest <= 1 else 0), 5)}f"


def _mean(row: Record, form: str) -> Cell:
    if row["n"] == 0:
        return Cell(NONE)
    mean, spread = (f"{row[name]:{form}}" for name in ("mean", "std"))
    return Cell(f"{mean} ± {spread}" if row["n"] > 1 else mean, row["mean"])


def _square(row: Record, form: str) -> Cell:
    trouble = _outcome(row, well=False)
    if row["n"] == 0:
        return Cell(trouble or NONE)
    low, high = (f"{row[bound]:{form}}" for bound in ("low", "high"))
    bounds = f" [{low}, {high}]" if row["n"] > 1 else ""
    return Cell(f"{_mean(row, form).text}{bounds} ({row['n']}{', ' * bool(trouble)}{trouble})", row["mean"])


def _outcome(row: Record, well: bool = True) -> str:
    """How a condition's runs ended, in words; without `well` only what is to be said against them."""
    parts = [(row[kind], f"{kind} collapse") for kind in COLLAPSES]
    parts += [(row[state], state) for state in ("failed", "unfinished", "missing")]
    rest = row["runs"] - sum(count for count, _ in parts)
    shown = [*([(rest, "no collapse")] if well else []), *parts]
    return ", ".join(f"{count} {state}" for count, state in shown if count)
