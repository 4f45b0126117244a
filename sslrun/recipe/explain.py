"""Why two recipes are, or are not, the same science: every option in which they differ, and what hangs on it.

It reads the schema's marks as `identity.py` does; `sslrun explain A B` prints what it finds.
"""

import json
from dataclasses import dataclass
from typing import Any, Literal

from sslrun.recipe.introspect import operational
from sslrun.recipe.schema import Recipe
from sslrun.recipe.schema.base import Section

Part = Literal["science", "evaluation", "rounding", "operational"]
MEANINGS: dict[Part, str] = {
    "science": "another run",
    "evaluation": "another evaluation of the same run",
    "rounding": "a difference of rounding alone (not part of the identity; last digits may differ)",
    "operational": "no difference to any number",
}
"""What hangs on an option of each part of a recipe."""
_ROUNDING = ("run.device", "run.threads")


@dataclass(frozen=True)
class Difference:
    """One option in which two recipes differ: its dotted path, both values (a section of another kind, or one that is
    null in the other, as the options that it sets away from their defaults), and what it belongs to."""

    path: str
    a: Any
    b: Any
    part: Part


@dataclass(frozen=True)
class Comparison:
    """All differences between two recipes, in the order of the schema; of two runs also what recipes don't say."""

    differences: tuple[Difference, ...]

    @property
    def same_science(self) -> bool:
        """Whether both describe the same pretraining (given the same data and starting weights)."""
        return all(difference.part != "science" for difference in self.differences)

    def text(self) -> str:
        """The differences, a line each, by what hangs on them; then the conclusion."""
        widest = max((len(one.path) for one in self.differences), default=0)
        lines = []
        for part, meaning in MEANINGS.items():
            found = [one for one in self.differences if one.part == part]
            lines += [f"{meaning}:"] if found else []
            lines += [f"  {one.path:{widest}}   {in_words(one.a)} → {in_words(one.b)}" for one in found]
        same = "the same science: on the same data they share one run"
        lines.append(same if self.same_science else "different science: each is a run of its own")
        return "\n".join(lines)


def explain(a: Recipe, b: Recipe) -> Comparison:
    """Compare two recipes option by option."""
    return Comparison(tuple(_differences(a, b, "", "science")))


def _differences(a: Section, b: Section, above: str, part: Part) -> list[Difference]:
    found = []
    for name, field in type(a).model_fields.items():
        left, right = getattr(a, name), getattr(b, name)
        path = f"{above}.{name}" if above else name
        inner: Part = "operational" if operational(field) else "evaluation" if path == "evaluation" else part
        inner = "rounding" if path in _ROUNDING else inner
        if path == "network.weights" and (left is None) != (right is None):
            inner = "science"  # where the file lies is operational, whether there is one is not
        if isinstance(left, Section) and type(left) is type(right):
            found += _differences(left, right, path, inner)
        elif left != right:
            found.append(Difference(path, set_options(left), set_options(right), inner))
    return found


def set_options(value: Any) -> Any:
    """A section as its kind and the options away from their defaults; anything else as JSON has it."""
    if isinstance(value, Section):
        options = value.model_dump(mode="json")
        away = value.model_dump(mode="json", exclude_defaults=True)
        return {name: away.get(name, options[name]) for name in options if name == "kind" or name in away}
    return list(value) if isinstance(value, tuple) else value


def in_words(value: Any) -> str:
    """An option's value to read: a section as its kind and its options, `constant, momentum 0.97`."""
    if isinstance(value, dict):
        options = (str(of) if name == "kind" else f"{name} {value_text(of)}" for name, of in value.items())
        return ", ".join(options) or "as by default"
    return value_text(value)


def value_text(value: Any) -> str:
    """An option's value as JSON has it, text without quotes."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
