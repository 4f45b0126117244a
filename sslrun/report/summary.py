"""One run in a few lines: what it is when it starts, what became of it at the end, and why to believe that."""

import math
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import PurePath
from typing import Any

from sslrun.console import span
from sslrun.recipe.explain import value_text
from sslrun.recipe.schema import NonContrastive, Optimizer, Recipe
from sslrun.recipe.schema.judging import evaluations
from sslrun.runs.cells import ACCURACY, Number
from sslrun.runs.folder import RunFolder
from sslrun.runs.history import is_number, series
from sslrun.runs.records import EvaluationRecord, Metric
from sslrun.runs.verdict import NONE, WORDS

_DECAY, _HELD_OUT = "decay", "held_out"


def starting(weights: str | None) -> str:
    """What to call the encoder that training starts from; `weights` is the file that the recipe takes it from."""
    return "untrained encoder" if weights is None else f"starting encoder ({PurePath(weights).name})"


def headline(recipe: Recipe, folder: RunFolder, images: int, size: int, device: str, threads: str = "") -> str:
    """The first line of a run: its folder's name, its science in the field's words, and what it is computed on."""
    data, style = recipe.data, recipe.views.style.words()
    seen = recipe.views.size or size
    batch_norm = f" (views {recipe.method.views})"  # with one style a view, whether batch norm sees one or all
    parts = [
        f"{data.words()} in {size} dimensions" if data.HOLDS == "vectors" else f"{data.words()} {size} px",
        *([f"views of {seen} px"] if data.HOLDS != "vectors" and seen != size else []),
        f"{images:,} {data.HOLDS}",
        recipe.network.backbone.words(),
        recipe.method.words() + (f" with {style}{batch_norm}" if style else ""),
        f"{device} {recipe.training.precision}" + (f", {threads}" if threads else ""),
    ]
    line = f"{folder.path.name}   " + " · ".join(parts)
    if isinstance(recipe.method, NonContrastive) and not recipe.method.stop_gradient:
        line += "\nwithout stop-gradient: the online network is its own target, and ema is ignored"
    if (own := recipe.optimizer.predictor) is not None and (others := _unlike(own, recipe.optimizer.network)):
        line += f"\nthe predictor's optimiser has a section of its own: {', '.join(others)}"
    if left_out := recipe.evaluation.asked().keys() - recipe.judged().keys():
        line += f"\nwithout labels: {' and '.join(sorted(left_out))} left out; std, rank and neighbours judge it"
    return line


def _unlike(own: Optimizer, network: Optimizer) -> list[str]:
    """The options but the learning rate in which the predictor's optimiser is not the network's: nothing is taken over
    from that."""
    names = [name for name in type(own).model_fields if name != "lr"]
    pairs = [(name, getattr(own, name), getattr(network, name)) for name in names]
    return [f"{name} {value_text(ours)}, not {value_text(theirs)}" for name, ours, theirs in pairs if ours != theirs]


def scores(cells: Sequence[EvaluationRecord], weights: str | None) -> list[list[str]]:
    """The closing table: a header, then a row for this run, its encoders kept earlier, its untrained one, raw pixels.

    Empty without a cell that it has a column for. `weights` is the recipe's `network.weights`.
    """
    at = cells[0].at if cells else None
    titles = {name: section.COLUMNS for name, section in evaluations().items()}
    columns = [
        (Number(cell.kind, metric=metric), title)
        for cell in cells
        if cell.at == at
        for metric, title in _columns(cell, titles.get(cell.kind, {})).items()
    ]
    found = {Number.of_key(cell.name, key): value for cell in cells for key, value in cell.metrics.items()}
    kept = sorted({cell.at for cell in cells if cell.at is not None} - {at})
    labels: dict[tuple[str | None, int | None], str] = {(None, at): "this run"}
    labels |= {(None, epoch): f"after epoch {epoch}" for epoch in kept}
    labels |= {("untrained", at): starting(weights), ("pixels", at): "raw pixels"}
    rows = [["", *(title for _, title in columns)]]
    for (baseline, epoch), label in labels.items():
        values = [found.get(replace(number, epoch=epoch, baseline=baseline)) for number, _ in columns]
        if any(value is not None for value in values):
            rows.append([label, *(_entry([value]) for value in values)])
    return rows if columns else []


def _columns(cell: EvaluationRecord, titles: Mapping[str, str]) -> Mapping[str, str]:
    """The `titles` of what it measured; of an evaluation that measured none of these, its first metric."""
    known = {metric: title for metric, title in titles.items() if metric in cell.metrics}
    first = next(iter(cell.metrics)) if titles and cell.metrics and not known else None
    return known if first is None else {first: first if first == cell.kind else f"{cell.kind} {first}"}


