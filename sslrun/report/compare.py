"""Two runs side by side: the options in which they differ, and how each ended; `plots.plot_two` draws their courses.

Reads the two folders; `sslrun compare A B`. Why two recipes are, or are not, one science is `sslrun explain`'s.
"""

from contextlib import suppress
from dataclasses import replace
from typing import Any

from sslrun.files import read_json
from sslrun.recipe import read_recipe
from sslrun.recipe.explain import MEANINGS, Difference, explain, in_words
from sslrun.recipe.plugins import digests
from sslrun.recipe.schema import Recipe
from sslrun.report.table import NONE, Cell, Table
from sslrun.runs.cells import SECONDS, Number, main_numbers
from sslrun.runs.folder import HEX_DIGITS, RunFolder
from sslrun.runs.status import state_of
from sslrun.runs.table import evaluation_numbers
from sslrun.runs.verdict import WORDS

_SIGNALS = ("loss", "std", "size", "rank", "alignment", "asymmetry", "commutator")
_MADE_WITH = (
    "sslrun",
    "commit",
    "python",
    "torch",
    "torchvision",
    "numpy",
    "scipy",
    "scikit-learn",
    "cpu",
    "gpus",
    "threads",
)
_COMMIT_DIGITS = 7
_DATA, _SOURCE = "the data's fingerprint", "the source of the plug-in {}"
_NOT_KEPT = (
    "not kept by these runs: the data's fingerprint, a plug-in's source, a file of weights, or sslrun's numerics"
)


def compare(a: RunFolder, b: RunFolder, *, whole: bool = False) -> list[Table]:
    """What differs between two runs, and what came of it: with `whole` every number of their evaluations, else those
    looked at first. Raises `InputError` if a file of theirs can't be read."""
    names = ("A", "B")
    runs = tuple((Cell(name), Cell(folder.path.name)) for name, folder in zip(names, (a, b), strict=True))
    every_difference = differences(a, b)
    settings = [
        Table(
            f"Settings that differ and make {meaning}",
            ("option", *names),
            tuple((Cell(each.path), Cell(in_words(each.a)), Cell(in_words(each.b))) for each in found),
        )
        for part, meaning in MEANINGS.items()
        if part != "operational" and (found := [each for each in every_difference if each.part == part])
    ]
    outcomes, numbers = (_outcome(a), _outcome(b)), (_numbers(a), _numbers(b))
    every = list(dict.fromkeys((*numbers[0], *numbers[1])))
    first = main_numbers(every)
    shown = [each for each in every if whole or replace(each, baseline=None) in first]
    rows = [
        _row(name, *(outcome.get(name) for outcome in outcomes)) for name in dict.fromkeys((*outcomes[0], *outcomes[1]))
    ]
    rows += [_row(str(each), *(found.get(each) for found in numbers)) for each in shown]
    more = len(every) - len(shown)
    return [
        Table("Runs", ("", "run"), runs, (*_made_otherwise(a, b), *_gone(a, b))),
        *(settings or [Table("Settings that differ", ("option", *names), (), ("None.",))]),
        Table(
            "What came of it",
            ("", *names, "difference"),
            tuple(rows),
            (f"{more} more number{'s' * (more > 1)} of these evaluations: --json",) if more else (),
        ),
    ]


def differences(a: RunFolder, b: RunFolder) -> list[Difference]:
    """Every option in which two runs differ, and what makes them two runs that no option says. Raises `InputError`."""
    found = list(explain(read_recipe(a.recipe), read_recipe(b.recipe)).differences)
    options = [each.path for each in found if each.part == "science"]
    if a.identity == b.identity:
        return found
    of_a, of_b = _beside_options(a), _beside_options(b)
    of_a = {name: digest for name, digest in of_a.items() if digest != of_b.get(name, digest)}
    if any(path.startswith("data.") or path == "data" for path in options):  # these have images of their own
        of_a.pop(_DATA, None)
    if not (options or of_a):  # older runs kept neither
        of_a, of_b = ({_NOT_KEPT: folder.identity[:HEX_DIGITS]} for folder in (a, b))
    return found + [Difference(name, of_a[name], of_b[name], "science") for name in of_a]


def plugins_since(recipe: Recipe, run: RunFolder) -> list[Difference]:
    """The plug-ins of a recipe whose source is another now than when the run was pretrained: the source now, and
    then."""
    kept = _beside_options(run)
    now = {_SOURCE.format(name): digest[:HEX_DIGITS] for name, digest in digests(recipe.imports).items()}
    return [
        Difference(name, digest, kept[name], "science")
        for name, digest in now.items()
        if kept.get(name, digest) != digest
    ]


def _beside_options(folder: RunFolder) -> dict[str, str]:
    """The beginnings of the digests, by what they are of, that make it this run beside its options; those it kept."""
    kept = _environment(folder)
    found = {_SOURCE.format(name): digest for name, digest in (kept.get("plugins") or {}).items()}
    found |= {_DATA: kept["data"]} if "data" in kept else {}
    return {name: str(digest)[:HEX_DIGITS] for name, digest in found.items()}


def _made_otherwise(a: RunFolder, b: RunFolder) -> tuple[str, ...]:
    """A line on the versions and machines that differ, if any."""
    of_a, of_b = _environment(a), _environment(b)
    found = [
        f"{name} {' and '.join(in_words(of[name] or None) for of in (of_a, of_b))}"
        for name in _MADE_WITH
        if name in of_a and name in of_b and of_a[name] != of_b[name]
    ]
    return (f"made with other versions or on another machine: {'; '.join(found)}",) if found else ()


def _gone(a: RunFolder, b: RunFolder) -> list[str]:
    """A line for each whose history ends before it did: its signals below are the verdict's."""
    return [": ".join(gone) for folder in (a, b) if (gone := folder.last_row(folder.status)[1])]


def _environment(folder: RunFolder) -> dict[str, Any]:
    """What its file says that it ran on; nothing where that is missing or damaged."""
    with suppress(OSError, ValueError):
        kept = read_json(folder.environment)
        if isinstance(kept, dict) and isinstance(kept.get("plugins") or {}, dict):
            commit = kept.get("commit")
            if isinstance(commit, dict):
                changed = " with changes" if commit.get("changed") else ""
                kept["commit"] = f"{str(commit.get('hash'))[:_COMMIT_DIGITS]}{changed}"
            return kept
    return {}


def _outcome(folder: RunFolder) -> dict[str, Any]:
    status = folder.status
    last, _ = folder.last_row(status)
    return {
        "status": state_of(folder).value,
        "verdict": WORDS.get(status.verdict or "", status.verdict or "none yet"),
        "epoch": status.epoch,
        **{name: last[name] for name in _SIGNALS if last.get(name) is not None},
    }


def _numbers(folder: RunFolder) -> dict[Number, Any]:
    found = evaluation_numbers(folder.evaluations(), folder.record.recipe.get("evaluation") or {})
    return {number: value for number, value in found.items() if number.metric != SECONDS}


def _row(name: str, a: Any, b: Any) -> tuple[Cell, ...]:
    difference = Cell(f"{b - a:+.4f}", b - a) if isinstance(a, float) and isinstance(b, float) else Cell("")
    return Cell(name), _cell(a), _cell(b), difference


def _cell(value: Any) -> Cell:
    if isinstance(value, float):
        return Cell(f"{value:.4f}", value)
    return Cell(NONE if value is None else str(value), value if isinstance(value, int) else None)
