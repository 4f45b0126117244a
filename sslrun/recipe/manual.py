"""The manual: what a section of recipes (or of any schema) is and what each of its options may be, in words.

It reads what the schema says of itself (`introspect`); `sslrun schema SECTION` prints it.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo

from sslrun.errors import InputError
from sslrun.recipe.explain import set_options, value_text
from sslrun.recipe.introspect import expected, operational, sections
from sslrun.recipe.messages import elsewhere, nearest
from sslrun.recipe.schema.base import Section, kinds

HEADER = ("option", "default", "allowed", "meaning", "source")
_ARXIV = re.compile(r"(?:arXiv )?(\d{4}\.\d{5})")


@dataclass(frozen=True)
class Entry:
    """One section, or one kind of a section: its title, what it is, and a row of texts for each option."""

    title: str
    about: str
    rows: tuple[tuple[str, ...], ...]


def manual(root: type[Section], path: str = "") -> list[Entry]:
    """The entries of what is at the dotted `path` below `root`: a section, each kind of one, a single kind or option.
    Raises `InputError` with the nearest for a path that there is not."""
    found: list[tuple[type[Section], FieldInfo | None]] = [(root, None)]
    walked: list[str] = []
    for name in filter(None, path.split(".")):
        if of_kind := [one for one in found if name in kinds(one[0])]:
            found = of_kind
            continue
        inner = [(section, section.model_fields[name]) for section, _ in found if name in section.model_fields]
        if not inner:
            names = dict.fromkeys(option for section, _ in found for option in (*kinds(section), *section.model_fields))
            where = ".".join(walked) or "the top"
            tip = elsewhere(name, root) or nearest(name, names)
            remedy = f"{tip}  (at {where}: {', '.join(names) or 'nothing'})".strip()
            raise InputError("no such section or option", where=path, remedy=remedy)
        walked.append(name)
        below = [(deeper, field) for _, field in inner for deeper in _inside(field.annotation)]
        if not below:
            return [_entry(path, section, {name: field}) for section, field in dict(inner).items()]
        found = list(dict(below).items())
    return [_entry(".".join(walked), section, section.model_fields) for section, _ in found]


def sections_of(root: type[Section]) -> dict[str, str]:
    """What each section below `root` is, by its dotted path."""
    return dict(_paths(root))


def _paths(root: type[Section], above: str = "") -> Iterator[tuple[str, str]]:
    for name, field in root.model_fields.items():
        inner = _inside(field.annotation)
        if inner:
            yield above + name, field.description or _about(inner[0])
        for section in inner:
            yield from _paths(section, f"{above}{name}.")


def _inside(annotation: Any) -> tuple[type[Section], ...]:
    """The sections that a field takes, or the values of its free keys do."""
    values = get_args(annotation)[1:] if get_origin(annotation) is dict else ()
    return sections(annotation) or tuple(section for value in values for section in sections(value))


def _entry(path: str, section: type[Section], fields: dict[str, FieldInfo]) -> Entry:
    title = f"{path}, kind: {' | '.join(kinds(section))}" if kinds(section) else path or section.__name__
    rows = [
        _row(name, field, section)
        for name, field in fields.items()
        if not (name == "kind" and len(kinds(section)) == 1)
    ]
    return Entry(title, _about(section), tuple(rows))


_FILES = ("path", "weights")
"""Options that name files, whose content numbers do depend on."""


def _about(section: type[Section]) -> str:
    return "\n\n".join(" ".join(part.split()) for part in (section.__doc__ or "").split("\n\n"))


def _row(name: str, field: FieldInfo, section: type[Section]) -> tuple[str, ...]:
    default = "must be given" if field.is_required() else _value(field.get_default(call_default_factory=True))
    allowed = expected(field.annotation, field.metadata)
    sources = dict.fromkeys(_ARXIV.findall(field.description or "")) or section.PAPERS
    if operational(field):
        source = "of this machine: no number depends on " + ("where it lies" if name in _FILES else "it")
    elif re.search(r"our choice|default is ours|not known to us", field.description or "", re.IGNORECASE):
        source = "our choice"
    else:
        source = ", ".join(f"arXiv {number}" for number in sources)
    return name, default, allowed, field.description or "", source


def _value(value: Any) -> str:
    plain = set_options(value)
    return json.dumps(plain, ensure_ascii=False) if isinstance(plain, dict) else value_text(plain)
