"""What `sslrun clean` may remove from a results folder: it lists, the user decides, and nothing else is touched.

A run that a live process holds is never listed, nor removed if it is taken after the listing.
"""

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from sslrun.errors import InputError, RunHeld
from sslrun.runs.folder import RunFolder, split_name
from sslrun.runs.lease import hold, holder
from sslrun.runs.records import State

_OLD_SECONDS = 3600  # temporary files younger than this may still be written


@dataclass(frozen=True)
class Removal:
    """One thing that could go: a folder or file, why, its size in bytes, and the run whose lease guards it."""

    path: Path
    why: str
    size: int
    run: RunFolder | None = None


def removals(results: Path, *, failed: bool = False, checkpoints: bool = False) -> list[Removal]:
    """Runs set aside by --fresh and left-over temporary files; failed runs and finished runs' checkpoints if asked.

    Raises `InputError` if there is no such folder.
    """
    if not results.is_dir():
        raise InputError("no such results folder", where=str(results), remedy="Name one with --results DIR.")
    return list(_found(results, failed, checkpoints))


def _found(results: Path, failed: bool, checkpoints: bool) -> Iterator[Removal]:
    for path in sorted(results.iterdir()):
        if path.is_symlink() or not path.is_dir():
            continue
        name, _, stamp = path.name.partition("-old-")
        if stamp and split_name(name)[1] and (path / "identity.json").exists():
            yield Removal(path, "set aside by --fresh", _size(path))
        elif split_name(path.name)[1] and (path / "identity.json").exists():
            yield from _of_run(RunFolder(path), failed, checkpoints)
    for part in sorted(results.rglob(".*.part")):
        if part.is_file() and time.time() - part.stat().st_mtime > _OLD_SECONDS:
            yield Removal(part, "left over by a killed process", part.stat().st_size)


def _of_run(folder: RunFolder, failed: bool, checkpoints: bool) -> Iterator[Removal]:
    try:
        status = folder.status
    except InputError:
        return
    if holder(folder) is not None:
        return
    if failed and status.state == State.FAILED:
        yield Removal(folder.path, "failed", _size(folder.path), folder)
    elif checkpoints and status.finished_well and folder.checkpoint.exists():
        yield Removal(folder.checkpoint, "checkpoint of a finished run", folder.checkpoint.stat().st_size, folder)


def removal(folder: RunFolder) -> Removal:
    """A whole run, because somebody asks for it."""
    return Removal(folder.path, "a run", _size(folder.path), folder)


def remove(listed: Sequence[Removal]) -> list[Path]:
    """Remove what was listed; the paths that are left since a process has taken their run meanwhile."""
    left = []
    for one in listed:
        try:
            with hold(one.run) if one.run is not None else nullcontext():
                _delete(one.path)
        except RunHeld:
            left.append(one.path)
    return left


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
