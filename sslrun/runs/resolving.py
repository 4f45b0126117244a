"""From what a user types as RUN to the run's folder: a path, a folder's name, or a unique beginning of its name or hex.

Used by every command that takes a RUN.
"""

from difflib import get_close_matches
from pathlib import Path

from sslrun.errors import InputError
from sslrun.paths import user_path
from sslrun.runs.folder import RunFolder, run_folders, split_name

_SHOWN = 5


def resolve(results: Path, text: str) -> RunFolder:
    """The run that `text` means: a path, else an exact name, else a unique prefix of name or hex within `results`.

    Raises `InputError` with the nearest candidates where there is no such run or more than one.
    """
    given = user_path(text, "RUN")
    for path in (given, results / text):
        if text and (path / "identity.json").exists():
            return RunFolder(path)
    if "/" in text and given.is_dir():
        raise InputError("not a run: this folder has no identity.json", where=text, remedy=_listing(results))
    names = [folder.path.name for folder in run_folders(results)]
    for matches in (
        [name for name in names if text in split_name(name)],
        [name for name in names if text and any(part.startswith(text) for part in (name, split_name(name)[1]))],
    ):
        if len(matches) == 1:
            return RunFolder(results / matches[0])
        if matches:
            raise InputError(
                f"{text!r} could be any of {len(matches)} runs in {results}",
                remedy="Give more of its name, or its 16 digits:\n" + _lines(matches),
            )
    near = get_close_matches(text, names, n=_SHOWN, cutoff=0.4)
    near += [name for name in names if get_close_matches(text, split_name(name), cutoff=0.6) and name not in near]
    remedy = f"Did you mean\n{_lines(near)}" if near else _listing(results)
    raise InputError(f"no run {text!r} in {results}", remedy=remedy)


def _lines(names: list[str]) -> str:
    more = [f"  and {len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
    return "\n".join([f"  {name}" for name in names[:_SHOWN]] + more)


def _listing(results: Path) -> str:
    names = [folder.path.name for folder in run_folders(results)]
    return f"There are\n{_lines(names)}" if names else "There are no runs there; --results names another folder."
