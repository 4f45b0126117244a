"""Recipes as text: what is written reads back as the same recipe; the JSON Schema covers every option."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recipe_strategies import BASES, build, few, recipes

from sslrun.recipe import Recipe, json_schema, read_recipe, to_yaml
from sslrun.recipe.document import parse
from sslrun.recipe.introspect import sections
from sslrun.recipe.schema.base import Section


@given(recipe=recipes())
@few
def test_round_trip(tmp_path: Path, recipe: Recipe) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(to_yaml(recipe), encoding="utf-8")
    again = read_recipe(path)
    assert again == recipe
    assert to_yaml(again) == to_yaml(recipe)


TEXTS = ["1e-4", "on", "null", "~", "", "2012", "1_000", ".5", "<<", "a: b", "#x", " x ", "é", "😀", "\x07", "a\nb"]
TEXTS += ["\x85", "a\u2028b", "\u2029"]


@pytest.mark.parametrize("text", TEXTS)
def test_text_stays_text(text: str) -> None:
    recipe = build(BASES[0] | {"run": {"results": text}})
    assert parse(to_yaml(recipe), "x").values["run"]["results"] == text


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=0))
@few
def test_floats_keep_every_bit(number: float) -> None:
    recipe = build(BASES[0] | {"optimizer": {"network": {"weight_decay": number}}})
    assert parse(to_yaml(recipe), "x").values["optimizer"]["network"]["weight_decay"] == number


def test_layout() -> None:
    lines = to_yaml(build(BASES[0])).splitlines()
    assert [line.partition(":")[0] for line in lines if not line.startswith(" ")] == list(Recipe.model_fields)
    assert lines[lines.index("data:") + 1] == "  kind: digits"
    assert "    scale: [0.08, 1.0]" in lines


def test_json_schema_describes_every_option() -> None:
    schema = json_schema()
    assert schema["required"] == ["data", "method"]
    assert schema["properties"]["name"]["operational"] is True

    def check(section: type[Section]) -> None:
        for name, field in section.model_fields.items():
            assert field.description, f"{section.__name__}.{name}"
            for inner in sections(field.annotation):
                assert inner.__name__ in schema["$defs"]
                check(inner)

    check(Recipe)
