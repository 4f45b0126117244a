"""What `sslrun explain` prints: the options in which two recipes differ, and what hangs on each."""

import json
from typing import Any

from sslrun.recipe.explain import Comparison

_MEANING = {
    "science": "another run",
    "evaluation": "another evaluation of the same run",
    "operational": "no difference to any number",
}


def differences_text(comparison: Comparison) -> str:
    """One line a difference, then the conclusion."""
    rows = [(d.path, _text(d.a), _text(d.b), _MEANING[d.part]) for d in comparison.differences]
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(3)]
    lines = [f"{path:{widths[0]}}   {a:{widths[1]}} → {b:{widths[2]}}   {meaning}" for path, a, b, meaning in rows]
    same = "the same science: on the same data they share one run"
    lines.append(same if comparison.same_science else "different science: each is a run of its own")
    return "\n".join(lines)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
