"""Files that are written whole or not at all, and locks between processes.

Every file of a run goes through `replacing`: it is written beside its final name, flushed to the disk, and
renamed. A process killed at any moment leaves the old file or the new one, never half of one.
"""

import fcntl
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

_WAIT_SECONDS = 0.2


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success flush it and rename it to `path`, else remove it.

    Raises `OSError` as the file system gives it (a full disk, say); `path` is then as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(handle)
    part = Path(name)
    try:
        part.chmod(0o644)
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        with suppress(FileNotFoundError):
            part.unlink()


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path`, whole or not at all."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all. Refuses NaN and infinities (`ValueError`)."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file. Raises `FileNotFoundError`, or `ValueError` naming the file if it is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not readable as JSON: {error}") from error


@contextmanager
def locked(path: Path, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold an exclusive lock on `path` (made if absent), waiting for whoever holds it; `waiting` is called meanwhile.

    The system frees the lock when its process ends, however it ends. `path` is never removed: removing a lock
    file lets two processes hold "the" lock at once.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        if waiting is None:
            fcntl.flock(file, fcntl.LOCK_EX)
        while waiting is not None and not _locks(file):
            waiting()
            time.sleep(_WAIT_SECONDS)
        yield


def _locks(file: IO[str]) -> bool:
    """Take the lock on `file` if nobody has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
