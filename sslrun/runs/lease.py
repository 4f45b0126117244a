"""Who works on a run, alive or dead: one holder at a time, and a dead one never stands in the way.

A lease names a process by pid, start time, boot and pid namespace. Seen from the same boot and namespace it is dead
at once when that process is gone; seen from anywhere else it dies when its heartbeat (the file's time of change)
has been silent for `timeout`. `lease.lock` keeps takers in line; where a shared file system does not honour it between
hosts, the lease is still one file that is linked into place, which only one of them can do.
"""

import json
import os
import shlex
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from sslrun.errors import Interrupted, RunFailed, RunHeld, SslrunError
from sslrun.files import locked, remove_parts
from sslrun.runs.folder import RunFolder
from sslrun.runs.records import utc_now

TIMEOUT_SECONDS = 30 * 60.0
BEAT_SECONDS = 1.0
"""`beat` may be called every step; it touches the disk at most this often."""
_WRITTEN_SECONDS = 60.0
"""Evaluations may be written by processes without the lease; none takes so long for one."""


@dataclass(frozen=True)
class Holder:
    """The process that holds a lease, as it wrote itself down."""

    pid: int
    born: str
    """Start time of the process: with the pid and the boot it names a process for good."""
    boot: str
    machine: str
    namespace: str
    host: str
    command: str
    since: str
    token: str
    beaten: float = 0.0
    """Time of the last heartbeat, in seconds since 1970."""

    def __str__(self) -> str:
        beat = datetime.fromtimestamp(self.beaten, UTC).strftime("%H:%M:%S")
        return f"process {self.pid} on {self.host} since {self.since} (last heartbeat {beat} UTC): {self.command}"

    def alive(self, timeout: float = TIMEOUT_SECONDS) -> bool:
        """Whether it still holds: looked up where its processes can be seen from here, else by its heartbeat."""
        boot, machine, namespace = _here()
        if (self.boot, self.namespace) == (boot, namespace):
            return _born(self.pid) == self.born
        rebooted = self.boot != boot and machine != "" and (self.machine, self.host) == (machine, socket.gethostname())
        return not rebooted and time.time() - self.beaten < timeout


class Lease:
    """A lease that this process holds; `hold` makes it. Call `beat` every step or so, wherever work goes on."""

    def __init__(self, path: Path, token: str) -> None:
        self._path, self._token, self._beaten = path, token, time.monotonic()

    def beat(self) -> None:
        """Say that work goes on. Raises `RunHeld` if another process has taken the run, `RunFailed` if it has gone."""
        if time.monotonic() - self._beaten < BEAT_SECONDS:
            return
        self._beaten = time.monotonic()
        holder = _read(self._path)
        if holder is None and not (self._path.parent / "identity.json").exists():
            raise _gone(self._path.parent)
        if holder is None or holder.token != self._token:
            raise RunHeld(f"lost to {holder or 'a removed lease'}", where=str(self._path.parent))
        os.utime(self._path)


@contextmanager
def hold(folder: RunFolder, command: str | None = None, timeout: float = TIMEOUT_SECONDS) -> Iterator[Lease]:
    """Hold the lease of a run. Raises `RunHeld`, saying who, since when and by what command, if a live one has it.

    What killed holders left half-written is removed. Raises `RunFailed` if the run's folder goes meanwhile. `command`
    is shown to others; this process's command line if none is given.
    """
    path = folder.path / "lease.json"
    token = os.urandom(16).hex()
    with _alone(folder.path):
        there = _read(path)
        if there is not None and there.alive(timeout):
            raise _held(path, there)
        boot, machine, namespace = _here()
        shown = command or shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
        host = socket.gethostname()
        ours = Holder(os.getpid(), _born(os.getpid()), boot, machine, namespace, host, shown, utc_now(), token)
        remove_parts(folder.path, older_than=_WRITTEN_SECONDS, names=".lease.json.*.take")
        _take(path, ours, there)
        remove_parts(folder.path)
        remove_parts(folder.path / "evaluations", older_than=_WRITTEN_SECONDS)
    try:
        yield Lease(path, token)
    except (OSError, SslrunError) as error:
        if isinstance(error, Interrupted) or (folder.path / "identity.json").exists():
            raise
        raise _gone(folder.path) from error
    finally:
        with suppress(OSError, RunFailed), _alone(folder.path):
            now = _read(path)
            if now is not None and now.token == token:
                path.unlink()


