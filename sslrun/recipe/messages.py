"""What a user reads when a recipe does not fit the schema: where, what is wrong, what is allowed, the nearest match.

It turns pydantic's errors into one `RecipeError` with the lines of the file; `introspect.py` knows the schema.
"""

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NoReturn

from pydantic import ValidationError

from sslrun.errors import RecipeError
from sslrun.recipe.document import Document, KeyPath, Place, at, plain
from sslrun.recipe.introspect import dotted, expected, follow, sections
from sslrun.recipe.schema.base import Misfit, Section, kinds

MOST_MISTAKES = 5


@dataclass(frozen=True)
class Mistake:
    """One thing wrong: where it stands, its key path, what is wrong, and what to do."""

    place: Place
    path: str
    what: str
    hint: str

    @property
    def message(self) -> str:
        """The path and what is wrong with it."""
        return f"{self.path}: {self.what}" if self.path else self.what


def recipe_error(error: ValidationError, model: type[Section], document: Document) -> RecipeError:
    """All mistakes that pydantic found (the first few, in the order of the file) as one error."""
    found = [_mistake(dict(detail), model, document) for detail in error.errors(include_url=False)]
    found.sort(key=lambda mistake: (not mistake.place.line, mistake.place.line, mistake.place.column))
    first, *others = found[:MOST_MISTAKES]
    lines = [first.place.excerpt(first.hint)]
    for other in others:
        lines += [f"{other.place.where}: {other.message}", other.place.excerpt(other.hint)]
    if len(found) > MOST_MISTAKES:
        lines.append(f"and {len(found) - MOST_MISTAKES} more")
    return RecipeError(first.message, where=first.place.where, remedy="\n".join(text for text in lines if text))


def refuse(document: Document, path: KeyPath, what: str, hint: str, *, key: bool = True) -> NoReturn:
    """Raise a `RecipeError` that points at the key at `path`, or at its value."""
    spot = document.spot(path)
    place = spot.key if key else spot.value
    raise RecipeError(what, where=place.where, remedy=place.excerpt(hint) or None)


_OWN = "one of your own is loaded with --import FILE, or under `imports`"


def nearest(word: str, allowed: Iterable[str]) -> str:
    """ "did you mean 'x'?" for the closest of the allowed words; empty if none is close."""
    close = difflib.get_close_matches(word, list(allowed), n=1)
    return f"did you mean '{close[0]}'?" if close else ""


def elsewhere(name: str, model: type[Section]) -> str:
    """ "did you mean 'a.x' or 'b.x'?" for the options deeper in `model` that are called `name`; empty if none is."""
    found = [one for one in dict.fromkeys(dotted(model)) if one.rpartition(".")[2] == name and "." in one]
    return "did you mean " + " or ".join(f"'{one}'" for one in found[:3]) + "?" if found else ""


def shown(value: Any) -> str:
    """A value as it stands in YAML, on one line and cut short."""
    if isinstance(value, dict):
        return "a section of options"
    text = f"'{value}'" if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    return text if len(text) <= 60 else text[:57] + "..."


