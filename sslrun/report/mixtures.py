"""Runs that a report averages or compares though they are of other versions, precisions or processors: named, once.

Numbers of such runs may differ by more than their seeds. Read from each run's `environment.json`.
"""

from collections.abc import Sequence
from typing import Any

from sslrun.files import read_json
from sslrun.report.collecting import Results
from sslrun.report.tables import conditions
from sslrun.runs.folder import RunFolder
from sslrun.runs.records import FINISHED


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
