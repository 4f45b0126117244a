"""The papers' claims and ours, with every difference stated: what `claims.yaml` says, matched to runs.

A run is compared with a claim if its recipe has the options of the claim's `match` and is on the claim's data. Whole
recipes are compared: the run's with the one that does as the paper did. An absent or partial file shows fewer rows.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from sslrun.errors import InputError
from sslrun.recipe import Recipe, read_recipe
from sslrun.recipe.explain import explain, value_text
from sslrun.report.collecting import Results
from sslrun.report.intervals import Difference, Estimate, estimate, paired_difference
from sslrun.report.table import NONE
from sslrun.report.tables import Labels, conditions, values
from sslrun.runs.folder import RunFolder

CLAIMS = Path(__file__).with_name("claims.yaml")
_PROBES = ("authors_probe.best_on_test", "linear", "knn")
_PROBE_NAMES = {
    "authors_probe.best_on_test": "best of the probe's epochs on the test set",
    "linear": "converged linear probe, nothing of it chosen on the test set",
    "knn": "nearest neighbours",
}
_WEIGHT = ("data", "network", "method", "training", "optimizer", "views")
"""The parts of a recipe that decide a run's numbers, the weightiest first."""
_NO_NUMBERS = ("training.collapse", "training.on_collapse", "training.keep_encoder_at")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's, ten times faster, where it is built in


@dataclass(frozen=True)
class Claim:
    """What a paper says: a number as printed, or a statement where no number is known."""

    paper: str
    table: str
    setting: str
    value: str
    """Top-1 in per cent as printed, with its spread; or nothing."""
    verified: bool
    """Read in the paper's own text."""
    match: Mapping[str, Any]
    """Dotted options that it is about, with their values."""
    reference: str
    """The shipped recipe that does as the paper did, if there is one."""
    protocol: Mapping[str, Any]
    """What of it is otherwise for this claim."""
    against: str
    """The setting of the claim that it is contrasted with."""
    probe: str
    probe_is: str
    seeds: int | None
    metric: str = ""
    """What it is set beside; the linear probe, or what comes next to it, if empty."""


@dataclass(frozen=True)
class Score:
    """A claim and the condition of ours that it is compared with, or none."""

    claim: Claim
    labels: Labels | None
    ours: Estimate | None
    """In per cent."""
    metric: str | None
    differences: tuple[str, ...]
    """What our runs do otherwise, the weightiest first."""
    by_seed: Mapping[int, float] = field(default_factory=dict)
    """In per cent."""


@dataclass(frozen=True)
class Contrast:
    """A claim less the one that it is set against, the paper's and ours, whose runs are otherwise alike."""

    score: Score
    against: Score
    theirs: float
    ours: Difference


