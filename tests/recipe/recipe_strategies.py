"""Random recipes for property tests, drawn from the schema itself, so that new options are covered as they come."""

import json
from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from sslrun.recipe import Recipe
from sslrun.recipe.schema.base import Section

few = settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=50)

BASES: list[dict[str, Any]] = [
    {"name": "a", "data": {"kind": "digits"}, "method": {"kind": "byol"}},
    {
        "name": "b",
        "data": {"kind": "folder", "path": "x"},
        "method": {"kind": "simsiam", "predictor": {"kind": "mlp"}},
        "views": {"solarize": {}, "normalize": {"mean": [0.5], "std": [0.25]}},
        "optimizer": {"network": {"kind": "lars"}, "predictor": {"kind": "adamw"}},
        "evaluation": {"authors_probe": {}, "every": 3},
    },
]


def build(values: dict[str, Any]) -> Recipe:
    return Recipe.model_validate_json(json.dumps(values))


def leaves(section: Section, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """The options below a section that are not sections themselves; a section that may be null counts too."""
    for name, field in type(section).model_fields.items():
        if name == "imports":  # names of modules that there must be
            continue
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from leaves(value, (*path, name))
        if not isinstance(value, Section) or NoneType in get_args(field.annotation):
            yield (*path, name), field


def values_of(annotation: Any, metadata: list[Any]) -> st.SearchStrategy[Any]:
    """JSON values that a field of this annotation accepts (rules between options aside)."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        rules = [rule for field in annotation.__metadata__ if isinstance(field, FieldInfo) for rule in field.metadata]
        return values_of(arguments[0], [*metadata, *rules])
    if origin in (Union, UnionType):
        return st.one_of(*(values_of(part, metadata) for part in arguments))
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is tuple and arguments[-1] is Ellipsis:
        return st.lists(values_of(arguments[0], []), min_size=1, max_size=3, unique=True).map(sorted)
    if origin is tuple:
        return st.tuples(*(values_of(item, []) for item in arguments)).map(lambda pair: sorted(pair))
    if isinstance(annotation, type) and issubclass(annotation, Section):
        fields = annotation.model_fields
        drawn = {name: values_of(field.annotation, field.metadata) for name, field in fields.items()}
        needed = {name: value for name, value in drawn.items() if fields[name].is_required()}
        return st.fixed_dictionaries(needed, optional={name: drawn[name] for name in drawn if name not in needed})
    return _scalars(annotation, metadata)


def _scalars(annotation: Any, metadata: list[Any]) -> st.SearchStrategy[Any]:
    bound = {name: getattr(rule, name) for rule in metadata for name in ("ge", "gt", "le", "lt") if hasattr(rule, name)}
    low, high = bound.get("ge", bound.get("gt")), bound.get("le", bound.get("lt"))
    if annotation is bool:
        return st.booleans()
    if annotation is int:
        return st.integers(low, min(high or 200, (low or 0) + 200))
    if annotation is float:
        low = 0.0 if low is None else low
        top = 1.0 if high is None else high
        return st.floats(low, top, exclude_min="gt" in bound, exclude_max="lt" in bound)
    if annotation is str and any(getattr(rule, "pattern", None) for rule in metadata):
        return st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
    if annotation is str:
        return st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
    return st.none()


@st.composite
def changed(draw: st.DrawFn, recipe: Recipe) -> tuple[Recipe, tuple[str, ...]]:
    """The recipe with one option set anew (perhaps to what it was, where rules allow nothing else), and its path."""
    path, field = draw(st.sampled_from(list(leaves(recipe))))
    values = recipe.model_dump(mode="json")
    inner = values
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = draw(values_of(field.annotation, list(field.metadata)))
    try:
        return build(values), path
    except ValidationError:
        return recipe, path


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    """A valid recipe with up to six options away from a base."""
    recipe = build(draw(st.sampled_from(BASES)))
    for _ in range(draw(st.integers(0, 6))):
        recipe, _path = draw(changed(recipe))
    return recipe
