"""Paths as people write them, in options, environment variables, recipes and grids: one reading for all of them."""

import os
import re
from os import PathLike
from pathlib import Path

from sslrun.errors import InputError

_OTHER = re.compile(r"[^A-Za-z0-9._-]+")
_VARIABLE = re.compile(r"\$(\w+|\{\w+\})")


def plain_name(stem: str, otherwise: str) -> str:
    """What runs and grids of a file are called: its name without what a folder's name should not have."""
    return _OTHER.sub("-", stem).lstrip("._-")[:64] or otherwise


def user_path(text: str | PathLike[str], where: str) -> Path:
    """The path that `text`, given by `where`, means: `~` and `~ada` are home folders wherever no shell has seen them.

    Raises `InputError` for a user whose home is not known, and for a `$NAME` that a shell would have filled in: a
    folder called `$HOME` or `~` is never meant.
    """
    written = os.fspath(text)
    if found := _VARIABLE.search(written):
        filled = os.path.expandvars(written)
        hint = f"Write {filled}" if filled != written else f"{found[0]} is not set here; write the whole path"
        raise InputError(f"{found[0]} is not filled in by a shell here", where=f"{where}: {written}", remedy=f"{hint}.")
    try:
        return Path(written).expanduser()
    except RuntimeError as error:
        raise InputError(
            f"this home folder is not known: {error}", where=f"{where}: {written}", remedy="Write the whole path."
        ) from error
