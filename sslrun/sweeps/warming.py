"""The fork server from which jobs start: it has imported everything and touched no device. Imports nothing heavy,
so that the server's imports, which take seconds, begin before the scheduler's own.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver

_PRELOAD = [
    "typer",
    "scipy.optimize",
    "sklearn.datasets",
    "torchvision.models",
    "sslrun.sweeps.worker",
    "sslrun.jobs.measuring",
]
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def warm_up(threads: int) -> None:
    """Start the server if it does not run, without waiting for it; its libraries use `threads` CPU threads."""
    forkserver.set_forkserver_preload(_PRELOAD)
    with environment(dict.fromkeys(THREADS, str(threads))), signals_ignored():
        forkserver.ensure_running()


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
    numbers = (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
