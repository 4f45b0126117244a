"""What makes a run this run and no other: a hash of everything that decides its numbers, and of nothing else.

Names, folders, devices and other operational options stay out, and so does `evaluation`, which has identities of its
own. An option left at its default stays out too (one that changed what is done without it: at what was done before),
so that later options don't disturb old results. `explain.py`
compares two recipes in these terms.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from sslrun.errors import InputError
from sslrun.recipe.introspect import before, operational
from sslrun.recipe.plugins import digests, plugin_of
from sslrun.recipe.schema import Recipe
from sslrun.recipe.schema.base import Section

NUMERICS = 1
"""Raised by hand when a fix, or a changed default, changes what the same recipe computes."""


def science(section: Section) -> dict[str, Any]:
    """The options that decide the numbers: not operational, not at their default; a `kind` always.

    A section of a plug-in has the digest of its code with it. Of a recipe, `evaluation` and plug-ins that only judge
    are left out; `science(recipe.evaluation.knn)` gives that part of an evaluation.
    """
    result = {}
    for name, field in type(section).model_fields.items():
        if operational(field) or (isinstance(section, Recipe) and name == "evaluation"):
            continue
        value, unsaid = getattr(section, name), before(field)
        if name == "imports" and isinstance(section, Recipe):
            value = tuple(digests(value))
        default = field.default if unsaid is None else unsaid
        said = name == "kind" or field.is_required()
        if said or value != default:  # most are at their default, which is told faster than what they mean
            meant = _canonical(value)
            if said or meant != _canonical(default):
                result[name] = meant
    plugin = plugin_of(type(section))
    result |= {"numerics": section.NUMERICS} if section.NUMERICS > 1 else {}
    return result | ({"plugin": plugin.digest} if plugin else {})


def identity(recipe: Recipe, data_fingerprint: str, weights: str | None = None) -> str:
    """The identity of a pretraining, 64 hex digits: of the recipe's science, the data, the starting weights, the code
    of the plug-ins that it names (but of those that only judge), and `NUMERICS`.

    Raises `ValueError` if the recipe starts from a file of weights and `weights`, its digest, is not given, or the
    reverse.
    """
    if (recipe.network.weights is None) != (weights is None):
        raise ValueError("weights_digest belongs to recipes that start from network.weights, and to those alone")
    whole = {"numerics": NUMERICS, "science": science(recipe), "data": data_fingerprint, "weights": weights}
    plugins = digests(recipe.imports)
    return _digest(whole | ({"plugins": plugins} if plugins else {}))


def weights_digest(recipe: Recipe) -> str | None:
    """The digest of the file of weights that the recipe starts from, if any. Raises `InputError` if it is missing."""
    weights = recipe.network.weights_file
    if weights is not None and not weights.is_file():
        raise InputError("no such file", where=f"network.weights: {weights}")
    return hashlib.sha256(weights.read_bytes()).hexdigest() if weights is not None else None


def evaluation_identity(run_identity: str, kind: str, section: Mapping[str, Any], numerics: int = 1) -> str:
    """The identity of an evaluation of a run, 64 hex digits; `section` is the `science` of its part of the recipe,
    `numerics` as `evaluation_numerics` has it."""
    whole = {"run": run_identity, "evaluation": kind, "section": _canonical(dict(section))}
    return _digest(whole | ({"numerics": numerics} if numerics > 1 else {}))


def evaluation_numerics(recipe: Recipe) -> int:
    """Raised by hand when a fix changes what the same evaluation of the same encoder computes, where it does.

    2: the batch norms of an untrained encoder, which a run is compared with, have the training images' statistics.
    """
    untrained = "untrained" in recipe.evaluation.baselines and recipe.network.weights is None
    return 2 if untrained and recipe.network.backbone.batch_norm else 1


def _canonical(value: Any) -> Any:
    """As JSON has it, sections by their science; −0.0 is 0.0."""
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Section):
        return science(value)
    if isinstance(value, Mapping):
        return {key: _canonical(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [_canonical(inner) for inner in value]
    return value + 0.0 if isinstance(value, float) else value


def _digest(payload: dict[str, Any]) -> str:
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
