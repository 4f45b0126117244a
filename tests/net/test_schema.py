"""The recipe's schema, option by option: what users find in the manual and what their files may hold.

`schema.txt` has a line for each option of each section: type and bounds, default, description. `python
tests/net/test_schema.py` writes it anew and prints what changes; what an option means, allows or defaults to changes on
purpose only.
"""

import json
from collections.abc import Iterator
from difflib import unified_diff
from pathlib import Path
from typing import Any

from sslrun.recipe import json_schema

STORED = Path(__file__).parent / "schema.txt"
_SAID = ("default", "description", "title", "type", "properties", "discriminator")


def digest() -> list[str]:
    """A line for each option: `Section.option`, what it may be, its default, and what it means; and for each section
    what it means. Sections that recipes name by `kind` are named by the class, fields by the names of recipes."""
    schema = json_schema()
    return sorted(
        line for name, section in [("Recipe", schema), *schema["$defs"].items()] for line in _lines(name, section)
    )


def _lines(name: str, section: dict[str, Any]) -> Iterator[str]:
    closed = "" if section.get("additionalProperties") is False else "   and others"
    yield f"{name}   {' '.join(section.get('description', '').split())}{closed}"
    for option, field in section.get("properties", {}).items():
        default = f" = {_json(field['default'])}" if "default" in field else ""
        required = " (required)" if option in section.get("required", ()) else ""
        yield f"{name}.{option}: {_type(field)}{default}{required}   {field.get('description', '')}"


def _type(field: dict[str, Any]) -> str:
    if "$ref" in field:
        return str(field["$ref"].rpartition("/")[2])
    for choice in ("anyOf", "oneOf"):
        if choice in field:
            return " | ".join(sorted(map(_type, field[choice])))
    rules = {key: value for key, value in field.items() if key not in _SAID and key not in ("items", "prefixItems")}
    inner = [_type(item) for item in field.get("prefixItems", [field["items"]] if "items" in field else [])]
    words = [str(field.get("type", "")), *(f"{key} {_json(value)}" for key, value in sorted(rules.items()))]
    return " ".join(word for word in words if word) + (f" of ({', '.join(inner)})" if inner else "")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def changes() -> str:
    """What differs from the stored digest, as a diff; empty if nothing does."""
    stored = STORED.read_text(encoding="utf-8").splitlines() if STORED.exists() else []
    return "\n".join(unified_diff(stored, digest(), "stored", "now", n=0, lineterm=""))


def test_the_schema_is_as_it_was() -> None:
    assert not changes(), changes()


if __name__ == "__main__":
    print(changes())
    STORED.write_text("".join(f"{line}\n" for line in digest()), encoding="utf-8")
