"""Identity: what must change it, what must not, and that `explain` says the same."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recipe_strategies import BASES, build, changed, few, leaves, recipes

from sslrun.recipe import Recipe
from sslrun.recipe.explain import explain
from sslrun.recipe.identity import NUMERICS, evaluation_identity, identity, science
from sslrun.recipe.introspect import operational

DATA = "0" * 64


def of(recipe: Recipe, data: str = DATA) -> str:
    return identity(recipe, data, None if recipe.network.weights is None else "w")


def without(recipe: Recipe, *parts: str) -> dict[str, Any]:
    """The recipe as plain values, without the options of these parts (found by the schema, not by `science`)."""
    values = recipe.model_dump(mode="json")
    for path, field in leaves(recipe):
        part = "evaluation" if path[0] == "evaluation" else "operational" if operational(field) else "science"
        inner: Any = values
        for name in path[:-1]:
            inner = inner.get(name) or {}
        if part in parts:
            inner.pop(path[-1], None)
    return values


@given(st.data())
@settings(few, max_examples=80)
def test_one_option_changed(data: st.DataObject) -> None:
    a = data.draw(recipes())
    b, _ = data.draw(changed(a))
    if (a.network.weights is None) != (b.network.weights is None):
        assert of(a) != of(b) and not explain(a, b).same_science
        return
    same = without(a, "evaluation", "operational") == without(b, "evaluation", "operational")
    assert (of(a) == of(b)) == same == explain(a, b).same_science == (science(a) == science(b))


def test_each_operational_and_evaluation_option_stays_out() -> None:
    base = build(BASES[0])
    for values in (
        {"name": "other"},
        {"run": {"results": "r", "device": "cuda:1", "threads": 3, "verbosity": "quiet", "graph": "off"}},
        {"data": {"kind": "digits", "stream": "never"}},
        {"evaluation": {"knn": None, "every": 2, "baselines": []}},
    ):
        other = build(BASES[0] | values)
        assert other != base and of(other) == of(base)
        assert all(difference.part != "science" for difference in explain(base, other).differences)


def test_weights_count_by_their_digest() -> None:
    plain, started = build(BASES[0]), build(BASES[0] | {"network": {"weights": "here.pt"}})
    moved = build(BASES[0] | {"network": {"weights": "there.pt"}})
    assert identity(started, DATA, "1") == identity(moved, DATA, "1") != identity(started, DATA, "2")
    assert identity(started, DATA, "1") != identity(plain, DATA)
    assert explain(started, moved).same_science and not explain(plain, started).same_science
    with pytest.raises(ValueError, match="weights_digest"):
        identity(started, DATA)
    with pytest.raises(ValueError, match="weights_digest"):
        identity(plain, DATA, "1")


@given(recipes())
@few
def test_spelling_does_not_matter(recipe: Recipe) -> None:
    """Defaults spelled out, keys in another order, integers for whole floats: the same identity."""

    def turned(values: Any) -> Any:
        if isinstance(values, dict):
            return {key: turned(values[key]) for key in reversed(values)}
        return values

    spelled = turned(recipe.model_dump(mode="json"))
    again = Recipe.model_validate_json(json.dumps(spelled))
    assert list(spelled) != list(recipe.model_dump()) and of(again) == of(recipe)
    short_form = recipe.model_dump(mode="json", exclude_defaults=True)
    assert of(build(short_form)) == of(recipe)


def test_numbers_are_canonical() -> None:
    def with_lr(text: str) -> Recipe:
        return Recipe.model_validate_json(
            '{"name": "a", "data": {"kind": "digits"}, "method": {"kind": "byol"},'
            f'"optimizer": {{"network": {{"lr": {text}, "weight_decay": 1}}}}}}'
        )

    assert len({of(with_lr(text)) for text in ("0.3", "3e-1", "0.30", "3E-1", "300e-3")}) == 1
    assert len({of(with_lr(text)) for text in ("1", "1.0", "0.1e1")}) == 1
    assert of(with_lr("0.0")) == of(with_lr("-0.0")) == of(with_lr("0")) != of(with_lr("1e-9"))
    assert of(with_lr("0.03")) == of(build(BASES[0] | {"optimizer": {"network": {"weight_decay": 1.0}}}))


def test_science_holds_kinds_and_what_is_not_default() -> None:
    assert science(build(BASES[0])) == {"data": {"kind": "digits"}, "method": {"kind": "byol"}}
    recipe = build(BASES[1] | {"seed": 4, "training": {"epochs": 7, "collapse": {"rank": 2.0}}, "run": {"threads": 2}})
    assert science(recipe) == {
        "seed": 4,
        "data": {"kind": "folder"},
        "method": {"kind": "simsiam", "predictor": {"kind": "mlp"}},
        "views": {"solarize": {}, "normalize": {"mean": [0.5], "std": [0.25]}},
        "optimizer": {"network": {"kind": "lars"}, "predictor": {"kind": "adamw"}},
        "training": {"epochs": 7},
    }
    assert recipe.evaluation.authors_probe is not None
    assert science(recipe.evaluation.authors_probe) == {}


def test_simsiam_alone_has_its_own_predictor_and_runs_of_before_keep_their_names() -> None:
    """Left out, the predictor was DirectPred once: what is left out of an identity still means that."""
    alone, before = (
        build(BASES[0] | {"method": {"kind": "simsiam"} | more}) for more in ({}, {"predictor": {"kind": "directpred"}})
    )
    assert science(alone)["method"] == {"kind": "simsiam", "predictor": {"kind": "mlp"}}
    assert science(before)["method"] == {"kind": "simsiam"}


def test_the_hash_is_of_canonical_json() -> None:
    """Spelled out once, so that an accidental change of the form can't pass: old results would be lost."""
    text = '{"data":"f","numerics":1,"science":{"data":{"kind":"digits"},"method":{"kind":"byol"}},"weights":null}'
    assert NUMERICS == 1
    assert identity(build(BASES[0]), "f") == hashlib.sha256(text.encode()).hexdigest()


