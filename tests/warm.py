"""Commands in processes of their own that are forked from the tests' one, which has imported what they need.

A fresh interpreter takes seconds of imports, often most of what a test takes. These processes have none of the open
files, handlers and children of their parent, and the servers that they start jobs from are forked in the same way.
"""

import atexit
import ctypes
import faulthandler
import logging
import os
import resource
import signal
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from importlib import import_module
from multiprocessing import forkserver, resource_tracker, util
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_info

_NEEDED = ("torch._dynamo", "torchvision.models", "sklearn.datasets", "sslrun.sweeps.session", "sslrun.sweeps.worker")
_Popen = subprocess.Popen
_HARD = 2  # omp_pause_hard
_kept: list[Any] = []
"""The parent's streams, which would close their files when nobody has them any longer."""


def start(
    *arguments: str | Path,
    prepare: Callable[[], object] = lambda: None,
    env: Mapping[str, str] | None = None,
    **how: Any,
) -> "subprocess.Popen[str]":
    """`sslrun ARGUMENTS` as `Popen` starts it, forked; `prepare` is called first in the process."""
    words, environment = [str(word) for word in arguments], dict(os.environ if env is None else env)

    def command() -> None:
        from sslrun.cli import main

        os.environ.clear()
        os.environ.update(environment)
        sys.argv = ["sslrun", *words]
        prepare()
        main()

    return process(command, **how)


def popen(words: Sequence[str], **how: Any) -> "subprocess.Popen[str]":
    """In the place of `Popen`, where a command starts others: those that are ours are forked."""
    if list(words[:3]) != [sys.executable, "-m", "sslrun"]:
        return _Popen(words, **how)
    return start(*words[3:], **({"stdout": None, "stderr": None} | how))


def process(work: Callable[[], object], **how: Any) -> "subprocess.Popen[str]":
    """Some work in a process like that; the options are `Popen`'s."""
    get_ready()
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | how
    return _Popen([sys.executable], preexec_fn=lambda: _only(work), **how)


def get_ready() -> None:
    """Let what is forked from here find everything imported and no thread missing."""
    for name in _NEEDED:
        import_module(name)
    for pool in threadpool_info():
        if pool["internal_api"] == "openmp":  # a forked process has none of its threads, and would wait for them
            ctypes.CDLL(pool["filepath"]).omp_pause_resource_all(_HARD)


def _only(work: Callable[[], object], files: Collection[int] = ()) -> None:
    """Do some work as a fresh interpreter with these open files would; and end.

    `Popen` goes on when a file of its own is closed, as it is where a program is executed.
    """
    code = 1
    try:
        _begin_anew(files)
        work()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            util._exit_function()  # processes that are daemons end with this one
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


def _begin_anew(files: Collection[int]) -> None:
    faulthandler.disable()
    start = 3
    for file in [*sorted(files), resource.getrlimit(resource.RLIMIT_NOFILE)[0]]:
        os.closerange(start, file)
        start = file + 1
    _kept.append((sys.stdin, sys.stdout, sys.stderr))
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    for number in signal.valid_signals():
        if number != signal.SIGINT and callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    logging.root.handlers.clear()
    warnings.resetwarnings()
    warnings.simplefilter("ignore", DeprecationWarning)
    warnings.showwarning = warnings._showwarning_orig  # type: ignore[attr-defined]
    for helper in (forkserver._forkserver, resource_tracker._resource_tracker):
        type(helper).__init__(helper)
    util._finalizer_registry.clear()
    atexit._clear()
    util.spawnv_passfds = _forked


def _forked(path: bytes, words: Sequence[bytes | str], files: Sequence[int]) -> int:
    """multiprocessing's start of a helper, which executes `python -c CODE` with these open files."""
    child = os.fork()
    if not child:
        _only(lambda: exec(os.fsdecode(words[-1]), {}), files)
    return child
