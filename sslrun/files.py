"""Files that are written whole or not at all, and locks between processes.

Every file of a run goes through `replacing`: it is written beside its final name, flushed to the disk, and
renamed. A process killed at any moment leaves the old file or the new one, never half of one.
"""

import errno
import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

try:
    import fcntl
    import pwd
except ImportError:
    what = "sslrun runs on Linux and macOS; on Windows, install and run it inside WSL (learn.microsoft.com/windows/wsl)"
    raise ImportError(what, name="fcntl") from None

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What writing meets on a full disk, or beyond a quota or limit."""
REFUSED = (errno.EACCES, errno.EPERM)
"""What another user's file or folder meets one with."""
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
unlocked: set[Path] = set()
"""Folders of file systems that turned out to have no locks, whose processes can't wait for each other."""
_WAIT_SECONDS = 0.2
_PROBE_BYTES = 1 << 16
_LITTER = frozenset(
    (
        *("thumbs.db", "thumbs.db:encryptable", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "autorun.inf"),
        *("$recycle.bin", "recycler", "recycled", "system volume information"),  # Windows
        *("__macosx", "icon\r", "network trash folder", "temporary items", "thevolumesettingsfolder"),  # macOS
        *("@eadir", "@tmp", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "~snapshot"),  # network drives
        *("lost+found", "aquota.user", "aquota.group", "found.000", "picasa.ini", "zbthumbnail.info"),
    )
)
_LITTER_ENDS = (":zone.identifier", "@synoeastream", "@synoresource")


def litter(name: str) -> bool:
    """Whether a file or folder of that name is what systems and network drives leave behind, or hidden: never ours."""
    return name.startswith(".") or name.lower() in _LITTER or name.lower().endswith(_LITTER_ENDS)


def content_digest(path: Path) -> str:
    """SHA-256 of a file in hex; empty where it can't be read."""
    with suppress(OSError):
        return hashlib.sha256(path.read_bytes()).hexdigest()
    return ""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, in a folder that is there; on success flush it and rename it to `path`,
    else remove it. The umask and the folder say who may read it.

    Raises `OSError` naming `path` as the file system gives it (a full disk, say), also where a library that writes has
    its own errors for that; `path` is then as it was.
    """
    part = path.with_name(f".{path.name[:200]}.{os.urandom(4).hex()}.part")
    try:
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        try:
            yield part
        except OSError:
            raise
        except Exception as error:
            _ask(part, error)
            raise
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        if error.filename in (None, str(part), part):  # a file that was open already has no name
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        with suppress(OSError):
            part.unlink()


def _ask(part: Path, error: Exception) -> None:
    """Raise `OSError` if the disk takes no more of a file: that is why writing it ended with `error`."""
    try:
        with part.open("ab") as file:
            file.write(bytes(_PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as refusal:
        raise refusal from error


def remove_parts(folder: Path, older_than: float = 0.0, names: str = ".*.part") -> None:
    """Remove what killed processes left of files that they were writing in `folder`, if so many seconds old."""
    with suppress(OSError):
        for part in folder.glob(names):
            if time.time() - part.stat().st_mtime >= older_than:
                part.unlink()


def whose(path: Path) -> str:
    """Who may use a file, or the folder it is to lie in: `results belongs to ada (drwxr-xr-x)`."""
    for found in (path, *path.parents):
        with suppress(OSError):
            state = found.stat()
            try:
                owner = pwd.getpwuid(state.st_uid).pw_name
            except KeyError:
                owner = f"user {state.st_uid}"
            return f"{found} belongs to {owner} ({stat.filemode(state.st_mode)})"
    return ""


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path`, whole or not at all; its folder is made if it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all. Refuses NaN and infinities (`ValueError`)."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def whole_lines(path: Path) -> int:
    """A file's length up to the end of its last whole line: what a killed writer leaves after it is half a line."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        if file.read(1) in (b"\n", b""):
            return size
        file.seek(0)
        return file.read().rfind(b"\n") + 1


def read_json(path: Path) -> Any:
    """Read a JSON file. Raises `FileNotFoundError`, or `ValueError` naming the file if it is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not readable as JSON: {error}") from error


@contextmanager
def locked(path: Path, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold an exclusive lock on `path` (made if absent), waiting for whoever holds it; `waiting` is called meanwhile.

    The system frees the lock when its process ends, however it ends. `path` is never removed: removing a lock
    file lets two processes hold "the" lock at once. Where the file system has no locks nobody waits: see `unlocked`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _opened(path) as file:
        try:
            if waiting is None:
                fcntl.flock(file, fcntl.LOCK_EX)
            while waiting is not None and not _locks(file):
                waiting()
                time.sleep(_WAIT_SECONDS)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            unlocked.add(path.parent)
        yield


def _opened(path: Path) -> IO[bytes]:
    """A file to lock, made if absent. Another user's may be locked without being written to."""
    try:
        return path.open("ab")
    except PermissionError:
        if not path.exists():
            raise
        return path.open("rb")


def _locks(file: IO[bytes]) -> bool:
    """Take the lock on `file` if nobody has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