def key_path(path: KeyPath) -> str:
    """`views.crop.scale[1]`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def _mistake(error: dict[str, Any], model: type[Section], document: Document) -> Mistake:
    path, field = follow(model, error["loc"])
    match error["type"]:
        case "extra_forbidden":
            what, hint = _unknown(path, model, error["loc"], document)
            place = document.spot(path).key
        case "missing" if isinstance(path[-1], str):
            what = "is missing"
            hint = f"{field.description or ''} Needed: {expected(field.annotation, field.metadata)}.".strip()
            place = document.spot(path).key
        case "union_tag_not_found":
            what, hint = "its kind is missing", f"write kind: {' | '.join(_kinds(field.annotation))}"
            place = document.spot(path).key
        case "union_tag_invalid":
            kind, allowed = error["input"]["kind"], _kinds(field.annotation)
            what = f"no such {path[-1]}: {shown(kind)}"
            tip = nearest(str(kind), allowed) or _OWN
            hint = f"{tip}  (allowed: {', '.join(allowed)})"
            path = (*path, "kind")
            place = document.spot(path).value
        case "value_error":
            cause = error["ctx"]["error"]
            named = [(*path, *name.split(".")) for name in cause.options] if isinstance(cause, Misfit) else []
            path = next((one for one in named if one in document.spots), named[0] if named else path)
            what, hint = str(cause), ""
            spot = document.spot(path)
            section = path not in document.spots or isinstance(at(document.values, path), dict)
            place = spot.key if section else spot.value
        case _:
            if error["type"] == "missing":  # an item of a list
                path, field = follow(model, error["loc"][:-1])
            what = f"{shown(error['input'])} is not allowed"
            hint = f"must be {expected(field.annotation, field.metadata)}"
            spot = document.spot(path)
            allowed = _kinds(field.annotation) if len(sections(field.annotation)) > 1 else []
            kind = "none" if error["input"] in (None, False, "off", "no") else error["input"]
            if kind in allowed:
                typed = spot.value.where.startswith("--set")
                tip = f"write --set {key_path(path)}.kind={kind}" if typed else f"write {{kind: {kind}}}"
            else:
                written = spot.value.text[spot.value.column - 1 :][: spot.value.width]
                tip = _tip(error["input"], field.annotation, written)
            hint = f"{tip}  ({hint})" if tip else hint
            place = spot.key if isinstance(error["input"], dict) else spot.value
    return Mistake(place, key_path(path), what, hint)


def _kinds(annotation: Any) -> list[str]:
    return [kind for section in sections(annotation) for kind in kinds(section)]


def _unknown(path: KeyPath, model: type[Section], loc: tuple[str | int, ...], document: Document) -> tuple[str, str]:
    """What to say of an option that does not exist: another kind's, another section's, or a misspelling."""
    name = str(path[-1])
    parent, owner = follow(model, loc[:-1])
    (section,) = sections(owner.annotation)
    allowed = [option for option in section.model_fields if option != "kind"]
    kind = at(document.values, parent).get("kind") if parent else None  # a recipe itself has none
    if kind is not None:
        what = f"no such option for {parent[-1]} {shown(kind)}"
    else:
        parts = any(sections(field.annotation) for field in section.model_fields.values())
        what = f"no such option in {key_path(parent)}" if parent else f"no such {'section' if parts else 'option'}"
    listed = f"(allowed: {', '.join(allowed) or 'none'})"

    around = sections(follow(model, loc[:-2])[1].annotation)  # the kinds, if the location ends in (kind, option)
    siblings = around if len(around) > 1 else ()
    others = [kind for other in siblings if name in other.model_fields for kind in kinds(other)]
    if "." in name:
        hint = "indent sections below each other; dotted keys are for --set and grids"
    elif others:
        hint = f"it belongs to {' and '.join(others)}"
    else:
        near = nearest(name, allowed) + f" {_OWN}" * (parent == ("evaluation",))
        hint = elsewhere(name, model) or near.strip()
    return what, f"{hint}  {listed}".strip()


def _tip(value: Any, annotation: Any, written: str) -> str:
    """The likely cure of a value of the wrong type or spelling; `written` is what stands in the file, if it is one."""
    if isinstance(value, str):
        words = expected(annotation)
        if words.startswith("one of "):
            return nearest(value, words.removeprefix("one of ").removesuffix(", or null").split(", "))
        if "true or false" in words and value.lower() in ("on", "yes", "y", "off", "no", "n", "true", "false"):
            return f"write {'true' if value.lower() in ('on', 'yes', 'y', 'true') else 'false'}"
        if "number" in words and value.isascii():
            try:
                number = plain(value.replace("_", "").strip())
            except ValueError:
                return ""
            return f"write {number}" if isinstance(number, int | float) and not isinstance(number, bool) else ""
        return ""
    if annotation is str or str in getattr(annotation, "__args__", ()):
        return f'write "{written or json.dumps(value)}"' if isinstance(value, bool | int | float) else ""
    return f"write {int(value)}" if isinstance(value, float) and value.is_integer() and annotation is int else ""
