"""What every column of a report is, in a sentence: of tables, runs, signals of training, evaluations and recipes.

Evaluations say it of their own metrics (`EvaluationSection.MEANS`), options in the schema; all else is here.
"""

import re
from collections.abc import Iterator
from fnmatch import fnmatch

from sslrun.recipe.introspect import sections
from sslrun.recipe.schema import Recipe
from sslrun.recipe.schema.base import Section
from sslrun.recipe.schema.judging import evaluations
from sslrun.runs.cells import ACCURACY, SECONDS, Number

OF_RUNS = {
    "identity": "Hash of all that decides the run's numbers: recipe, data, starting weights.",
    "name": "What the run is called before the digits of its identity.",
    "folder": "The run's folder in the results folder.",
    "status": "done, collapsed, pruned, running, interrupted, queued, missing or failed.",
    "verdict": "Whether the run collapsed: none, dimensional or complete.",
    "verdict.std": "std of the last epoch, on which the verdict rests.",
    "verdict.rank": "Effective rank of the last epoch, on which the verdict rests.",
    "verdict.size": "Root mean square of the outputs' entries in the last epoch, where the loss is of their size too.",
    "verdict.size_threshold": "Below this size a collapse is complete.",
    "verdict.std_threshold": "Below this std a collapse is complete.",
    "verdict.rank_threshold": "Below this effective rank a collapse is dimensional.",
    "reason": "Why a run failed or ended early.",
    "created": "When its folder was made, in UTC.",
    "started": "When training began, in UTC.",
    "finished": "When training ended, in UTC.",
    "threads": "CPU threads that it began with and keeps to.",
    "data": "First digits of its data's fingerprint: runs that differ in it saw other images or labels.",
    "plugins": "Plug-ins that it was trained with, and the first digits of their sources' digests.",
    "note": "What people noted of it.",
    "tags": "Words to find it by.",
}
OF_TRAINING = {
    "epoch": "Epochs finished.",
    "step": "Steps done by then.",
    "loss": "Mean loss of the epoch.",
    "lr": "The network's learning rate in the epoch's last step.",
    "images_per_second": "Training speed in the epoch.",
    "memory_share": "Share of the GPU's memory that was taken after the epoch, by all its processes.",
    "seconds": "Seconds at work so far.",
    "std": "Spread of normalised projector outputs, about 1 when spread and 0 when collapsed.",
    "size": "Root mean square of the outputs' entries, which shrinks to nothing where a loss is of size too.",
    "rank": "Effective rank of the outputs' covariance: how many directions they use.",
    "rank_correlation": "Effective rank of the outputs' correlation F, which counts their mean too.",
    "cosine": "Mean cosine similarity between outputs of different images; near 1 when collapsed.",
    "spectrum": "Eigenvalues of the outputs' correlation F, largest first.",
    "asymmetry": "How far the predictor's matrix is from symmetric.",
    "commutator": "How far the predictor's matrix and F are from sharing eigenvectors.",
    "smallest_eigenvalue": "Smallest eigenvalue of the predictor's matrix.",
    "alignment": "Mean alignment of the predictor with F's eigenvectors, over modes of more than a thousandth of the "
    "largest; 1 by construction where it is set from F.",
    "alignments": "That alignment for each mode of F.",
    "p": "The predictor's eigenvalue for each mode of F.",
    "proportionality": "How nearly the moving target is proportional to the online network.",
    "balance": "Residual of the theory's invariant of a linear network.",
    "weights.*": "Matrices of a linear network, for the theory.",
    "plateau": "Epoch in which SimCLR's loss was first 5 % below that of constant outputs; none while it is not.",
    "std_within": "Spread of outputs within a view's column of images, to which a common style adds nothing.",
    "hardness_*.own_column": "Mean similarity of negatives in the anchor's own view of the batch.",
    "hardness_*.other_columns": "Mean similarity of negatives in the other views.",
    "hardness_*.percentile_95": "95th percentile of the similarity of an anchor's negatives.",
    "hardness_*.largest": "Similarity of an anchor's hardest negative.",
    "hardness_*.negative_mass": "Part of the softmax that all negatives take from a positive.",
    "hardness_*.style_gap": "Similarity of negatives of one domain less that of others; 0 where it doesn't matter.",
}
OF_TABLES = {
    "n": "How many seeds the mean is of; from fewest to most where the metrics of a row differ in it.",
    "outcome": "How many runs ended how.",
    "difference": "Mean over seeds of a condition's number less the baseline's with the same seed.",
    "95 % interval": "Student's t interval of the mean, or of the mean difference.",
    "pairs": "How many seeds have both numbers.",
    "p (Holm)": "p of the paired t test, adjusted by Holm's method for all comparisons of the table.",
    "so": "higher or lower where p (Holm) is at most 0.05, else not distinguishable.",
    "could see": "The smallest difference that so many such pairs show in 80 % of studies, at 5 % over all rows.",
    "fresh seeds": "How many new pairs, without the old, show a difference of the size seen as often at that level.",
    "untrained.*": "The same number of the encoder that training starts from, fine-tuned where `udg` names a fraction.",
    "pixels.*": "The same number of raw pixels.",
    "*.own_statistics.*": "The same with each domain's images under batch norm statistics of their own.",
}
"""What stands in tables of means and comparisons beside the metrics."""
_NUMBER = re.compile(
    r"(?:(?P<baseline>untrained|pixels)\.)?(?P<kind>\w+)(?:\[(?P<settings>.*)\])?(?:@(?P<epoch>\d+))?(?:\.(?P<metric>.+))?"
)


