"""A report before it has a format: its tables in order, the lines around them, and the same for programs.

`build` puts one together from a results folder (`collecting`); `formats` and `page` show it.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from sslrun.errors import InputError
from sslrun.files import read_json
from sslrun.recipe.schema import Recipe
from sslrun.report import layout
from sslrun.report.claims import read_claims
from sslrun.report.collecting import Results
from sslrun.report.differing import set_beside
from sslrun.report.effects import Effect, effect_tables
from sslrun.report.effects import effects as found_effects
from sslrun.report.scorecard import Score, contrasts, scorecard
from sslrun.report.slopes import slope_tables, slopes
from sslrun.report.table import Table
from sslrun.report.tables import (
    check_metrics,
    comparable,
    comparisons,
    conditions,
    default_metrics,
    read_baseline,
    read_labels,
    summary,
    unasked,
    unpaired,
    yardsticks,
)
from sslrun.runs.cells import main_numbers
from sslrun.runs.folder import RunFolder
from sslrun.runs.records import FINISHED

_MOST_REPEATS = 3


@dataclass(frozen=True)
class Document:
    """Everything that a report says."""

    results: Results
    metrics: tuple[str, ...]
    baseline: dict[str, str]
    summary: pd.DataFrame
    comparisons: pd.DataFrame
    scores: tuple[Score, ...]
    """All claims, those without a run included."""
    effects: tuple[Effect, ...]
    slopes: tuple[dict[str, Any], ...]
    tables: tuple[Table, ...]
    notes: tuple[str, ...]
    without_collapsed: bool
    command: str = ""
    """What prints it again, of a report that is written to a file."""

    @property
    def matched(self) -> list[Score]:
        """The claims that runs of ours can be compared with."""
        return [score for score in self.scores if score.ours is not None]


def build(
    results: Results,
    *,
    where: Sequence[str] = (),
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    mean: Sequence[str] = (),
    metrics: Sequence[str] = (),
    baseline: str | None = None,
    slope: str | None = None,
    without_collapsed: bool = False,
    other_data: bool = False,
    effects: bool = False,
) -> Document:
    """The report of `results`, or with `where` (`axis=label`, several) of those of its runs that have these labels.

    `rows` and `columns` name axes; with `columns` tables are square. Axes that neither names give a table for each of
    their labels, so that no mean is over anything but seeds; but axes in `mean` are averaged over within each seed
    first. `slope` names an axis of numbers: the metrics are laid against its logarithm. `other_data` sets papers'
    numbers on other data beside ours too; `effects` says what each axis does in place of what each condition is against
    the baseline.

    Raises `InputError` for axes, metrics and labels that are not there.
    """
    if where:
        results = results.only([pair for text in where for pair in read_labels(results, text, "--where")])
    if mean:
        results = results.over(mean)
    along, across = ([results.axis(name) for name in names] for names in (rows, columns))
    twice = sorted(set(along) & set(across))
    if twice:
        raise InputError(f"{', '.join(twice)} can't be in --rows and --columns at once")
    chosen = check_metrics(results, metrics) if metrics else default_metrics(results)
    reference = read_baseline(results, baseline)
    means = summary(results, chosen, without_collapsed)
    paired = comparisons(results, chosen, reference, without_collapsed)
    scores = tuple(
        scorecard(results, [] if mean else read_claims(), other_data)
    )  # papers' numbers are of one condition
    of = "collapsed runs left out" if without_collapsed else "collapsed runs included"
    tables = (
        layout.squares(results, means, along, across, of)
        if across
        else layout.lists(results, means, chosen, along or results.axes, of)
    )
    parts = [each for metric in chosen for each in found_effects(results, metric, reference)] if effects else []
    tables += effect_tables(results, parts, chosen) if effects else layout.compared(results, paired, reference)
    lines = [] if slope is None else slopes(results, chosen, results.axis(slope), without_collapsed)
    tables += slope_tables(lines)
    tables += layout.troubles(results)
    matched = [score for score in scores if score.ours is not None]
    if matched:
        tables += [layout.scored(matched), *layout.contrasted(contrasts(matched))]
    count = int(results.runs["folder"].nunique()) if "folder" in results.runs else 0
    notes = [
        f"{count} run{'s' * (count != 1)} in {results.folder}",
        *results.notes,
        *yardsticks(results, chosen),
        *(line for axis in results.axes if results.grid for line in set_beside(results.runs, axis)),
        *mixtures(results),
        *repeats(results),
    ]
    if reference and not effects and (left := unpaired(results, reference)):
        against = ", ".join(f"{axis} {label}" for axis, label in reference.items())
        these = f"{left} of {len(conditions(results))} conditions {'is' if left == 1 else 'are'}"
        notes.append(f"{these} not compared: no condition with {against} is otherwise alike")
    if not metrics and (more := main_numbers(results.numbers[name] for name in unasked(results) - set(chosen))):
        names = ", ".join(sorted(map(str, more)))
        notes.append(f"not asked for by the grid, so shown with --metric alone: {names}")
    if len(paired) and baseline is None:
        notes.append("compared with the grid's baseline: --baseline AXIS=LABEL takes another")
    if not reference:
        able = comparable(results, chosen, without_collapsed)
        notes += [f"nothing is compared: --baseline {axis}={label} would" for axis, label in able]
    if matched and len(scores) > len(matched):
        alone = sum(score.ours is None for score in scores)
        notes.append(f"{alone} claims of the papers have no run here")
    return Document(
        results=results,
        metrics=tuple(chosen),
        baseline=reference,
        summary=means,
        comparisons=paired,
        scores=scores,
        effects=tuple(parts),
        slopes=tuple(lines),
        tables=tuple(tables),
        notes=tuple(notes),
        without_collapsed=without_collapsed,
    )


def as_json(document: Document) -> dict[str, Any]:
    """The report for programs: all that its tables say as numbers; what differs between equal runs apart."""
    results = document.results
    timing, axes = results.timing, {f"axis.{axis}" for axis in results.axes}
    names = [name for name in results.runs if name not in timing and name not in axes]
    runs = [
        {"labels": {axis: row[f"axis.{axis}"] for axis in results.axes}, **{name: row[name] for name in names}}
        for row in results.runs.to_dict("records")
    ]
    whole = {
        "grid": results.grid,
        "axes": list(results.axes),
        **({"command": document.command} if document.command else {}),
        "metrics": list(document.metrics),
        "baseline": document.baseline,
        "conditions": document.summary.to_dict("records"),
        "comparisons": document.comparisons.to_dict("records"),
        "effects": [effect.as_json() for effect in document.effects],
        "slopes": list(document.slopes),
        "runs": runs,
        "scorecard": [asdict(score) for score in document.matched],
        "left_out": [{"path": path, "why": why} for path, why in results.left_out],
        "notes": list(document.notes),
        "timing": results.runs[["folder", *timing]].to_dict("records") if len(results.runs) else [],
    }
    plain: dict[str, Any] = _plain(whole)
    return plain


def _plain(value: Any) -> Any:
    """As JSON has it: null for what is not a number."""
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is pd.NA or value is pd.NaT:
        return None
    return value.item() if hasattr(value, "item") else value


def mixtures(results: Results) -> list[str]:
    """A line that says what the finished runs differ in, beside what axes say, and whether within a mean; or none."""
    if not len(results.runs):
        return []
    names = ("status", "folder", "run.device", "training.precision")
    columns = [results.runs[name].tolist() if name in results.runs else [None] * len(results.runs) for name in names]
    runs = enumerate(zip(*columns, strict=True))
    told = {row: _told(results, *run) for row, (state, *run) in runs if state in FINISHED}
    groups = [[told[row] for row in members if row in told] for members in conditions(results).values()]
    if averaged := _differing([group for group in groups if len(group) > 1]):
        return [f"averaged together are runs {averaged}"]
    compared = _differing([[each for group in groups for each in group]])
    return [f"compared are runs {compared}"] if compared else []


def repeats(results: Results) -> list[str]:
    """A line that names the finished runs of one condition and seed, which count by their mean, and says in what they
    differ; or none."""
    if not len(results.runs):
        return []
    keys = [*(f"axis.{axis}" for axis in (*results.axes, *results.averaged)), "seed"]
    done = results.runs[results.runs["status"].isin(FINISHED)]
    several = done[done.groupby(keys)["identity"].transform("nunique") > 1]
    found = [runs for _, runs in several.groupby(keys, sort=False)]
    if not found:
        return []
    what = " or ".join(dict.fromkeys(each for runs in found for each in _apart(runs)))
    named = "; ".join(", ".join(runs["folder"]) for runs in found[:_MOST_REPEATS])
    more = f"; and {len(found) - _MOST_REPEATS} times more" if len(found) > _MOST_REPEATS else ""
    return [f"averaged as if they were one are runs of the same seed that differ in {what}: {named}{more}"]


def _apart(runs: pd.DataFrame) -> list[str]:
    """What runs differ in that are of one condition: options that only say where files are, else what no recipe says,
    the plug-ins' sources and the contents of files."""
    science = set(Recipe.model_fields) - {"name", "seed", "run", "evaluation"}
    options = [name for name in map(str, runs) if name.partition(".")[0] in science]
    differing = [name for name in options if runs[name].nunique(dropna=False) > 1]
    plugins = dict.fromkeys(name for names in runs.get("imports", ()) if isinstance(names, tuple) for name in names)
    return differing or [*(f"the source of the plug-in {name}" for name in plugins), "the files that they read"]


