"""The papers' claims and ours, with every difference in protocol stated: what `claims.yaml` says, matched to runs.

A run is compared with a claim if its recipe has the options of the claim's `match`. Claims on the run's own data come
first; those on other data are shown only where there is none. An absent or partial file shows fewer rows.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sslrun.report.collecting import Results
from sslrun.report.intervals import Estimate, estimate
from sslrun.report.table import NONE
from sslrun.report.tables import Labels, conditions, values

CLAIMS = Path(__file__).with_name("claims.yaml")
_PROBES = ("authors_probe.best_on_test", "linear", "knn")
_PROBE_NAMES = {
    "authors_probe.best_on_test": "best of the probe's epochs on the test set",
    "linear": "converged linear probe, nothing of it chosen on the test set",
    "knn": "nearest neighbours",
}
_DATA = "data.kind"
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
    protocol: Mapping[str, Any]
    probe: str
    probe_is: str
    seeds: int | None


@dataclass(frozen=True)
class Score:
    """A claim and the condition of ours that it is compared with, or none."""

    claim: Claim
    labels: Labels | None
    ours: Estimate | None
    """In per cent."""
    metric: str | None
    differences: tuple[str, ...]
    """What our runs do otherwise."""


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
    if not isinstance(paper, dict) or not text or "arxiv" not in paper:
        return None
    match = (paper.get("match") or {}) | (entry.get("match") or {}) if entry.get("match") else {}
    protocol = (paper.get("protocol") or {}) | (entry.get("protocol") or {})
    value = str(entry.get("value", "")) + (f" ± {entry['spread']}" if "spread" in entry else "")
    return Claim(
        paper=f"arXiv {paper['arxiv']}",
        table=f"Table {entry['table']}" if "table" in entry else str(entry.get("source", "")),
        setting=str(text),
        value=value + (f" (Top-5 {entry['top5']})" if "top5" in entry else ""),
        verified=bool(entry.get("verified", paper.get("verified", False))),
        match=match,
        protocol={option: wanted for option, wanted in protocol.items() if option not in match},
        probe=str(paper.get("probe", "")),
        probe_is=str(paper.get("probe_is", "")),
        seeds=paper.get("seeds"),
    )


def scorecard(results: Results, claims: Sequence[Claim]) -> list[Score]:
    """Every claim, in the file's order, with each of our conditions that it is compared with, or alone."""
    matched: dict[int, list[Score]] = {}
    measured = {name: values(results, name) for name in _PROBES if name in results.runs}
    options = sorted({option for claim in claims for option in (*claim.match, *claim.protocol)})
    columns = [results.runs[name].tolist() if name in results.runs else [None] * len(results.runs) for name in options]
    known: dict[tuple[Any, ...], list[int]] = {}
    for labels, members in conditions(results).items():
        metric = next((name for name, found in measured.items() if found[labels]), None)
        if metric is None:
            continue
        recipe = dict(zip(options, (column[members[0]] for column in columns), strict=True))
        key = tuple(map(str, recipe.values()))
        if key not in known:
            known[key] = _nearest(recipe, claims)
        ours = estimate([100 * value for value in measured[metric][labels].values()])
        for number in known[key]:
            differences = _differences(recipe, claims[number], metric, ours.n)
            matched.setdefault(number, []).append(Score(claims[number], labels, ours, metric, differences))
    scores = []
    for number, claim in enumerate(claims):
        scores += matched.get(number) or [Score(claim, None, None, None, ())]
    return scores


def _nearest(recipe: Mapping[str, Any], claims: Sequence[Claim]) -> list[int]:
    """The claims that a recipe is compared with: those on its own data, or else those on other data."""
    matched = [number for number, claim in enumerate(claims) if claim.match and _matches(recipe, claim.match)]
    own = recipe.get(_DATA)
    return [number for number in matched if _same(claims[number].protocol.get(_DATA, own), own)] or matched


def _matches(recipe: Mapping[str, Any], match: Mapping[str, Any]) -> bool:
    return all(
        any(_same(recipe.get(option), value) for value in (wanted if isinstance(wanted, list) else [wanted]))
        for option, wanted in match.items()
    )


def _same(a: Any, b: Any) -> bool:
    if _absent(a) or _absent(b):
        return _absent(a) and _absent(b)
    if isinstance(a, int | float) and isinstance(b, int | float):
        return math.isclose(a, b, rel_tol=1e-9)
    return bool(a == b)


def _absent(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _differences(recipe: Mapping[str, Any], claim: Claim, metric: str, seeds: int) -> tuple[str, ...]:
    found = [
        f"{_name(option)} {_text(recipe.get(option))}, not {_text(wanted)}"
        for option, wanted in claim.protocol.items()
        if not _absent(recipe.get(option)) and not _same(recipe.get(option), wanted)
    ]
    if metric != claim.probe:
        found.append(f"{_PROBE_NAMES[metric]}, not {claim.probe_is}")
    if claim.seeds is not None and seeds != claim.seeds:
        found.append(f"{seeds} seed{'s' * (seeds != 1)}, not {claim.seeds}")
    return tuple(found)


def _name(option: str) -> str:
    *above, name = option.removesuffix(".kind").split(".")
    return (f"{above[-1]} {name}" if above[-1:] in (["ema"], ["projector"]) else name).replace("_", " ")


def _text(value: Any) -> str:
    return NONE if _absent(value) else f"{value:g}" if isinstance(value, float) else str(value).lower()
