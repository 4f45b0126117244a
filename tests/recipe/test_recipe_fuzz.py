"""Whatever stands in a file or after --set: a recipe, or a `RecipeError`; never another error."""

import os
import string
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml
from changed_texts import changed, texts, trouble
from hypothesis import given
from hypothesis import strategies as st
from recipe_strategies import BASES, build, few

from sslrun.errors import RecipeError
from sslrun.grids import read_grid
from sslrun.recipe import Recipe, read_recipe, to_yaml
from sslrun.recipe.introspect import dotted

VALID = to_yaml(build(BASES[1]))
WORDS = sorted({word for path in dotted(Recipe) for word in path.split(".")})
YAML_MARKS = "{}[]:,-?!&*#|>'\"%@`~<=. \n\t\\"
PIECES = st.one_of(
    st.text(st.sampled_from(YAML_MARKS + string.digits + "abe"), max_size=8),
    st.sampled_from(["&a ", "*a", "<<: ", "!!int ", "---\n", "null", "1e999", ".inf", "on", "\ufeff", "\0"]),
    st.sampled_from(WORDS).map(lambda word: f"\n{word}: "),
    st.text(max_size=4),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "fuzz.yaml"


def read(path: Path, content: bytes, *overrides: str) -> None:
    path.write_bytes(content)
    try:
        assert isinstance(read_recipe(path, overrides), Recipe)
    except RecipeError as error:
        str(error).encode()
        assert error.where and error.exit_code == 2
        assert overrides or error.where.startswith(f"{path}:")


@given(content=st.binary(max_size=60))
@few
def test_bytes(path: Path, content: bytes) -> None:
    read(path, content)


@given(pieces=st.lists(PIECES, max_size=12))
@few
def test_yaml_like_text(path: Path, pieces: list[str]) -> None:
    read(path, "".join(pieces).encode())


@given(cuts=st.lists(st.tuples(st.integers(0, len(VALID)), st.integers(0, 12), PIECES), min_size=1, max_size=3))
@few
def test_mutated_recipes(path: Path, cuts: list[tuple[int, int, str]]) -> None:
    text = VALID
    for start, length, piece in cuts:
        text = text[:start] + piece + text[start + length :]
    read(path, text.encode())


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["byol", "directpred", "cosine", "x", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=12,
)


@given(
    values=st.dictionaries(st.sampled_from(list(Recipe.model_fields)), JSON, max_size=4), base=st.sampled_from(BASES)
)
@few
def test_wrong_structures(path: Path, values: dict[str, Any], base: dict[str, Any]) -> None:
    read(path, yaml.safe_dump(base | values).encode())


@given(
    key=st.one_of(st.sampled_from(list(dotted(Recipe))), st.text(max_size=8)), value=st.one_of(PIECES, JSON.map(str))
)
@few
def test_overrides(path: Path, key: str, value: str) -> None:
    read(path, VALID.encode(), f"{key}={value}")


@pytest.mark.parametrize("block", range(4))
def test_changed_recipes_and_grids(tmp_path: Path, block: int) -> None:
    every = texts()
    for seed in range(20 * block, 20 * block + 20):
        draw = Random(seed)
        text, grid = draw.choice(every)
        assert not trouble(changed(text, draw), grid, tmp_path), seed


@pytest.mark.parametrize(
    "text", ["kind: x\nfoo: 1\n", "kind: {a: 1}\nfoo: 1\n", "kind: [x]\nkind.x: 1\n", "kind:\nx:\n"]
)
@pytest.mark.parametrize("grid", [False, True])
def test_a_kind_where_there_is_none(tmp_path: Path, text: str, grid: bool) -> None:
    assert not trouble(text, grid, tmp_path)


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
@pytest.mark.parametrize("grid", [False, True])
def test_what_is_no_plain_file_is_told(tmp_path: Path, kind: str, grid: bool) -> None:
    place = {"pipe": tmp_path / "pipe", "device": Path("/dev/null"), "folder": tmp_path}[kind]
    if kind == "pipe":
        os.mkfifo(place)
    with pytest.raises(RecipeError, match="not a plain file"):
        (read_grid if grid else read_recipe)(place)
    base = tmp_path / "grid.yaml"
    base.write_text(f"base: {place}\n")
    with pytest.raises(RecipeError, match="not a plain file"):
        read_grid(base)
