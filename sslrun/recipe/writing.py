"""A recipe as text: the resolved YAML that a run keeps, and the JSON Schema that is its reference manual.

What `to_yaml` writes, `read_recipe` reads back as an equal recipe.
"""

from typing import Any

import yaml

from sslrun.recipe.document import plain
from sslrun.recipe.schema import Recipe


def to_yaml(recipe: Recipe) -> str:
    """Every option of the recipe, defaults included, in the order of the schema but each section's kind first."""
    values = recipe.model_dump(mode="json")
    return yaml.dump(_kind_first(values), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def json_schema() -> dict[str, Any]:
    """The recipe's JSON Schema (2020-12), for editors and for reading. `name` may be left out of a file."""
    schema = Recipe.model_json_schema()
    schema["required"].remove("name")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _kind_first(values: Any) -> Any:
    if not isinstance(values, dict):
        return values
    kind = {"kind": values["kind"]} if "kind" in values else {}
    return kind | {name: _kind_first(inner) for name, inner in values.items()}


class _Dumper(yaml.SafeDumper):
    """Sections as blocks, lists in brackets, and quotes around text that would be read as something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_BREAKS = {"\x85", "\u2028", "\u2029"}
"""What YAML takes for the end of a line, unless it is escaped."""


def _list(dumper: _Dumper, values: list[Any]) -> yaml.Node:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=True)


def _text(dumper: _Dumper, text: str) -> yaml.Node:
    try:
        same = plain(text) == text and not _BREAKS.intersection(text)
    except ValueError:
        same = False
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if same else '"')


_Dumper.add_representer(list, _list)
_Dumper.add_representer(str, _text)
