"""Was there enough to choose from? Where a probe took the first or last of its weight decays, a better one may lie
beyond: `summary` says so at the end of a run.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sslrun.recipe.schema.base import defined
from sslrun.recipe.schema.judging import EvaluationSection
from sslrun.runs.records import EvaluationRecord

_DECAY, _HELD_OUT = "decay", "held_out"


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
    """(evaluation, metric, decay) of each choice of a run itself that fell on an edge."""
    sections = {section.NAME: section for section in defined(EvaluationSection)}
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
