"""What a job's process does: it is forked from a server that has imported everything and touched no device.

It writes into the run's log, calls `sslrun.jobs.pretrain_job` and nothing beneath, and tells the scheduler how it
ended. If the scheduler dies, its end of the link closes: the job then saves its state and ends too.
"""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread
from typing import Any

import torch

from sslrun.data.images import ImageSet
from sslrun.errors import Interrupted, RunFailed, RunHeld, SslrunError
from sslrun.jobs import Places, follow_job, pretrain_job
from sslrun.jobs.processes import joined
from sslrun.jobs.screen import Screen
from sslrun.networks.group import ALONE, Group
from sslrun.recipe import plugins
from sslrun.recipe.schema import Recipe
from sslrun.runs.folder import RunFolder
from sslrun.streams import streams
from sslrun.sweeps.engine import GRACE_SECONDS, Outcome

_NO_MEMORY = (
    "can't allocate memory",  # torch's CPU allocator
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
"""What plain `RuntimeError`s say when memory ran out beside torch's own GPU allocator."""
_OF_THE_DEVICE = ("CUDA error", "cuDNN error")
"""What errors say that may come up in any code, a plug-in's too, and may be gone on another try."""


def run_job(
    link: Connection,
    recipes: tuple[Recipe, ...],
    where: Places,
    log: Path,
    environment: Mapping[str, str],
    threads: int,
) -> None:
    """A process of one job: the run of the first recipe, and the evaluations that each recipe asks for."""

    def work() -> None:
        _settle_in(link, log, environment, threads)
        with _group(environment, recipes[0]) as group:
            for recipe in recipes:
                _pretrain(recipe, where, group)

    with streams():
        outcome = _outcome(work)
        link.send(outcome)
    if outcome.kind != "done":
        sys.exit(Interrupted.exit_code if outcome.kind == "interrupted" else RunFailed.exit_code)


def run_measurement(
    link: Connection, recipe: Recipe, where: Places, log: Path, environment: Mapping[str, str], threads: int
) -> None:
    """A process of a few timed steps: sends what `sslrun.jobs.measuring.measure` gives, or how it failed."""
    from sslrun.jobs.measuring import measure

    measured = []

    def work() -> None:
        _settle_in(link, log, environment, threads)
        with _group(environment, recipe) as group:
            measured.append(measure(recipe, where, group))

    with streams():
        outcome = _outcome(work)
    link.send(measured[0] if measured else outcome)


def _group(environment: Mapping[str, str], recipe: Recipe) -> AbstractContextManager[Group]:
    """The group of the job's processes, as its environment says."""
    return joined(recipe.run.device) if "RANK" in environment else nullcontext(ALONE)


def _settle_in(link: Connection, log: Path, environment: Mapping[str, str], threads: int) -> None:
    os.setsid()  # Ctrl-C is for the scheduler, which then asks its jobs to stop
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])  # see `warming`
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    except OSError as error:
        raise RunFailed(f"its log can't be written: {error.strerror}", where=str(log)) from None
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        stream.flush()
        os.dup2(descriptor, number)
    os.close(descriptor)
    os.environ.update(environment)
    torch.set_num_threads(threads)
    Thread(target=_end_with_the_scheduler, args=(link,), daemon=True).start()


def _end_with_the_scheduler(link: Connection) -> None:
    with suppress(EOFError, OSError):
        link.poll(None)  # it never sends anything: this returns when its end is closed
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


def _outcome(work: Callable[[], Any]) -> Outcome:
    try:
        work()
    except RunHeld as error:
        return Outcome("held", str(error))
    except Interrupted:
        return Outcome("interrupted")
    except (MemoryError, torch.OutOfMemoryError) as error:
        traceback.print_exc()
        return Outcome("memory", _first_line(error))
    except SslrunError as error:
        print(error, file=sys.stderr, flush=True)
        return Outcome("failed", str(error))
    except Exception as error:
        traceback.print_exc()
        if any(text in str(error) for text in _NO_MEMORY):
            return Outcome("memory", _first_line(error))
        own = None if any(text in str(error) for text in _OF_THE_DEVICE) else plugins.failed(error)
        return Outcome("crashed", plugins.reason(error)) if own is None else Outcome("failed", str(own))
    return Outcome("done")


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__


def _pretrain(recipe: Recipe, where: Places, group: Group) -> None:
    """Pretrain and evaluate, with plain lines about it: stdout is the run's log."""
    if not group.leads:
        follow_job(recipe, where, group)
        return

    def first_line(folder: RunFolder, images: ImageSet, start: int) -> str:
        several = f", the first of {group.size}" if group.size > 1 else ""
        return f"{folder.path.name}   {len(images):,} images, process {os.getpid()}{several}, after epoch {start}"

    with Screen(recipe, first_line, logged=False) as screen:
        pretrain_job(recipe, where, retried=True, begin=screen.begin, watch=screen.watch, group=group)
