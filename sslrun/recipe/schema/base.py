"""What all sections of a recipe share: strict, frozen, no unknown keys, every field with its manual entry."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue


class Section(BaseModel):
    """One section of a recipe. Reading validates JSON values strictly: no "3" for 3, no 1 for true."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=False
    )


class Misfit(ValueError):
    """Options that don't go together. `options` are theirs, dotted from the section that raises it, the likelier
    culprit first: the message points at the first one that the recipe writes out."""

    def __init__(self, what: str, *options: str) -> None:
        super().__init__(what)
        self.options = options


def option(default: Any = ..., description: str = "", *, operational: bool = False, **constraints: Any) -> Any:
    """A recipe field: its default, its entry in the manual, and pydantic's constraints (`ge`, `le`, ...).

    `operational` fields say how and where a run is done, not what it computes: they stay out of its identity.
    """
    extra: dict[str, JsonValue] | None = {"operational": True} if operational else None
    return Field(default, description=description, json_schema_extra=extra, **constraints)
