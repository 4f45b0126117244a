"""From what a user types as RUN to the run's folder: a path, a folder's name, a bare name, or a unique beginning; and
from what is typed as a grid's name to its record.

Used by every command that takes a RUN. A bare name that several runs have means the one whose recipe is the shipped
one of that name as it is, else the newest of them.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path

from sslrun import console
from sslrun.errors import InputError
from sslrun.paths import plain_name, user_path
from sslrun.runs.folder import RunFolder, run_folders, split_name
from sslrun.runs.records import GridRecord

_SHOWN, _MOST = 5, 40


def resolve(results: Path, text: str, *, say: Callable[[str], None] = console.error, only: bool = False) -> RunFolder:
    """The run that `text` means: a path, else an exact name, a bare name (`say` is told which of several it is), or a
    unique prefix of name or hex within `results`.

    Raises `InputError` with the nearest candidates where there is no such run, several begin so, or a bare name means
    several and `only` one is wanted.
    """
    given = user_path(text, "RUN")
    for path in (given, results / text):
        if text and (path / "identity.json").exists():
            return RunFolder(path)
    if "/" in text and given.is_dir():
        raise InputError("not a run: this folder has no identity.json", where=text, remedy=_listing(results))
    folders = run_folders(results)
    named = [folder for folder in folders if text in split_name(folder.path.name)]
    begun = [folder for folder in folders if text and _begins(folder, text)]
    matches = named or begun
    if len(matches) > 1 and not only and len({folder.name for folder in matches}) == 1 and not _is_hex(text, matches):
        found, why = _meant(matches, matches[0].name)
        say(f"{text}: {found.path.name}, {why} of {len(matches)} runs of that name")
        return found
    if len(matches) == 1:
        return matches[0]
    names = [folder.path.name for folder in matches or folders]
    if matches:
        raise InputError(
            f"{len(matches)} runs in {results} are called or begin {text!r}",
            remedy="Give more of its name, or its 16 digits:\n" + _lines(names),
        )
    near = get_close_matches(text, names, n=_SHOWN, cutoff=0.4)
    near += [name for name in names if get_close_matches(text, split_name(name), cutoff=0.6) and name not in near]
    remedy = f"Did you mean\n{_lines(near)}" if near else _listing(results)
    raise InputError(f"no run {text!r} in {results}", remedy=remedy)


def _begins(folder: RunFolder, text: str) -> bool:
    return any(part.startswith(text) for part in (folder.path.name, split_name(folder.path.name)[1]))


def _is_hex(text: str, matches: Sequence[RunFolder]) -> bool:
    """Whether the text is the beginning of digits, not of a name."""
    return not all(folder.path.name.startswith(text) for folder in matches) or text.startswith(f"{matches[0].name}-")


def _meant(matches: Sequence[RunFolder], name: str) -> tuple[RunFolder, str]:
    """Of runs of one name the one that whoever gives the name alone means, and why that one."""
    from sslrun.recipe import read_recipe
    from sslrun.recipe.explain import explain
    from sslrun.recipe.shipped import shipped

    def created(folder: RunFolder) -> str:
        with suppress(InputError):
            return folder.status.created
        return ""

    newest = sorted(matches, key=created, reverse=True)
    path = next((path for known, path in shipped().items() if known.rpartition("/")[2] == name), None)
    for folder in newest if path is not None else ():
        with suppress(InputError):  # a kept recipe that can't be read is not as shipped
            if explain(read_recipe(folder.recipe), read_recipe(str(path))).same_science:
                return folder, "the recipe as shipped,"
    return newest[0], "the newest"


def grid_named(text: str, grids: Mapping[str, GridRecord], results: Path) -> tuple[str, list[str]]:
    """The name of the grid that a user means by its name, its file, or either without what --set and --small added: the
    last swept of several, and then a line that says so. Raises `InputError`."""
    if text in grids:
        return text, []
    file = Path(text)
    stem = file.stem if file.suffix in (".yaml", ".yml") else file.name
    names = (stem, plain_name(stem, "grid"))
    form = re.compile(rf"({'|'.join(map(re.escape, names))})(-\d+)?(\+[^/]*)?(-\d+)?")
    same = [name for name, record in grids.items() if record.source == str(file.resolve())]
    same = same or [name for name in grids if form.fullmatch(name)]
    if not same:
        return one_of(text, list(grids), "grid"), []
    last = next((name for name in names if name in same), None) or max(same, key=lambda name: _swept(results, name))
    others = ", ".join(name for name in same if name != last)
    return last, [f"of grids of this name, {last}; there are also {others}"] if others else []


def _swept(results: Path, grid: str) -> float:
    with suppress(OSError):
        return (results / "sweeps" / f"{grid}.json").stat().st_mtime
    return 0.0


def one_of(text: str, allowed: Sequence[str], what: str, found: Sequence[str] = ()) -> str:
    """`text` if it is allowed, else the only entry of `found`, what it might mean. Raises `InputError` with what there
    is instead."""
    if text in allowed:
        return text
    if len(found) == 1:
        return found[0]
    near = get_close_matches(text, allowed, n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    more = f" and {len(allowed) - _MOST} more" if len(allowed) > _MOST else ""
    raise InputError(
        f"{text!r} could be any of {', '.join(found)}" if found else f"no {what} {text!r} here",
        remedy=f"{hint}There {'are' if len(allowed) != 1 else 'is'}: {', '.join(allowed[:_MOST]) or 'none'}{more}.",
    )


def _lines(names: list[str]) -> str:
    more = [f"  and {len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
    return "\n".join([f"  {name}" for name in names[:_SHOWN]] + more)


def _listing(results: Path) -> str:
    names = [folder.path.name for folder in run_folders(results)]
    return f"There are\n{_lines(names)}" if names else "There are no runs there; --results names another folder."