def _told(results: Results, folder: str, device: Any, precision: Any) -> dict[str, str]:
    """What a run was done with: the words of `of 2 versions of torch`, and which one."""
    try:
        about: dict[str, Any] = read_json(RunFolder(results.folder / folder).environment)
        on_gpu = device not in ("cpu", "mps") and bool(about.get("gpus"))
        found = {
            "of {} versions of torch": about.get("torch"),
            "of {} versions of sslrun": about.get("sslrun"),
            "on {} kinds of processor": about["gpus"][0] if on_gpu else about.get("cpu"),
        }
    except (OSError, ValueError, TypeError, AttributeError, LookupError):
        found = {}  # damaged, or of another hand: nothing is known
    found["in {} precisions"] = precision
    return {words: str(value) for words, value in found.items() if isinstance(value, str)}


def _differing(groups: Sequence[Sequence[dict[str, str]]]) -> str:
    """`of 2 versions of torch (1.13.0, 2.9.0) and in 2 precisions (...)`, of what differs within any group."""
    parts: dict[str, set[str]] = {}
    for group in groups:
        for words in dict.fromkeys(words for told in group for words in told):
            kinds = {told[words] for told in group if words in told}
            if len(kinds) > 1:
                parts.setdefault(words, set()).update(kinds)
    return ", ".join(f"{words.format(len(kinds))} ({', '.join(sorted(kinds))})" for words, kinds in parts.items())
