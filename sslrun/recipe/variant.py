"""What tells a grid's cells under `--small` and `--set` from those of the whole grid: the end of their record's name.

`grid.py` takes both; a sweep's record, and so a report, goes by the name.
"""

import json
from collections.abc import Sequence
from hashlib import sha256

from sslrun.recipe.combining import options
from sslrun.recipe.positions import Document
from sslrun.recipe.schema import Recipe
from sslrun.recipe.structure import operational, sections

_DIGITS = 6
_FILES = {("data", "path"), ("network", "weights")}
"""Operational as places are; but what lies there decides the numbers."""


def variant(small: bool, changes: Sequence[Document]) -> str:
    """`small`, some hex digits that stand for the changes, both with a `+` between, or nothing for the whole grid.

    Options that only say how or where runs are done make no other cells, and count for nothing.
    """
    settings = {
        ".".join(option): partial.part(*spot).values
        for partial in changes
        for spot, option in options(partial.values)
        if option in _FILES or not _operational(option)
    }
    digest = sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:_DIGITS]
    return "+".join([*(["small"] if small else []), *([digest] if settings else [])])


def _operational(option: tuple[str, ...]) -> bool:
    """Whether the schema marks an option as how or where a run is done; some kind's, where kinds differ."""
    found = sections(Recipe)
    for name in option:
        fields = [section.model_fields[name] for section in found if name in section.model_fields]
        if any(map(operational, fields)):
            return True
        found = tuple(inner for one in fields for inner in sections(one.annotation))
    return False
