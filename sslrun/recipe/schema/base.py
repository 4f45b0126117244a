"""What all sections of a recipe share: strict, frozen, no unknown keys, every field with its manual entry."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """One section of a recipe. Reading validates JSON values strictly: no "3" for 3, no 1 for true."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=False
    )


def option(default: Any = ..., description: str = "", *, operational: bool = False, **constraints: Any) -> Any:
    """A recipe field: its default, its entry in the manual, and pydantic's constraints (`ge`, `le`, ...).

    `operational` fields say how and where a run is done, not what it computes: they stay out of its identity.
    """
    extra = {"operational": True} if operational else None
    return Field(default, description=description, json_schema_extra=extra, **constraints)