def test_data_and_names() -> None:
    recipe = build(BASES[0] | {"name": "digits-1"})
    whole = of(recipe)
    assert whole != of(recipe, "1" * 64) and len(whole) == 64


def test_evaluation_identity() -> None:
    one = evaluation_identity("a" * 64, "knn", {"k": 5, "temperature": 0.07})
    assert one == evaluation_identity("a" * 64, "knn", {"temperature": 7e-2, "k": 5}) and len(one) == 64
    others = [
        evaluation_identity("b" * 64, "knn", {"k": 5, "temperature": 0.07}),
        evaluation_identity("a" * 64, "linear", {"k": 5, "temperature": 0.07}),
        evaluation_identity("a" * 64, "knn", {"k": 1, "temperature": 0.07}),
    ]
    assert len({one, *others}) == 4


def test_explain_lists_each_difference() -> None:
    a = build(BASES[0] | {"training": {"epochs": 5}})
    method = {
        "kind": "byol",
        "predictor": {"kind": "linear", "bias": True},
        "ema": {"kind": "constant", "momentum": 0.9},
    }
    b = build(
        BASES[0]
        | {"name": "b", "seed": 2, "method": method, "views": {"blur": None, "crop": {"scale": [0.2, 1.0]}}}
        | {"training": {"epochs": 5}, "evaluation": {"knn": {"k": 1}}, "run": {"device": "cpu"}}
    )
    comparison = explain(a, b)
    assert not comparison.same_science
    assert [(one.path, one.a, one.b, one.part) for one in comparison.differences] == [
        ("name", "a", "b", "operational"),
        ("seed", 0, 2, "science"),
        ("views.crop.scale", [0.08, 1.0], [0.2, 1.0], "science"),
        ("views.blur", {}, None, "science"),
        ("method.predictor", {"kind": "directpred"}, {"kind": "linear", "bias": True}, "science"),
        ("method.ema.momentum", 0.996, 0.9, "science"),
        ("evaluation.knn.k", 5, 1, "evaluation"),
        ("run.device", "auto", "cpu", "rounding"),
    ]
    told = [line.split("   ")[-1].strip() for line in comparison.text().splitlines()]
    assert "directpred → linear, bias true" in told and "as by default → null" in told
    whole = comparison.text()
    assert (
        whole.index("rounding alone")
        < whole.index("run.device")
        < whole.index("no difference to any")
        < whole.index("name ")
    )


@given(recipes())
@few
def test_explain_of_equals_is_empty(recipe: Recipe) -> None:
    assert explain(recipe, build(recipe.model_dump(mode="json"))).differences == ()
