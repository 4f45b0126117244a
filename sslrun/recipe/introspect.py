"""What a schema allows where: its sections, their kinds and options, and in words what a field may hold.

It looks at pydantic's models only, so that recipes and grids share it. `messages.py` tells users with it,
`combining.py` merges by it, `explain.py` sorts differences by it.
"""

from collections.abc import Iterator, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from sslrun.recipe.document import KeyPath
from sslrun.recipe.schema.base import Section, kinds, plain_sections


def sections(annotation: Any) -> tuple[type[Section], ...]:
    """The sections that a field of this annotation may hold: none, one, or one for each kind (or few kinds)."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return plain_sections(annotation)
    if get_origin(annotation) is Annotated:
        return sections(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return tuple(section for part in get_args(annotation) for section in sections(part))
    return ()


def chosen(annotation: Any, values: Any) -> type[Section] | None:
    """The section that `values` mean: the only one there is, or the one of their `kind`."""
    found = sections(annotation)
    if len(found) == 1:
        return found[0]
    kind = values.get("kind") if isinstance(values, dict) else None
    return next((section for section in found if kind in kinds(section)), None)


def current(section: type[Section], values: Any) -> Any:
    """`values` without the options that the section, or one below it, had once and that are at their defaults."""
    if not isinstance(values, dict):
        return values
    kept = {name: value for name, value in values.items() if name not in section.GONE or value != section.GONE[name]}
    for name, field in section.model_fields.items():
        if name in kept and (inner := chosen(field.annotation, kept[name])):
            kept[name] = current(inner, kept[name])
    return kept


def as_kept(section: type[Section], values: Any) -> Any:
    """The values of a run kept with every option written out: those that it lacks came later, and are filled with what
    was done `before` them where their defaults are something else.
    """
    if not isinstance(values, dict):
        return values
    filled = dict(values)
    for name, field in section.model_fields.items():
        if name not in values and (done := before(field)) is not None:
            filled[name] = done
        elif name in values and (inner := chosen(field.annotation, values[name])):
            filled[name] = as_kept(inner, values[name])
    return filled


def before(field: FieldInfo) -> Any:
    """What was done before there was this option, if that is not its default; see `schema.base.option`."""
    return field.json_schema_extra.get("before") if isinstance(field.json_schema_extra, dict) else None


def follow(root: type[Section], loc: Sequence[str | int]) -> tuple[KeyPath, FieldInfo]:
    """Pydantic's location without the kinds that it puts between the keys, and the field that it ends in."""
    path: list[str | int] = []
    field = FieldInfo(annotation=root)
    for part in loc:
        found = sections(field.annotation)
        if len(found) > 1:
            field = FieldInfo(annotation=next(section for section in found if part in kinds(section)))
            continue
        path.append(part)
        field = _below(field.annotation, part)
    return tuple(path), field


def dotted(section: type[Section]) -> Iterator[str]:
    """Every option below `section` as a dotted path, sections included; those of several kinds may come twice."""
    for name, field in section.model_fields.items():
        yield name
        for inner in sections(field.annotation):
            yield from (f"{name}.{path}" for path in dotted(inner))


def operational(field: FieldInfo) -> bool:
    """Whether the schema marks a field as how or where a run is done, not what it computes."""
    return isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("operational") is True


def expected(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    """In words what a field may hold: "a whole number, at least 1, or null"."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        inner = [rule for rule in annotation.__metadata__ if not isinstance(rule, FieldInfo)]
        inner += [rule for field in annotation.__metadata__ if isinstance(field, FieldInfo) for rule in field.metadata]
        return expected(arguments[0], [*metadata, *inner])
    if found := sections(annotation):
        named = [kind for section in found for kind in kinds(section)]
        words = f"a section with kind: {' | '.join(named)}" if len(found) > 1 else "a section of options"
        return f"{words}, or null" if NoneType in arguments else words
    if origin in (Union, UnionType):
        null = ["null"] if NoneType in arguments else []
        return ", or ".join([*(expected(part, metadata) for part in arguments if part is not NoneType), *null])
    if origin is Literal:
        return "one of " + ", ".join(str(value) for value in arguments)
    if origin is dict:
        return "a section of options"
    if origin is tuple:
        count = "a list" if arguments[-1] is Ellipsis else f"a list of {len(arguments)}"
        return f"{count}, each {expected(arguments[0])}"
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    return names.get(annotation, "any value") + _bounds(metadata)


def _bounds(metadata: Sequence[Any]) -> str:
    """`ge`, `gt`, `le`, `lt` and `pattern` in words, each after a comma."""
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below", "pattern": "matching"}
    found = [(word, getattr(rule, name, None)) for rule in metadata for name, word in words.items()]
    return "".join(
        f", {word} {bound:g}" if isinstance(bound, float) else f", {word} {bound}"
        for word, bound in found
        if bound is not None
    )


def _below(annotation: Any, part: str | int) -> FieldInfo:
    """The field of a section's option, of a list's item, or of any key's value where keys are free."""
    for section in sections(annotation):
        if part in section.model_fields:
            return section.model_fields[str(part)]
    options = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    for option in options:
        if get_origin(option) is tuple and isinstance(part, int):
            items = [item for item in get_args(option) if item is not Ellipsis]
            return FieldInfo.from_annotation(items[min(part, len(items) - 1)])
        if get_origin(option) is dict:
            return FieldInfo.from_annotation(get_args(option)[1])
    return FieldInfo(annotation=Any)
