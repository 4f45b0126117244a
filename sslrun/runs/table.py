"""One table of all runs in a results folder: recipes, states, last signals and evaluations, side by side.

Read from the folders each time; nothing is cached, so nothing can be stale. `sslrun.report` builds on it.
"""

import json
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sslrun.errors import InputError
from sslrun.files import litter, read_json
from sslrun.paths import user_path
from sslrun.runs.cells import SECONDS, Number
from sslrun.runs.folder import RunFolder, split_name
from sslrun.runs.lease import holder
from sslrun.runs.records import EvaluationRecord, LeftOut, Status, state_now

if TYPE_CHECKING:
    import pandas

Columns = dict[str, Any]

_NO_OPTIONS = ("baselines", "plugin", "numerics")
"""What an evaluation's settings have besides options."""
_DIGEST, _DIGITS = re.compile("[0-9a-f]{64}"), 8
"""Of a plug-in's source, and how many of its digits tell it from others."""
_NOT_RUNS = ("tables", "sweeps", "baselines")
_TIMES = ("created", "started", "finished", "seconds", "images_per_second", "memory_share")


def load_runs(folder: str | Path) -> "pandas.DataFrame":
    """One row a run of the results folder `folder`, sorted by folder name.

    Columns: `identity`, `name`, `folder`, `status` (a run whose process was killed is `interrupted`), `verdict` with
    its evidence as `verdict.std` etc., times, `data` (which), `plugins` (which sources), `note`, `tags`; the recipe's
    fields, dotted; the last epoch's signals; evaluations: the accuracy of a kind as `knn`, `untrained.knn`,
    `pixels.knn`, its other metrics as `knn.<metric>`, of an encoder kept on the way as `knn@100`, and where settings
    differ from the recipe's as `knn[k=20]`.

    `.attrs["left_out"]` lists (path, why) of what could not be read; `.attrs["timing"]` the columns that say when
    and how fast, which differ between equal runs; `.attrs["numbers"]` has, for each column of an evaluation, the
    fields of its `Number`. Raises `InputError` if there is no such folder.
    """
    import pandas

    results = user_path(folder, "the results folder")
    if not results.is_dir():
        raise InputError("no such results folder", where=str(results), remedy="Name one with --results DIR.")
    left_out: LeftOut = []
    numbers: dict[str, Number] = {}
    found = [one for path in _folders(results) if (one := _row(path, left_out))]
    rows = []
    mended = _mended(record for *_, records, _ in found for record in records)
    for *parts, records, asked in found:
        judged = evaluation_numbers(records, asked, mended)
        numbers.update((str(number), number) for number in judged)
        rows.append((*parts, {str(number): value for number, value in judged.items()}))
    # Parts of a row keep their order whatever the first run lacks: all of the recipe before any signal, and so on.
    names = [list(dict.fromkeys(name for row in rows for name in row[part])) for part in range(4)]
    merged = [{**row[2], **row[3], **row[1], **row[0]} for row in rows]
    columns = list(dict.fromkeys(name for part in names for name in part))
    table = pandas.DataFrame({name: [row.get(name) for row in merged] for name in columns})
    table.attrs["left_out"] = left_out
    times = {name for name, number in numbers.items() if number.metric == SECONDS}
    table.attrs["timing"] = [name for name in columns if name in times.union(_TIMES)]
    table.attrs["numbers"] = {name: asdict(number) for name, number in numbers.items()}
    return table


def _folders(results: Path) -> list[Path]:
    return sorted(
        path for path in results.iterdir() if not litter(path.name) and path.name not in _NOT_RUNS and path.is_dir()
    )


def _row(
    path: Path, left_out: LeftOut
) -> tuple[Columns, Columns, Columns, list[EvaluationRecord], Mapping[str, Any]] | None:
    """State, recipe, signals and evaluations of one run, and how its recipe asks for these; or none if it has to be
    left out."""
    from sslrun.recipe.introspect import as_kept  # here, since the recipe's models take a while to import
    from sslrun.recipe.schema import Recipe
    from sslrun.runs.notes import notes_of

    folder = RunFolder(path)
    try:
        if "-old-" in path.name and not split_name(path.name)[1]:
            raise InputError("set aside by --fresh")
        recipe, status = as_kept(Recipe, folder.record.recipe), folder.status
        said = asdict(notes_of(folder))
        state = {
            "identity": folder.identity,
            "name": folder.name,
            "folder": path.name,
            **_state(folder, status),
            **_beside_recipe(folder),
            **said,
        }
    except InputError as error:
        left_out.append((str(path), error.what))
        return None
    signals: Columns = {}
    gone = None
    try:
        row, gone = folder.last_row(status)
        signals = _flat(row)
        left_out += [gone] if gone else []
        state["epoch"] = max(state["epoch"], signals.get("epoch", 0))  # a killed run's status may be behind
        if not gone and (said := _flat(recipe)).get("method.kind") == "simclr":
            signals["plateau"] = _plateau(said, folder)
    except InputError as error:
        left_out.append((str(folder.history.path), error.what))
    if signals and not gone and (damage := folder.history.damage(1)):  # not all lines: they are too many in every run
        left_out.append(damage)
    return state, _flat(recipe), signals, folder.evaluations(left_out), recipe.get("evaluation") or {}


