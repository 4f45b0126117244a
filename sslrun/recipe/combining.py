"""Partial recipes laid over a recipe: `--set key=value`, and the entries of a grid's axes.

A partial is a mapping with nested or dotted keys. It goes over the base option by option, with one exception: where
each kind has options of its own (`data`, `method`, `method.predictor`, `method.ema`), another kind starts afresh and
nothing of the old kind's section stays. Where the kinds share one set of options (`optimizer.network`,
`network.backbone`) the others stay as they are. Lists are replaced whole; null sets null.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sslrun.errors import RecipeError
from sslrun.recipe.document import Document, KeyPath, Spot, at, parse
from sslrun.recipe.introspect import chosen, sections
from sslrun.recipe.schema import Recipe
from sslrun.recipe.schema.base import Section

_KEY = re.compile(r"\w+(\.\w+)*")


def merge(base: Mapping[str, Any], partial: Mapping[str, Any], model: type[Section] = Recipe) -> dict[str, Any]:
    """`base` with `partial` over it, by the rule above; neither is changed. `model` is the schema of both."""
    return _merge(base, _expanded(partial, model), model)


def combine(base: Document, *partials: Document, model: type[Section] = Recipe) -> Document:
    """`base` with partials over it, each value with its spot. The partials are merged with each other first, so their
    order matters only where two set the same option (the later wins).

    Raises `RecipeError` where a partial is not a mapping.
    """
    together: dict[str, Any] = {}
    spots: dict[KeyPath, Spot] = dict(base.spots)
    for partial in partials:
        if not isinstance(partial.values, dict):
            place = partial.spot(()).value
            raise RecipeError("must be a section of options", where=place.where, remedy=place.excerpt() or None)
        written = {_apart(path): spot for path, spot in partial.spots.items() if path}
        # A dotted key makes sections that it has no key for: they stand where it does, be they new or in an option's
        # place. A section that was there stays where it is.
        made = {
            path[:end]: spot
            for path, spot in written.items()
            for end in range(1, len(path))
            if not (_is_section(base.values, path[:end]) or _is_section(together, path[:end]))
        }
        spots |= made | written
        together = merge(together, partial.values, model)
    values = _merge(base.values, together, model)
    return Document(values, {path: spot for path, spot in spots.items() if _holds(values, path)})


Override = str | tuple[str, str]
"""What `--set` takes, `key=value`; or what was typed instead (`--device tpu`), and the `key=value` that it means."""


def override(change: Override) -> Document:
    """The partial that `key=value` means; the value is read as in a file (`{kind: linear}`, `null`, `1e-4`).

    Raises `RecipeError` where it is not of that form. Errors about it name what was typed.
    """
    source, text = ("--set " + " ".join(change.split()), change) if isinstance(change, str) else change
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not _KEY.fullmatch(key):
        raise RecipeError("must be key=value", where=source, remedy="for example --set training.epochs=3")
    document = parse(value, source, lines=False)
    return Document({key: document.values}, {(key, *path): spot for path, spot in document.spots.items()})


def on_device(device: str | None) -> list[Override]:
    """What `--device` means, if it is given."""
    return [(f"--device {device}", f"run.device={device}")] if device else []


def options(partial: Any, spot: KeyPath = (), above: tuple[str, ...] = ()) -> Iterator[tuple[KeyPath, tuple[str, ...]]]:
    """Every option that a partial sets: its key path as written, and with dotted keys taken apart."""
    for key, value in partial.items():
        path = (*above, *key.split("."))
        if isinstance(value, dict) and value:
            yield from options(value, (*spot, key), path)
        else:
            yield (*spot, key), path


def _merge(base: Mapping[str, Any], partial: Mapping[str, Any], annotation: Any) -> dict[str, Any]:
    section = chosen(annotation, {**base, **partial})
    if "kind" in base and "kind" in partial and len(sections(annotation)) > 1 and chosen(annotation, base) != section:
        return dict(partial)
    result = dict(base)
    for key, value in partial.items():
        # Of a partial that leaves its kind out, any kind tells what an option is.
        known = [section] if section else sections(annotation)
        field = next((one.model_fields[key] for one in known if key in one.model_fields), None)
        old = base.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            value = _merge(old, value, field.annotation if field else None)
        result[key] = value
    return result


def _expanded(partial: Mapping[str, Any], annotation: Any) -> dict[str, Any]:
    """Dotted keys as nested ones."""
    result: dict[str, Any] = {}
    for key, value in partial.items():
        nested: Any = _expanded(value, None) if isinstance(value, dict) else value
        for word in reversed(key.split(".")):
            nested = {word: nested}
        result = _merge(result, nested, annotation)
    return result


def _apart(path: KeyPath) -> KeyPath:
    """A key path with its dotted keys taken apart."""
    return tuple(word for part in path for word in (part.split(".") if isinstance(part, str) else [part]))


def _is_section(values: Any, path: KeyPath) -> bool:
    return _holds(values, path) and isinstance(at(values, path), dict)


def _holds(values: Any, path: KeyPath) -> bool:
    try:
        at(values, path)
    except (KeyError, IndexError):
        return False
    return True
