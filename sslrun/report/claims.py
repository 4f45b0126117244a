"""What the papers claim, as `claims.yaml` says it, and which options and data each claim is about.

`scorecard` compares runs with claims, `claim_list` finds the grids that would test them.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from sslrun.recipe import Recipe, read_recipe

CLAIMS = Path(__file__).with_name("claims.yaml")
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
    grids: tuple[str, ...] = ()
    """The shipped grids that ask what it says: of a statement, or of a number on other data."""


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
        grids=tuple(entry.get("grids", ())),
    )


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
