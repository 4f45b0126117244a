"""What all sections of a recipe share: strict, frozen, no unknown keys, every field with its manual entry; and families
of sections that are chosen by their `kind`.

A family is a class directly below `Kind` (`Method`, `Predictor`, `Data`, ...). A field annotated with it takes every
section that has been defined below it, from inside the package or from a plug-in (`sslrun.recipe.plugins`).
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar, Union, get_args

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, JsonValue
from pydantic_core import CoreSchema

if TYPE_CHECKING:
    from sslrun.recipe.schema import Recipe

AnySection = TypeVar("AnySection", bound="Section")

_defined: list[type["Section"]] = []
"""Every section class, in the order of definition."""
_modules = ["sslrun"]
"""The packages and modules whose sections the schema has."""
_found: dict[type["Section"], tuple[type["Kind"], ...]] = {}
"""What `concrete` gave, until there are other sections: it is asked for every option of every cell of a grid."""


class Section(BaseModel):
    """One section of a recipe. Reading validates JSON values strictly: no "3" for 3, no 1 for true."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=False
    )
    GONE: ClassVar[Mapping[str, Any]] = {}
    """Options that there were once, with their defaults: kept runs write them out, and readers pass them over."""
    PAPERS: ClassVar[tuple[str, ...]] = ()
    """What it follows, by arXiv's numbers."""
    NUMERICS: ClassVar[int] = 1
    """Raised by hand when a fix changes what the same options of this section compute."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if clash := next((name for name in cls.model_fields if name in _taken(cls)), None):
            taken = sorted(name for name in _taken(cls) if name[0] != "_" and not hasattr(BaseModel, name))
            raise TypeError(
                f"no option of {cls.__name__} can be called '{clash}': taken are {', '.join(taken)}, and pydantic's own"
            )
        _defined.append(cls)
        _found.clear()

    def needs(self, recipe: "Recipe") -> None:
        """Raise `Misfit`, its options dotted from the recipe, where the rest of the recipe lacks what this needs."""

    def walk(self, place: str = "") -> Iterator[tuple[str, "Section"]]:
        """This section and all below it, in the order of the schema, each with its place: names dotted from here."""
        yield place, self
        for name in type(self).model_fields:
            if isinstance(value := getattr(self, name), Section):
                yield from value.walk(f"{place}.{name}".lstrip("."))

    def papers(self) -> tuple[str, ...]:
        """What whoever uses this section as it is should cite, by arXiv's numbers."""
        return self.PAPERS

    def words(self) -> str:
        """What people call it, in a run's first line: its kind, unless it says better."""
        return str(getattr(self, "kind", type(self).__name__))


def _taken(section: type[Section]) -> set[str]:
    """What the classes above a section call their own: an option of that name would hide it."""
    return {name for above in section.__mro__[1:] for name in vars(above)}


def is_family(section: type[Section]) -> bool:
    """Whether a class stands directly below `Kind`: a field of it takes all kinds below it."""
    return section.__mro__[2] is Section


class Kind(Section):
    """A section that is chosen by its `kind`. Concrete ones name theirs: `kind: Literal["byol"]`."""

    BUILDER: ClassVar[str] = ""  # module:function, the generic function that makes what a section of this family says

    kind: str

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        for kind in kinds(cls):
            taken = next((other for other in concrete(family(cls)) if kind in kinds(other)), None)
            if taken is not None:
                raise TypeError(f"the {family(cls).__name__} kind '{kind}' is that of {taken.__module__} already")
        super().__pydantic_init_subclass__(**kwargs)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Of a family the union of its kinds, of a kind its own schema."""
        found = concrete(cls) if is_family(cls) else ()
        if not found:
            return handler(source)
        return handler.generate_schema(Annotated[Union[found], Field(discriminator="kind")])  # noqa: UP007


@cache
def kinds(section: type[Section]) -> tuple[str, ...]:
    """The values of a section's `kind`; none if it has no such option, or leaves it to the sections below it."""
    field = section.model_fields.get("kind")
    return get_args(field.annotation) if field else ()


def family(section: type[Kind]) -> type[Kind]:
    """The class directly below `Kind` that a section belongs to."""
    return next(above for above in section.__mro__ if is_family(above))


def concrete(above: type[Kind]) -> tuple[type[Kind], ...]:
    """The sections with a kind of their own below a class, in the order of definition."""
    if above not in _found:
        _found[above] = tuple(one for one in defined(above) if kinds(one))
    return _found[above]


def plain_sections(section: type[Section]) -> tuple[type[Section], ...]:
    """The sections that a field of this class takes: those of all kinds of a family, else itself."""
    return concrete(section) if issubclass(section, Kind) and is_family(section) else (section,)


def defined(above: type[AnySection]) -> tuple[type[AnySection], ...]:
    """The sections below a class that the schema has, in the order of definition: ours, and those of plug-ins."""
    return tuple(one for one in _defined if issubclass(one, above) and one is not above and _taken_up(one))


def _taken_up(section: type[Section]) -> bool:
    return any(f"{section.__module__}.".startswith(f"{module}.") for module in _modules)


before_rebuilding: list[Callable[[], None]] = []
"""What brings models up to date whose fields depend on which sections there are."""


@contextmanager
def definitions(module: str) -> Iterator[None]:
    """Let the schema take up the sections that `module` defines, unless importing it within ends in an error.

    At the end all models are built anew, in the order of definition, so that each field knows the new kinds.
    """
    _modules.append(module)
    _found.clear()
    try:
        yield
    except BaseException:
        _modules.remove(module)
        _defined[:] = [one for one in _defined if not f"{one.__module__}.".startswith(f"{module}.")]
        raise
    finally:
        _found.clear()
        for bring_up_to_date in before_rebuilding:
            bring_up_to_date()
        for model in _defined:
            if not is_family(model):
                model.model_rebuild(force=True)


class Misfit(ValueError):
    """Options that don't go together. `options` are theirs, dotted from the section that raises it, the likelier
    culprit first: the message points at the first one that the recipe writes out."""

    def __init__(self, what: str, *options: str) -> None:
        super().__init__(what)
        self.options = options


def option(
    default: Any = ...,
    description: str = "",
    *,
    operational: bool = False,
    before: JsonValue = None,
    **constraints: Any,
) -> Any:
    """A recipe field: its default, its entry in the manual, and pydantic's constraints (`ge`, `le`, ...).

    `operational` fields say how and where a run is done, not what it computes: they stay out of its identity.
    `before` is what was done before there was the option, where its default is something else: runs kept from then
    are read so, and at this value it stays out of the identity.
    """
    extra: dict[str, JsonValue] = {"operational": True} if operational else {}
    extra |= {} if before is None else {"before": before}
    return Field(default, description=description, json_schema_extra=extra or None, **constraints)