def read_claims(path: Path = CLAIMS) -> list[Claim]:
    """The claims of a file; entries that say too little are passed over, and an absent file has none."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)
    except (OSError, yaml.YAMLError):
        return []
    content = content if isinstance(content, dict) else {}
    papers, entries = content.get("papers") or {}, content.get("claims") or []
    found = (_claim(entry, papers) for entry in entries if isinstance(entry, dict))
    return [claim for claim in found if claim is not None]


def _claim(entry: dict[str, Any], papers: dict[str, Any]) -> Claim | None:
    paper = papers.get(str(entry.get("paper")))
    text = entry.get("setting") or entry.get("statement")
    if not isinstance(paper, dict) or not text or not paper.keys() & {"arxiv", "name"}:
        return None
    match = (paper.get("match") or {}) | (entry.get("match") or {}) if entry.get("match") else {}
    protocol = (paper.get("protocol") or {}) | (entry.get("protocol") or {})
    value = str(entry.get("value", "")) + (f" ± {entry['spread']}" if "spread" in entry else "")
    return Claim(
        paper=f"arXiv {paper['arxiv']}" if "arxiv" in paper else str(paper["name"]),
        table=f"Table {entry['table']}" if "table" in entry else str(entry.get("source", "")),
        setting=str(text),
        value=value + (f" (Top-5 {entry['top5']})" if "top5" in entry else ""),
        verified=bool(entry.get("verified", paper.get("verified", False))),
        match=match,
        reference=str(entry.get("reference") or paper.get("reference") or ""),
        protocol=protocol,
        against=str(entry.get("against") or paper.get("against") or ""),
        probe=str(paper.get("probe", "")),
        probe_is=str(paper.get("probe_is", "")),
        seeds=paper.get("seeds"),
        metric=str(entry.get("metric", "")),
    )


def scorecard(results: Results, claims: Sequence[Claim], other_data: bool = False) -> list[Score]:
    """Every claim, in the file's order, with each of our conditions that it is compared with, or alone.

    `other_data` also compares runs with claims that are on other data.
    """
    matched: dict[int, list[Score]] = {}
    asked = dict.fromkeys([*_PROBES, *(claim.metric for claim in claims)])
    measured = {name: values(results, name) for name in asked if name in results.runs}
    options = sorted({option for claim in claims for option in claim.match})
    columns = [results.runs[name].tolist() if name in results.runs else [None] * len(results.runs) for name in options]
    for labels, members in conditions(results).items():
        probe = next((name for name in _PROBES if measured.get(name, {}).get(labels)), None)
        chosen = dict(zip(options, (column[members[0]] for column in columns), strict=True))
        about = [number for number, claim in enumerate(claims) if claim.match and matches(chosen, claim.match)]
        if not about:
            continue
        try:
            ours = read_recipe(RunFolder(results.folder / str(results.runs["folder"].iloc[members[0]])).recipe)
        except InputError:  # damaged, or of a plug-in that is not here
            continue
        for number in about:
            claim, theirs = claims[number], reference(claims[number], chosen)
            metric = claim.metric or probe
            by_seed = {seed: 100 * value for seed, value in measured.get(metric or "", {}).get(labels, {}).items()}
            if metric is None or not by_seed:
                continue
            if theirs is None or other_data or theirs.data.kind == ours.data.kind:
                differences = _differences(ours, theirs, claim, metric, len(by_seed))
                score = Score(claim, labels, estimate(list(by_seed.values())), metric, differences, by_seed)
                matched.setdefault(number, []).append(score)
    scores = []
    for number, claim in enumerate(claims):
        scores += matched.get(number) or [Score(claim, None, None, None, ())]
    return scores


def contrasts(scores: Sequence[Score]) -> list[Contrast]:
    """Each claim less the one that it is set against, where we have runs of both that are otherwise alike."""
    found = []
    for score in scores:
        for other in scores:
            named = (other.claim.paper, other.claim.setting) == (score.claim.paper, score.claim.against)
            alike = (other.differences, other.metric) == (
                score.differences,
                score.metric,
            ) and other.labels != score.labels
            if named and alike and score.ours and other.ours and score.claim.value and other.claim.value:
                theirs = float(score.claim.value.split()[0]) - float(other.claim.value.split()[0])
                found.append(Contrast(score, other, theirs, paired_difference(score.by_seed, other.by_seed)))
    return found


def reference(claim: Claim, chosen: Mapping[str, Any]) -> Recipe | None:
    """The recipe that does as the paper did for a claim; None where the claim names none. `chosen` are options of our
    run: which it is of several that the claim is about.
    """
    if not claim.reference:
        return None
    plain, told = _read(claim.reference), dict(claim.protocol)
    for option, wanted in claim.match.items():
        allowed = wanted if isinstance(wanted, list) else [wanted]
        if not any(_same(option_of(plain, option), one) for one in allowed):
            told[option] = next(
                (one for one in allowed if one is not None and _same(one, chosen.get(option))), allowed[0]
            )
    changes = (f"{option}={json.dumps(told[option])}" for option in sorted(told, key=lambda name: ".kind" not in name))
    return _read(claim.reference, *changes)


@cache
def _read(name: str, *changes: str) -> Recipe:
    return read_recipe(name, changes, whole=True)


def option_of(recipe: Recipe, dotted: str) -> Any:
    """The value of a dotted option; None where the recipe has no such option."""
    value: Any = recipe
    for part in dotted.split("."):
        value = getattr(value, part, None)
    return value


def matches(recipe: Mapping[str, Any], match: Mapping[str, Any]) -> bool:
    """Whether these options, by their dotted names, are what a claim is about."""
    return all(
        any(_same(recipe.get(option), value) for value in (wanted if isinstance(wanted, list) else [wanted]))
        for option, wanted in match.items()
    )


def _same(a: Any, b: Any) -> bool:
    if _absent(a) or _absent(b):
        return _absent(a) and _absent(b)
    if isinstance(a, int | float) and isinstance(b, int | float):
        return math.isclose(a, b, rel_tol=1e-9)
    a, b = (list(value) if isinstance(value, tuple) else value for value in (a, b))
    return bool(a == b)


def _absent(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _differences(ours: Recipe, theirs: Recipe | None, claim: Claim, metric: str, seeds: int) -> tuple[str, ...]:
    found = []
    for each in explain(ours, theirs).differences if theirs is not None else ():
        part = each.path.partition(".")[0]
        if each.part == "science" and part in _WEIGHT and not each.path.startswith(_NO_NUMBERS):
            text = f"{_name(each.path)} {_text(each.a)}, not {_text(each.b)}"
            found.append((_WEIGHT.index(part), text))
    texts = [text for _, text in sorted(found, key=lambda pair: pair[0])]
    if theirs is None:
        texts.append("how it was done there is not known to us")
    elif metric != claim.probe:
        texts.append(f"{_PROBE_NAMES[metric]}, not {claim.probe_is}")
    if claim.seeds is not None and seeds != claim.seeds:
        texts.append(f"{seeds} seed{'s' * (seeds != 1)}, not {claim.seeds}")
    return tuple(texts)


def _name(path: str) -> str:
    """An option by its own name, with that of its section where that says whose it is."""
    *above, name = path.removesuffix(".kind").split(".")
    return " ".join([*above[-1:], name] if len(above) > 1 and above[-1] != "network" else [name]).replace("_", " ")


def _text(value: Any) -> str:
    """A value in few words; a section by its kind."""
    if isinstance(value, Mapping):
        return str(value.get("kind") or "with options of its own")
    return NONE if value is None else f"{value:g}" if isinstance(value, float) else value_text(value)
