"""The papers' claims and ours, with every difference stated: what `claims.yaml` says, matched to runs.

A run is compared with a claim if its recipe has the options of the claim's `match` and is on the claim's data. Whole
recipes are compared: the run's with the one that does as the paper did. An absent or partial file shows fewer rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sslrun.errors import InputError
from sslrun.recipe import Recipe, read_recipe, trial
from sslrun.recipe.explain import explain, value_text
from sslrun.report.claims import Claim, matches, reference
from sslrun.report.collecting import Results
from sslrun.report.intervals import Difference, Estimate, estimate, paired_difference
from sslrun.report.table import NONE
from sslrun.report.tables import Labels, conditions, values
from sslrun.runs.folder import RunFolder

_PROBES = ("authors_probe.best_on_test", "linear", "knn")
_PROBE_NAMES = {
    "authors_probe.best_on_test": "best of the probe's epochs on the test set",
    "linear": "converged linear probe, nothing of it chosen on the test set",
    "knn": "nearest neighbours",
}
_WEIGHT = ("data", "network", "method", "training", "optimizer", "views")
"""The parts of a recipe that decide a run's numbers, the weightiest first."""
_NO_NUMBERS = ("training.collapse", "training.on_collapse", "training.keep_encoder_at")


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


def scorecard(results: Results, claims: Sequence[Claim], other_data: bool = False) -> list[Score]:
    """Every claim, in the file's order, with each of our conditions that it is compared with, or alone. Trials
    (SSLRUN_TRIAL) are compared with none.

    `other_data` also compares runs with claims that are on other data.
    """
    matched: dict[int, list[Score]] = {}
    asked = dict.fromkeys([*_PROBES, *(claim.metric for claim in claims)])
    measured = {name: values(results, name) for name in asked if name in results.runs}
    options = sorted({option for claim in claims for option in claim.match})
    columns = [results.runs[name].tolist() if name in results.runs else [None] * len(results.runs) for name in options]
    tags = results.runs["tags"].tolist() if "tags" in results.runs else [()] * len(results.runs)
    for labels, members in conditions(results).items():
        if any(isinstance(tags[row], tuple) and trial.TAG in tags[row] for row in members):
            continue
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


def _differences(ours: Recipe, theirs: Recipe | None, claim: Claim, metric: str, seeds: int) -> tuple[str, ...]:
    found = []
    for each in explain(ours, theirs).differences if theirs is not None else ():
        part = each.path.partition(".")[0]
        if each.part == "science" and part in _WEIGHT and not each.path.startswith(_NO_NUMBERS):
            text = f"{_name(each.path)} {_text(each.a)}, not {_text(each.b)}"
            found.append((_WEIGHT.index(part), text))
    texts = [text for _, text in sorted(found, key=lambda pair: pair[0])]
    if theirs is None:
        backbone, size = ours.network.backbone, f"{ours.views.size} px, " if ours.views.size else ""
        width = f" of width {backbone.width}" if backbone.kind == "small_resnet" else ""  # others' names say theirs
        here = f"{size}{ours.training.epochs} epochs, {backbone.words()}{width}"
        texts.append(f"how it was done there is not known to us (here {here})")
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
