"""Several processes for one run: started here by torch's elastic launcher, or joined where `torchrun` or `srun` has
started them. What they do together is `sslrun.networks.group`'s; process 0 writes for all.
"""

import ctypes
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist

from sslrun.errors import InputError, Interrupted
from sslrun.limits import cores
from sslrun.networks.group import ALONE, Group

_PATIENCE = timedelta(
    days=2
)  # of a process for the others: one of them evaluates, saves, decodes; a launcher sees deaths
_DIE_WITH_PARENT = 1  # prctl's PR_SET_PDEATHSIG
_ENDED = ("gloo", "NCCL", "Connection", "peer")


def how_many(text: str, device: str) -> int:
    """The processes that `--devices` asks for: a number, or `all` for one a device. Raises `InputError`."""
    there = torch.cuda.device_count() if device != "cpu" and torch.cuda.is_available() else cores()
    kind = "CUDA devices" if device != "cpu" and torch.cuda.is_available() else "processor cores"
    if text == "all":
        return there
    if not text.isdecimal() or not 1 <= int(text) <= there:
        raise InputError(
            f"{text!r} is not a number of devices that there are",
            where="--devices",
            remedy=f"There are {there} {kind}: a number up to that, or all.",
        )
    return int(text)


def place() -> tuple[int, int] | None:
    """(rank, size) if this process is one of several that somebody has started; None if not."""
    for rank, size in (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_NTASKS")):
        if rank in os.environ and "MASTER_ADDR" in os.environ and int(os.environ.get(size, "1")) > 1:
            return int(os.environ[rank]), int(os.environ[size])
    return None


@contextmanager
def joined(device: str) -> Iterator[Group]:
    """The group of the processes that this one is of, for as long as it lasts; `ALONE` if it is by itself.

    Raises `Interrupted` where another process of it has ended.
    """
    found = place()
    if found is None:
        yield ALONE
        return
    rank, size = found
    if sys.platform == "linux":  # a launcher that is killed takes its processes with it, which save what they have
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGTERM)
    on_cuda = device not in ("cpu", "mps") and torch.cuda.is_available()
    if on_cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", os.environ.get("SLURM_LOCALID", "0"))))
    dist.init_process_group("nccl" if on_cuda else "gloo", rank=rank, world_size=size, timeout=_PATIENCE)
    try:
        with others_needed():
            yield Group(rank, size)
    finally:
        dist.destroy_process_group()


@contextmanager
def others_needed() -> Iterator[None]:
    """Turn the error of an exchange with a process that has ended into `Interrupted`."""
    try:
        yield
    except RuntimeError as error:
        lost = isinstance(error, dist.DistError) or any(word in str(error) for word in _ENDED)
        if not (lost and dist.is_initialized()):
            raise
        what = "another process of this run has ended"
        raise Interrupted(what, remedy="The same command goes on from the last checkpoint.") from error


def launch(count: int, arguments: Sequence[str]) -> int:
    """Run `sslrun ARGUMENTS` in `count` processes that are one group, until all have ended; the exit code.

    One that dies ends the others within seconds. Raises `Interrupted` for a process that was killed.
    """
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # it says what we say better
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        run_id=f"sslrun-{os.getpid()}",
        max_restarts=0,
        monitor_interval=0.2,
    )
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // count)))
    try:
        elastic_launch(config, sys.executable)("-m", "sslrun", *arguments)
    except ChildFailedError as failed:
        codes = {rank: failure.exitcode for rank, failure in failed.failures.items()}
        killed = {rank: -code for rank, code in codes.items() if code < 0 and -code != signal.SIGTERM}
        if killed:
            who = ", ".join(f"process {rank} of {count} (signal {number})" for rank, number in killed.items())
            raise Interrupted(f"killed: {who}", remedy="The same command goes on from the last checkpoint.") from None
        return codes.get(0) or min((code for code in codes.values() if code > 0), default=130)
    except (SignalException, KeyboardInterrupt):
        return 130
    return 0
