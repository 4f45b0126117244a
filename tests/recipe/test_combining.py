"""Overrides and partial recipes: what goes over what, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from recipe_strategies import BASES, build, few, recipes

from sslrun.errors import RecipeError
from sslrun.recipe import Recipe, merge, read_recipe
from sslrun.recipe.combining import combine
from sslrun.recipe.document import parse
from sslrun.recipe.reading import check
from sslrun.recipe.schema import MlpPredictor

TEXT = """\
data: {kind: digits, size: 24}
method: {kind: byol, predictor: {kind: directpred, rho: 0.5, epsilon: 0.2}}
optimizer: {network: {kind: sgd, lr: 0.1}}
training: {epochs: 30, keep_encoder_at: [10, 20]}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "base.yaml"
    path.write_text(TEXT)
    return path


def test_overrides(file: Path) -> None:
    overrides = [
        "method.stop_gradient=false",
        "views.blur=null",
        "training.epochs=3",
        "training.keep_encoder_at=[1, 3]",
        "optimizer.network.lr=1e-2",
        "views.crop={scale: [.5, 1]}",
        "run.results=a=b",
        "name=other",
    ]
    recipe = read_recipe(file, overrides)
    assert recipe.method.stop_gradient is False and recipe.views.blur is None
    assert recipe.training.epochs == 3 and recipe.training.keep_encoder_at == (1, 3)
    assert recipe.optimizer.network.lr == 0.01
    assert recipe.views.crop is not None and recipe.views.crop.scale == (0.5, 1.0)
    assert recipe.run.results == "a=b" and recipe.name == "other"


def test_another_kind_starts_afresh_in_any_order(file: Path) -> None:
    overrides = ["method.predictor.hidden=8", "method.predictor.kind=mlp"]
    for order in (overrides, overrides[::-1], ["method.predictor={kind: mlp, hidden: 8}"]):
        assert read_recipe(file, order).method.predictor == MlpPredictor(kind="mlp", hidden=8)
    kept = read_recipe(file, ["method.predictor.kind=directpred", "method.predictor.rho=0.1"]).method.predictor
    assert kept.kind == "directpred" and (kept.rho, kept.epsilon) == (0.1, 0.2)
    assert read_recipe(file, ["training.epochs=40", "training.epochs=50"]).training.epochs == 50


def test_kinds_that_share_their_options_keep_them(file: Path) -> None:
    network = read_recipe(file, ["optimizer.network.kind=adamw"]).optimizer.network
    assert (network.kind, network.lr) == ("adamw", 0.1)


@pytest.mark.parametrize(
    ("override", "fragments"),
    [
        ("method.predictr.kind=linear", ("method.predictr: no such option for method 'byol'", "mean 'predictor'?")),
        ("method.predictor.kind=linea", ("method.predictor.kind: no such predictor: 'linea'", "mean 'linear'?")),
        ("method.predictor.kind=xyzzy", ("no such predictor: 'xyzzy'", "one of your own is loaded with --import FILE")),
        ("method.predictor.hidden=3", ("no such option for predictor 'directpred'", "it belongs to mlp")),
        ("epochs=3", ("no such section", "did you mean 'training.epochs'")),
        ("training.epochs=0", ("training.epochs: 0 is not allowed", "at least 1")),
        ("training.epochs=15", ("training.keep_encoder_at: epoch 20 never comes",)),
        ("method.stop_gradient=off", ("method.stop_gradient: 'off'", "write false")),
        ("seed.deeper=1", ("seed: a section of options is not allowed", "a whole number")),
        ("data=digits", ("write --set data.kind=digits",)),
        ("method.ema=off", ("write --set method.ema.kind=none",)),
        ("method.ema=null", ("write --set method.ema.kind=none",)),
        ("seed=.nan", (".nan is not a finite number",)),
        ("seed=!!int 3", ("tag",)),
        ("seed={a: 1, a: 2}", ("'a' is given twice",)),
        ("seed=", ("is empty",)),
        ("seed", ("must be key=value", "for example")),
        ("=3", ("must be key=value",)),
        ("a..b=3", ("must be key=value",)),
        ("seed=[1", ("expected",)),
    ],
)
def test_wrong_overrides(file: Path, override: str, fragments: tuple[str, ...]) -> None:
    with pytest.raises(RecipeError) as caught:
        read_recipe(file, [override])
    text = str(caught.value)
    # Epoch 20 stands in the file, and is pointed at there.
    assert text.startswith(f"{file}:4:41: " if "epoch 20" in text else f"--set {override}: "), text
    for fragment in fragments:
        assert fragment in text


