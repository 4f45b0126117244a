"""What `sslrun explain` prints: the options in which two recipes differ, and what hangs on each."""

import json
from typing import Any

from sslrun.recipe.explain import Comparison, Part

_MEANING: dict[Part, str] = {
    "science": "another run",
    "evaluation": "another evaluation of the same run",
    "operational": "no difference to any number",
}


def differences_text(comparison: Comparison) -> str:
    """One line a difference, then the conclusion."""
    rows = [(d.path, value_text(d.a), value_text(d.b), meaning(d.part)) for d in comparison.differences]
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(3)]
    lines = [f"{path:{widths[0]}}   {a:{widths[1]}} → {b:{widths[2]}}   {then}" for path, a, b, then in rows]
    same = "the same science: on the same data they share one run"
    lines.append(same if comparison.same_science else "different science: each is a run of its own")
    return "\n".join(lines)


def meaning(part: Part) -> str:
    """What hangs on an option of this part of a recipe."""
    return _MEANING[part]


def value_text(value: Any) -> str:
    """An option's value as JSON has it, text without quotes."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
