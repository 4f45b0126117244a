"""The fork server from which jobs start: it has imported everything and touched no device. Imports nothing heavy,
so that the server's imports, which take seconds, begin before the scheduler's own.
"""

import os
import pickle
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker, util
from pathlib import Path
from types import ModuleType
from typing import Any
from warnings import catch_warnings

from sslrun.errors import InputError, RunFailed

_PRELOAD = [
    "typer",
    "scipy.optimize",
    "sklearn.datasets",
    "torchvision.models",
    "sslrun.sweeps.worker",
    "sslrun.jobs.measuring",
]
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


LONGEST_FOLDER = 60
"""A socket's whole path has at most 107 characters (103 on a Mac), of which the folders within take up to 40."""


def warm_up(threads: int) -> None:
    """Start the server, again if it was killed, without waiting for it; its libraries use `threads` CPU threads.

    Raises `RunFailed` where it can't be started.
    """
    forkserver.set_forkserver_preload(_PRELOAD)
    with environment(dict.fromkeys(THREADS, str(threads))), signals_ignored(), catch_warnings(action="ignore"):
        _short_folder()
        try:
            forkserver.ensure_running()
        except OSError as error:
            what = f"the process from which jobs start can't be started: {error}"
            raise RunFailed(what, remedy="Set TMPDIR to a folder of short name where you may write.") from error


def _short_folder() -> None:
    """Let the server's socket have a folder of short name, whatever TMPDIR is: its path may not be long."""
    given = tempfile.gettempdir()
    if len(os.fsencode(given)) > LONGEST_FOLDER and os.access("/tmp", os.W_OK | os.X_OK):
        tempfile.tempdir = "/tmp"
        try:
            util.get_temp_dir()  # made once in a process
        finally:
            tempfile.tempdir = given


@contextmanager
def without_script(handed: Any) -> Iterator[None]:
    """Within, processes start without the script that called us, which `multiprocessing` has each of them run again:
    it may be no file, or have no `if __name__ == "__main__"`. A kind that was defined there, and is in the recipes
    that are `handed` to the process, needs it: raises `InputError` where it can't be run again."""
    script = sys.modules["__main__"]
    needed = b"__main__" in pickle.dumps(handed)
    if needed and script.__spec__ is None and not Path(getattr(script, "__file__", None) or "").is_file():
        raise InputError(
            "a kind that was typed in here can't be handed to the processes of a sweep",
            where="sslrun.sweep",
            remedy="Write it into a file of its own, and name that in `imports`.",
        )
    if not needed:
        sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


@contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def signals_ignored() -> Iterator[None]:
    """For processes started within: terminals and schedulers send them these too, which are not theirs to answer."""
    numbers = (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    resource_tracker.ensure_running()  # which the server would start otherwise, and which lets SIGTERM through again
    # Slurm sends this to all processes of a job at once: those within answer it, and need their server till then.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