def unseen(cells: Sequence[EvaluationRecord], weights: str | None) -> list[list[str]]:
    """The table of unseen domains: a header, then a row for this run, the encoder that it began with, ERM and raw
    pixels; empty without such a cell.

    Columns are the nearest neighbour and the labelled fractions. With several target domains each entry has the plain
    mean of their accuracies and the accuracy over all their images. Fine-tuning is ERM only from an untrained encoder,
    that is without `weights`, the recipe's `network.weights`.
    """
    metrics = next((cell.metrics for cell in cells if cell.kind == "udg"), None)
    if metrics is None:
        return []
    of_fraction = [name.removesuffix(".labelled") for name in metrics if name.endswith(".labelled")]
    parts = [part for part in of_fraction if not part.startswith("untrained.")]
    domains = [name.removeprefix("nn.") for name in metrics if name.startswith("nn.")]
    domains = [name for name in domains if name not in ("avg", "overall")]
    shown = ("avg", "overall") if len(domains) > 1 else ("avg",)
    title = "unseen: " + ", ".join(domains) + (" (avg / overall)" if len(domains) > 1 else "")
    rows = [[title, "nearest neighbour", *(_labelled(part, metrics) for part in parts)]]
    tuned = f"ERM (fine-tuned {starting(None)})" if weights is None else f"fine-tuned from {starting(weights)}"
    whole = ("nn", *parts)
    of = (("", "this run", whole), ("untrained.", starting(weights), whole[:1]), ("untrained.", tuned, whole[1:]))
    for prefix, label, own in (*of, ("pixels.", "raw pixels", whole)):
        if f"{prefix}nn.avg" in metrics and own:
            columns = [[metrics.get(f"{prefix}{part}.{what}") for what in shown if part in own] for part in whole]
            rows.append([label, *(_entry(column) for column in columns)])
    return rows


def _labelled(part: str, metrics: Mapping[str, Metric]) -> str:
    """A labelled fraction in per cent, what it comes to where it is another when rounded up, and what it trains."""
    true, trained = metrics.get(f"{part}.part"), "fine-tuned" if f"{part}.epoch" in metrics else "linear"
    if isinstance(true, float) and float(f"{100 * true:.2g}") != float(f"{float(part):.2g}"):
        return f"{part} % rounded up to {100 * true:.2g} %, {trained}"
    return f"{part} %, {trained}"


def _entry(values: Sequence[Metric]) -> str:
    return " / ".join(f"{value:.3f}" for value in values if is_number(value)) or "–"


def verdict_line(folder: RunFolder, history: Sequence[Mapping[str, Any]]) -> str:
    """The verdict, the numbers and bounds that it rests on, and whether by the `history` a collapse may yet come.

    It may where std or size is less than half of what it was and fell by over 2 % in the last tenth of the epochs.
    """
    status, dimension = folder.status, len(history[-1].get("spectrum") or ()) if history else 0
    falls = {name: _falls(history, name) for name in ("std", "size")} if status.verdict == NONE else {}
    names = ("std", "size", "rank")
    std, size, rank = (status.evidence.get(name) for name in names)
    least_std, least_size, least_rank = (status.evidence.get(f"{name}_threshold") for name in names)
    said = []
    if std is not None and least_std is not None:
        said.append(f"std {_beside(std, least_std, '.2f')} (complete below {least_std:g}{falls.get('std', '')})")
    if size is not None and least_size is not None:
        said.append(f"size {_beside(size, least_size, '.2g')} (complete below {least_size:g}{falls.get('size', '')})")
    else:
        falls.pop("size", None)
    if rank is not None and least_rank is not None:
        of = f" of {dimension}" if dimension else ""
        said.append(f"effective rank {_beside(rank, least_rank, '.1f')}{of} (dimensional below {least_rank:g})")
    kind = status.verdict or NONE
    words = WORDS.get(kind, kind) + " yet" * any(falls.values())
    return "   ".join(filter(None, [words, ", ".join(said)]))