def test_merge_leaves_its_arguments_alone() -> None:
    base: dict[str, Any] = {"a": {"b": 1, "c": [1]}, "views": {"blur": {"kernel": 9}}}
    partial: dict[str, Any] = {"a.b": 2, "a": {"d.e": 3}, "views.blur": None}
    assert merge(base, partial) == {"a": {"b": 2, "c": [1], "d": {"e": 3}}, "views": {"blur": None}}
    assert base == {"a": {"b": 1, "c": [1]}, "views": {"blur": {"kernel": 9}}}
    assert partial == {"a.b": 2, "a": {"d.e": 3}, "views.blur": None}


@given(recipes(), recipes())
@few
def test_a_whole_recipe_as_partial_replaces_all(a: Recipe, b: Recipe) -> None:
    left, right = a.model_dump(mode="json"), b.model_dump(mode="json")
    assert build(merge(left, right)) == b
    assert build(merge(left, {})) == a


def test_partials_of_a_grid_keep_their_places() -> None:
    base = parse(TEXT.replace("24}", "24}\nname: cell"), "base.yaml")
    grid = parse("axes:\n  predictor:\n    none: {method.predictor.kind: nome}\n    list: [1]\n", "grid.yaml")
    with pytest.raises(RecipeError, match=r"^grid.yaml:3:35: method.predictor.kind: no such predictor: 'nome'"):
        check(Recipe, combine(base, grid.part("axes", "predictor", "none")))
    with pytest.raises(RecipeError, match=r"^grid.yaml:4:11: must be a section of options"):
        combine(base, grid.part("axes", "predictor", "list"))


@pytest.mark.parametrize(
    ("partials", "where", "path"),
    [
        (["training.epochs.x: 3"], "grid0:1:1", "training.epochs"),
        (["training: {epochs: {x: 3}}"], "grid0:1:12", "training.epochs"),
        (["training.epochs: 4", "\ntraining.epochs.x: 3"], "grid1:2:1", "training.epochs"),
        (["data.limit.x.y: 3"], "grid0:1:1", "data.limit"),
        (["views.blur: null", "views.blur.sigma.low: 3"], "grid1:1:1", "views.blur.sigma"),
    ],
)
def test_a_section_that_a_partial_makes_stands_where_it_is_made(partials: list[str], where: str, path: str) -> None:
    base = parse(TEXT.replace("24}", "24}\nname: cell"), "base.yaml")
    documents = [parse(text, f"grid{number}") for number, text in enumerate(partials)]
    with pytest.raises(RecipeError, match=f"^{where}: {path}: a section of options is not allowed"):
        check(Recipe, combine(base, *documents))


def test_a_section_that_was_there_stays_where_it_is() -> None:
    base = parse(TEXT.replace("{kind: digits, size: 24}", "{kind: folder}\nname: cell"), "base.yaml")
    with pytest.raises(RecipeError, match=r"^base.yaml:1:1: data.path: is missing"):
        check(Recipe, combine(base, parse("data.limit: 4", "grid")))


def test_bases_are_valid() -> None:
    assert [build(values).name for values in BASES] == ["a", "b"]


def test_a_word_in_a_list_is_nothing() -> None:
    """An option written as a list, where the other has sections below it: an error of the schema, no crash."""
    with pytest.raises(RecipeError, match=r"views\.crop"):
        read_recipe("quickstart", ["views.crop=[1, 2]", "views.crop.scale=[0.5, 1.0]", "views.crop=[3]"])
