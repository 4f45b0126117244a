"""A recipe from a file: found, read with the place of every value, overridden, and checked against the schema.

`document.py` reads the YAML, `combining.py` lays `--set` over it, `messages.py` says what is wrong with it.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from sslrun.errors import RecipeError
from sslrun.paths import plain_name, user_path
from sslrun.recipe import trial
from sslrun.recipe.combining import Override, combine, override
from sslrun.recipe.document import Document, parse
from sslrun.recipe.introspect import as_kept, current
from sslrun.recipe.messages import nearest, recipe_error, refuse
from sslrun.recipe.plugins import NAME as PLUGIN
from sslrun.recipe.plugins import PluginMissing, load_all
from sslrun.recipe.plugins import load as load_plugin
from sslrun.recipe.schema import Recipe
from sslrun.recipe.schema.base import Section
from sslrun.recipe.shipped import shipped, shipped_grids

MOST_BYTES = 1_000_000

AnySection = TypeVar("AnySection", bound=Section)


def read_recipe(
    path: str | PathLike[str],
    overrides: Iterable[Override] = (),
    *,
    whole: bool = False,
    imports: Iterable[str | Path] = (),
) -> Recipe:
    """Read a recipe, with `key=value` overrides over it. A bare name (`quickstart`) means a shipped recipe.

    `imports` are plug-ins besides those that it names: names of modules, or their files. It is `whole` whatever
    SSLRUN_TRIAL says where that is asked for.

    A recipe without `name` takes that of its file. Raises `RecipeError`, whose text says file:line:column, the key,
    its value, what is allowed and the nearest match, for all mistakes of the schema at once.
    """
    file = locate(path)
    document = load(file)
    if "base" in document.values:
        if not document.values.keys() & (Recipe.model_fields.keys() - {"imports"}):
            raise RecipeError("is a grid, not a recipe", where=str(file), remedy=f"sslrun sweep --grid {file}")
        hint = "a grid does, and its changes stand under `set`; or change a copy: sslrun recipes NAME --copy"
        refuse(document, ("base",), "base: a recipe starts from no other", hint)
    if file.with_name("identity.json").exists():
        document, whole = Document(as_kept(Recipe, document.values), document.spots), True
    named = Document({"name": plain_name(file.stem, "recipe"), **document.values}, document.spots)
    merged = combine(named, *(override(text) for text in overrides))
    return as_asked(with_plugins(merged, [file.parent], imports), whole=whole)


def as_asked(document: Document, *, whole: bool = False) -> Recipe:
    """The recipe that `document` describes, cut down where SSLRUN_TRIAL says so and it is not to be `whole`.

    What is wrong in it is wrong in a trial, too. Raises as `check` does.
    """
    recipe = check(Recipe, document)
    cut = [] if whole else trial.changes(recipe)
    if not cut:
        return recipe
    small = check(Recipe, combine(document, *cut))
    small._uncut = recipe
    return small


def with_plugins(document: Document, folders: Sequence[Path], more: Iterable[str | Path] = ()) -> Document:
    """The document with `more` among its `imports`, all of which are loaded; `folders` are where they may be.

    Raises `RecipeError` at the name of one that there is not, and `InputError` for one that can't be loaded.
    """
    written = document.values.get("imports") or []
    if not isinstance(written, list) or not all(isinstance(name, str) and re.match(PLUGIN, name) for name in written):
        return document  # for the schema to refuse
    names = load_all(more, folders)  # first: one that is given by its file is meant by a name, too
    for index, name in enumerate(written):
        try:
            load_plugin(name, folders)
        except PluginMissing as error:
            refuse(document, ("imports", index), error.what, error.remedy or "", key=False)
    return Document({**document.values, "imports": [*written, *names]}, document.spots) if names else document


def check(model: type[AnySection], document: Document) -> AnySection:
    """The section that `document` describes. Raises `RecipeError` with all its mistakes (the first five)."""
    try:
        return model.model_validate_json(json.dumps(current(model, document.values)))
    except ValidationError as error:
        raise recipe_error(error, model, document) from None


def locate(path: str | PathLike[str], names: Mapping[str, Path] | None = None, noun: str = "recipe") -> Path:
    """The file that `path` means: itself, or the one of that name among `names` (the shipped recipes if none given).

    Raises `RecipeError`, naming the nearest file, if there is none.
    """
    file, names = user_path(path, noun), shipped() if names is None else names
    try:
        if file.is_file():
            return file
        if file.is_dir():
            inside = file / "recipe.yaml"
            remedy = f"did you mean {inside}?" if inside.is_file() else f"a {noun} is a YAML file"
            if file.as_posix() not in names:
                raise RecipeError("is a folder, not a plain file", where=str(file), remedy=remedy)
        elif file.exists():
            remedy = f"A {noun} is kept in a file: copy it into one."
            raise RecipeError("is a pipe, a device or the like, not a plain file", where=str(file), remedy=remedy)
        names_here = sorted(other.name for other in file.parent.iterdir()) if file.parent.is_dir() else []
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise RecipeError(f"can't be read: {error}", where=str(file)) from None
    if file.as_posix() in names:
        return names[file.as_posix()]
    others = shipped_grids() if noun == "recipe" else shipped()
    if file.as_posix() in others:
        kind, command = ("grid", "sweep --grid") if noun == "recipe" else ("recipe", "pretrain")
        raise RecipeError(f"is a {kind}, not a {noun}", where=str(file), remedy=f"sslrun {command} {file}")
    if close := nearest(file.name, [name for name in names_here if name.endswith((".yaml", ".yml"))]):
        remedy = f"in {file.parent}: {close}"
    elif close := nearest(file.with_suffix("").name, names):
        remedy = f"among the shipped {noun}s: {close}"
    else:
        remedy = f"shipped {noun}s: {', '.join(names)}" if names else f"a {noun} is a YAML file"
    raise RecipeError("no such file", where=str(file), remedy=remedy)


def load(path: Path) -> Document:
    """The mapping in a YAML file, with spots. Raises `RecipeError` if it can't be read or holds something else."""
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise RecipeError(f"can't be read: {error.strerror}", where=str(path)) from None
    if len(raw) > MOST_BYTES:
        raise RecipeError(f"is longer than {MOST_BYTES:,} bytes: not a recipe", where=str(path))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start].split(b"\n")
        column = len(before[-1].decode("utf-8", "replace")) + 1
        where = f"{path}:{len(before)}:{column}"
        raise RecipeError("is not UTF-8 text", where=where, remedy="a recipe is YAML, saved as UTF-8") from None
    document = parse(text, str(path))
    if not isinstance(document.values, dict):
        place = document.spot(()).value
        what = "must be sections with options (key: value), not " + ("a list" if document.values == [] else "this")
        raise RecipeError(what, where=place.where, remedy=place.excerpt())
    return document