def meaning(column: str) -> str | None:
    """What a column of `load_runs` holds; None if nobody says."""
    for known in (OF_RUNS, OF_TRAINING):
        for pattern, text in known.items():
            if fnmatch(column, pattern):
                return text
    signal = Number.of_signal(column)
    if signal is not None:
        told = _of_number(signal)
        return told and f"On the way, by evaluation.every: {told}"
    found = _NUMBER.fullmatch(column)
    if found is not None and found["kind"] in evaluations():
        parts = found.groupdict()
        epoch = int(parts["epoch"]) if parts["epoch"] else None
        return _of_number(
            Number(parts["kind"], epoch, parts["metric"] or ACCURACY, parts["baseline"], parts["settings"] or "")
        )
    return dict(_options(Recipe)).get(column)


def columns() -> Iterator[tuple[str, str]]:
    """(name, meaning) of all that reports have, the options of recipes last."""
    yield from OF_TABLES.items()
    yield from OF_RUNS.items()
    yield from OF_TRAINING.items()
    for kind, section in evaluations().items():
        for pattern, text in section.MEANS.items():
            shown = re.sub(r"\(nn\|\[\\d\.\]\+\)|\[\\d\.\]\+", "PER_CENT", pattern).replace("\\", "").replace(".+", "*")
            yield kind if pattern == ACCURACY else f"{kind}.{shown}", text
        yield f"{kind}.{SECONDS}", "Seconds that the evaluation took."
    yield from _options(Recipe)


def matching(pattern: str) -> list[tuple[str, str]]:
    """The columns that a pattern with `*` fits, or whose names have it in them; or the one that it is."""
    wild = pattern if "*" in pattern else f"*{pattern}*"
    found = [(name, text) for name, text in columns() if fnmatch(name, wild)]
    own = meaning(pattern) if not any(name == pattern for name, _ in found) else None
    return [(pattern, own), *found] if own else found


def _of_number(number: Number) -> str | None:
    told = "Seconds that the evaluation took." if number.metric == SECONDS else None
    for pattern, text in evaluations()[number.kind].MEANS.items():
        told = told or (text if re.fullmatch(pattern, number.metric) else None)
    if told is None:
        return None
    whose = {"untrained": "Of the encoder that training starts from", "pixels": "Of raw pixels"}.get(
        number.baseline or ""
    )
    at = f"of the encoder kept after epoch {number.epoch}" if number.epoch is not None else ""
    set_ = f"with {number.settings}" if number.settings else ""
    front = ", ".join(part for part in (whose, at, set_) if part)
    return f"{front[0].upper()}{front[1:]}: {told[0].lower()}{told[1:]}" if front else told


def _options(section: type[Section], above: str = "") -> Iterator[tuple[str, str]]:
    for name, field in section.model_fields.items():
        if field.description:
            yield above + name, field.description
        for one in sections(field.annotation):
            yield from _options(one, f"{above}{name}.")