def _held(path: Path, holder: Holder | None) -> RunHeld:
    remedy = "Try again." if holder is None else f"Wait for it, or stop it (`kill {holder.pid}` on {holder.host})"
    return RunHeld(f"held by {holder or 'another'}", where=str(path.parent), remedy=f"{remedy}: the run then resumes.")


def _take(path: Path, ours: Holder, dead: Holder | None) -> None:
    """Put our lease where none is, or a dead one. Raises `RunHeld` if somebody else was faster.

    A file that is linked or made anew is so for one taker only, without any lock. Who takes over from the dead first
    makes a file called after them, which stays for a while: another that has seen them dead comes too late.
    """
    new = path.with_name(f".{path.name}.{ours.token}.take")
    try:
        with new.open("w", encoding="utf-8") as file:
            json.dump({key: value for key, value in asdict(ours).items() if key != "beaten"}, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            changed, now = path.stat().st_mtime_ns, _read(path)
            if now is not None and (dead is None or now.token != dead.token):
                raise _held(path, now)
            claim = path.with_name(f".{path.name}.{changed if now is None else now.token}.take")
            before = _read(claim)
            if before is not None and not before.alive():  # killed while it took over
                claim.unlink(missing_ok=True)
            _link(new, claim)
            new.replace(path) if new.exists() else claim.replace(path)
        else:
            _link(new, path)
    except FileExistsError:
        raise _held(path, _read(path)) from None
    except OSError as error:
        error.filename = error.filename or str(path)  # a file that was open already has no name
        raise
    finally:
        with suppress(OSError):
            new.unlink()


def _link(new: Path, path: Path) -> None:
    """Give `new` the name `path` too. Raises `FileExistsError` if there is such a file."""
    try:
        os.link(new, path)
    except FileExistsError:
        if new.stat().st_nlink < 2:  # on NFS it may have been done, and the answer lost
            raise
    except OSError:  # no links on this file system
        new.replace(path)


def holder(folder: RunFolder, timeout: float = TIMEOUT_SECONDS) -> Holder | None:
    """The live holder of a run's lease, or none."""
    found = _read(folder.path / "lease.json")
    return found if found is not None and found.alive(timeout) else None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes out for a moment. Raises `RunFailed` if the folder has gone."""
    if not folder.is_dir():
        raise _gone(folder)
    with locked(folder / "lease.lock"):
        yield


def _gone(folder: Path) -> RunFailed:
    return RunFailed(
        "the folder of this run has gone: it was removed or moved while somebody worked on it",
        where=str(folder),
        remedy="Bring it back, then run the same command: it goes on from the last checkpoint. Else it starts anew.",
    )


def _read(path: Path) -> Holder | None:
    try:
        with path.open(encoding="utf-8") as file:
            return Holder(**json.load(file), beaten=os.fstat(file.fileno()).st_mtime)
    except (FileNotFoundError, ValueError, TypeError, RecursionError):
        return None


@cache
def _here() -> tuple[str, str, str]:
    """(boot, machine, pid namespace) of this process; each empty where the system does not tell."""
    ids = []
    for path in ("/proc/sys/kernel/random/boot_id", "/etc/machine-id"):
        try:
            ids.append(Path(path).read_text().strip())
        except OSError:
            ids.append("")
    try:
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        namespace = socket.gethostname()
    return ids[0], ids[1], namespace


def _born(pid: int) -> str:
    """When process `pid` started, or nothing if it is gone (or dead and not yet reaped)."""
    try:
        # The command's name, in brackets, may hold anything; the state is field 3, the start time field 22.
        after_name = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return ""
        return _born_without_proc(pid)
    except ProcessLookupError:
        return ""
    return "" if after_name[0] in "ZX" else after_name[19]


def _born_without_proc(pid: int) -> str:
    import psutil

    try:
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else str(process.create_time())
    except psutil.Error:
        return ""