def _falls(history: Sequence[Mapping[str, Any]], name: str) -> str:
    _, values = series(history, name)
    before = values[-1 - max(1, len(values) // 10)] if len(values) > 1 else 0.0
    falling = bool(values) and values[-1] < max(values) / 2 and values[-1] < 0.98 * before
    return f"; it was {max(values):.2g}, and still falls" if falling else ""


def _beside(value: float, bound: float, form: str) -> str:
    """`value` in the format `form`, or with as many more digits as it takes to see on which side of `bound` it lies."""
    texts = (f"{value:.{digits}{form[2]}}" for digits in range(int(form[1]), 18))
    side = (value < bound, value > bound)
    return next((text for text in texts if (float(text) < bound, float(text) > bound) == side), repr(value))


def worth(cells: Sequence[EvaluationRecord], weights: str | None) -> str | None:
    """What training was worth: the accuracies of probes of the last encoder less those of the untrained one, each with
    the standard error of the difference; None where no evaluation has both.

    Errors are of test images drawn anew, taken as independent of each other: as both encoders see the same images it
    is, if anything, too large. Up to twice it counts as no difference. `weights` is the recipe's `network.weights`.
    """
    titles = {name: section.COLUMNS for name, section in evaluations().items()}
    parts, beaten = [], False
    for cell in cells:
        ours, theirs = (cell.metrics.get(Number(cell.kind, baseline=name).key) for name in (None, "untrained"))
        if cell.at is None and isinstance(ours, float) and isinstance(theirs, float):
            errors = [cell.metrics.get(f"{whose}standard_error") for whose in ("", "untrained.")]
            known = [error for error in errors if isinstance(error, float)]
            spread = math.hypot(*known) if len(known) == 2 else None
            beaten |= ours - theirs > 2 * (spread or 0.0)
            title = titles.get(cell.kind, {}).get(ACCURACY, cell.kind)
            parts.append(f"{title} {ours - theirs:+.3f}" + ("" if spread is None else f" ± {spread:.3f}"))
    if not parts:
        return None
    told = f"{'over' if beaten else 'not clearly over'} the {starting(weights)}"
    return f"{told}   {', '.join(parts)} (standard error)"


def selected_on_test(history: Sequence[dict[str, Any]]) -> str | None:
    """The best number of the authors' probe over all epochs that were probed: chosen on the test set, and said so."""
    key = Number("authors_probe", metric="best_on_test").signal
    rows = [row for row in history if is_number(row.get(key))]
    if not rows:
        return None
    best = max(rows, key=lambda row: float(row[key]))
    return (
        f"best of {len(rows)} epochs   {best[key]:.3f} after epoch {best['epoch']}, by the authors' probe: "
        "chosen on the test set, as in their code"
    )


def closing(folder: RunFolder, cells: Sequence[EvaluationRecord], weights: str | None) -> list[str]:
    """What follows the table at the end of a run: verdict, what training was worth, where it is kept, what to try next.

    `weights` is the recipe's `network.weights`.
    """
    history = folder.history.read()
    said = [verdict_line(folder, history), worth(cells, weights), selected_on_test(history)]
    said.append(edge_note(list(edges(cells))))
    judged = sum(cell.seconds or 0.0 for cell in cells)
    said.append(f"took   {span(folder.status.seconds)} to train, {span(judged)} to judge")
    looks = ["plot"] + ["analyse"] * any(cell.kind == "analyses" for cell in cells)
    looks += ["theory --run"] * (folder.record.recipe.get("data", {}).get("kind") == "gaussian")
    commands = [f"  sslrun {look} {shlex.quote(str(folder.path))}" for look in looks]
    return [*filter(None, said), f"kept in   {folder.path}", "next:", *commands]


def as_json(folder: RunFolder, cells: Sequence[EvaluationRecord]) -> dict[str, Any]:
    """The same for programs."""
    status = folder.status
    return {
        "run": folder.path.name,
        "folder": str(folder.path),
        "identity": folder.identity,
        "status": status.state,
        "verdict": status.verdict,
        "evidence": status.evidence,
        "seconds": status.seconds,
        "evaluations": [asdict(cell) for cell in cells],
    }


def at_the_edge(decay: float, decays: Sequence[float], held_out: Mapping[str, float] | None = None) -> bool:
    """Whether the chosen decay is the least or the largest of several, and (where `held_out` has the accuracies by
    decay) better than its neighbour, not only level with it.
    """
    ordered = sorted(set(decays))
    if len(ordered) < 2 or ordered[0] < decay < ordered[-1]:
        return False
    neighbour = ordered[1] if decay == ordered[0] else ordered[-2]
    return not held_out or held_out.get(f"{decay:g}", 1.0) > held_out.get(f"{neighbour:g}", 0.0)


def edges(cells: Iterable[EvaluationRecord]) -> Iterator[tuple[str, str, float]]:
    """(evaluation, metric, decay) of each choice of a run itself that fell on an edge: a better one may lie beyond."""
    sections = evaluations()
    for cell in cells:
        field = sections[cell.kind].model_fields.get("decays") if cell.kind in sections else None
        decays: Any = cell.settings.get("decays", field.default if field else ())
        for metric, value in cell.metrics.items():
            *above, name = metric.split(".")
            held_out: Any = cell.metrics.get(_HELD_OUT)
            own = name == _DECAY and above[:1] not in (["untrained"], ["pixels"])
            if own and isinstance(value, float) and at_the_edge(value, decays, held_out):
                yield cell.kind, metric, value


def edge_note(found: Sequence[tuple[str, str, float]]) -> str | None:
    """What to do about it, in a line; None without any."""
    if not found:
        return None
    kinds = ", ".join(dict.fromkeys(f"evaluation.{kind}.decays" for kind, _, _ in found))
    chosen = ", ".join(dict.fromkeys(f"{value:g}" for _, _, value in found))
    return f"the best weight decay ({chosen}) lies at the edge of those to choose from: widen {kinds}"