def _mended(records: Iterable[EvaluationRecord]) -> set[str]:
    """The kinds that were computed by plug-ins of several sources."""
    sources: dict[str, set[str]] = {}
    for record in records:
        if plugin := record.settings.get("plugin"):
            sources.setdefault(record.kind, set()).add(plugin)
    return {kind for kind, several in sources.items() if len(several) > 1}


def _state(folder: RunFolder, status: Status) -> Columns:
    return {
        "status": state_now(status, held=holder(folder) is not None).value,
        "verdict": status.verdict,
        **{f"verdict.{name}": value for name, value in status.evidence.items()},
        "reason": status.reason,
        "created": status.created,
        "started": status.started,
        "finished": status.finished,
        "seconds": status.seconds,
        "threads": status.threads,
        "epoch": status.epoch,
    }


def _beside_recipe(folder: RunFolder) -> Columns:
    """The first digits of its data's fingerprint, and of its plug-ins' sources; nothing of runs that kept none."""
    found: Columns = {}
    with suppress(OSError, ValueError, TypeError, LookupError, AttributeError):
        kept = read_json(folder.environment)
        found["data"] = kept["data"][:8]
        if sources := [f"{name} {digest[:8]}" for name, digest in sorted((kept.get("plugins") or {}).items())]:
            found["plugins"] = ", ".join(sources)
    return found


def _plateau(recipe: Columns, folder: RunFolder) -> int | None:
    """The first epoch whose loss was clearly below that of constant outputs; None while it isn't."""
    from sslrun.recipe.schema import SimClr

    negatives = recipe.get("method.negatives", "all")
    batch, views = recipe.get("training.batch_size", 128), recipe.get("views.count", 2)
    below = 0.95 * SimClr(kind="simclr", negatives=negatives).loss_of_constant_outputs(batch, views)
    losses = ((row["epoch"], row.get("loss")) for row in folder.history.read())
    return next((epoch for epoch, loss in losses if loss is not None and loss < below), None)


def evaluation_numbers(
    records: Sequence[EvaluationRecord], asked: Mapping[str, Any], mended: Container[str] = ()
) -> dict[Number, Any]:
    """The numbers of a run's evaluations; `asked` is the recipe's section, whose settings get the plain names, as the
    defaults do of what it does not ask for: so a name says the same of every run. Those of kinds that are `mended`
    between runs say by which source of their plug-in."""
    numbers: dict[Number, Any] = {}
    for record in sorted(records, key=lambda record: record.numerics):
        like = [other.settings for other in records if other.name == record.name]
        same = [key for key in _NO_OPTIONS if len({repr(one.get(key)) for one in like}) == 1]
        agreed = {key: like[0].get(key) for key in same if key != "plugin" or record.kind not in mended}
        own_recipe = asked.get(record.kind)
        plain = agreed | (own_recipe if isinstance(own_recipe, dict) else {})
        own = ",".join(f"{k}={_short(v)}" for k, v in record.settings.items() if k not in plain or plain[k] != v)
        for key, value in _flat(record.metrics).items():
            numbers[Number.of_key(record.name, key, own)] = value
        numbers[Number.of_key(record.name, SECONDS, own)] = record.seconds
    return numbers


def _flat(value: Mapping[str, Any], prefix: str = "") -> Columns:
    """Nested sections as dotted names; lists as tuples, so that rows can be grouped by them."""
    columns: Columns = {}
    for key, entry in value.items():
        if isinstance(entry, dict):
            columns.update(_flat(entry, f"{prefix}{key}."))
        else:
            columns[prefix + key] = _tuple(entry)
    return columns


def _tuple(value: Any) -> Any:
    return tuple(map(_tuple, value)) if isinstance(value, list) else value


def _short(value: Any) -> str:
    text = re.sub(r'[\s"]', "", json.dumps(value, ensure_ascii=False))
    return text[:_DIGITS] if _DIGEST.fullmatch(text) else text
