"""Several processes for one run: started here by torch's elastic launcher, or joined where `torchrun` or `srun` has
started them. What they do together is `sslrun.networks.group`'s; process 0 writes for all.
"""

import ctypes
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from sslrun.errors import InputError, Interrupted, RunFailed
from sslrun.limits import cores
from sslrun.networks.group import ALONE, Group

_PATIENCE = timedelta(
    days=2
)  # of a process for the others: one of them evaluates, saves, decodes; a launcher sees deaths
_DIE_WITH_PARENT = 1  # prctl's PR_SET_PDEATHSIG
_ENDED = ("gloo", "NCCL", "Connection", "peer")
_OURS = "sslrun-"  # what the names of our launchers begin with, then its process number
_LAST_LINES = 8  # of a process that died, for the message


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

    Raises `InputError` where they can't be joined, and `Interrupted` where another process has ended.
    """
    found = place()
    if found is None:
        yield ALONE
        return
    rank, size = found
    if sys.platform == "linux":  # a launcher that is killed takes its processes with it, which save what they have
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGTERM)
    launcher = os.environ.get("TORCHELASTIC_RUN_ID", "")
    if launcher.startswith(_OURS) and launcher != f"{_OURS}{os.getppid()}":
        raise Interrupted("what started this process has ended before it could begin")
    on_cuda = device not in ("cpu", "mps") and torch.cuda.is_available()
    if on_cuda:
        here, there = int(os.environ.get("LOCAL_RANK", os.environ.get("SLURM_LOCALID", "0"))), torch.cuda.device_count()
        if here >= there:
            raise InputError(
                f"process {here + 1} on this machine would have a device of its own, and {there} are there",
                remedy="Start as many processes as there are devices.",
            )
        torch.cuda.set_device(here)
    try:
        dist.init_process_group("nccl" if on_cuda else "gloo", rank=rank, world_size=size, timeout=_PATIENCE)
    except dist.DistNetworkError as error:
        place_ = f"{os.environ['MASTER_ADDR']}:{os.environ.get('MASTER_PORT', '')}"
        raise InputError(
            f"the processes of this run can't meet there: {str(error).splitlines()[0]}",
            where=f"MASTER_ADDR and MASTER_PORT, {place_}",
            remedy="Give every run a port of its own.",
        ) from error
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


def meeting(count: int) -> tuple[Any, list[dict[str, str]]]:
    """What is to be kept while `count` processes that are started here are one group, and what the environment of each
    must say so that they are `joined`; nothing for one. They meet as under torch's launcher, at a port that is theirs.
    """
    if count == 1:
        return None, [{}]
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # type: ignore[attr-defined]
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port), "WORLD_SIZE": str(count)}
    place |= {"TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_RESTART_COUNT": "0"}
    return store, [place | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(count)]


def launch(count: int, arguments: Sequence[str]) -> int:
    """Run `sslrun ARGUMENTS` in `count` processes that are one group, until all have ended; the exit code.

    One that dies ends the others within seconds. The first one's output is shown, of another the last lines if it dies.
    Raises `Interrupted` for a process that was killed, and `RunFailed` or `InputError` for one that failed.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException, Std
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    for name in list(logging.root.manager.loggerDict):
        if name.startswith("torch.distributed"):  # it says what we say better
            logging.getLogger(name).setLevel(logging.CRITICAL)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // count)))
    with tempfile.TemporaryDirectory(prefix="sslrun-") as outputs:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=count,
            logs_specs=DefaultLogsSpecs(outputs, dict.fromkeys(range(1, count), Std.ALL)),
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            run_id=f"{_OURS}{os.getpid()}",
            max_restarts=0,
            monitor_interval=0.2,
        )
        try:
            elastic_launch(config, sys.executable)("-m", "sslrun", *arguments)
        except ChildFailedError as failed:
            return told({rank: failure.exitcode for rank, failure in failed.failures.items()}, count, Path(outputs))
        except (SignalException, KeyboardInterrupt):
            return Interrupted.exit_code
    return 0


def told(codes: dict[int, int], count: int, outputs: Path) -> int:
    """The exit code of a group of which some have ended with these; what the first one has not said itself is raised.

    One that only ends because another did has exit code 130, or is ended by the launcher.
    """
    guilty = {rank: code for rank, code in codes.items() if code not in (Interrupted.exit_code, -signal.SIGTERM)}
    if not guilty:
        return Interrupted.exit_code
    if guilty.get(0, -1) > 0:
        return guilty[0]
    rank, code = min(guilty.items())
    lines = [line for path in outputs.glob(f"*/*/{rank}/stderr.log") for line in path.read_text().splitlines() if line]
    last = "\n".join(f"    {line}" for line in lines[-_LAST_LINES:])
    who, ended = f"process {rank} of {count}", f"signal {-code}" if code < 0 else f"exit code {code}"
    kinds: dict[int, Any] = {InputError.exit_code: InputError, RunFailed.exit_code: RunFailed}
    kind = Interrupted if code < 0 else kinds.get(code, RunFailed)
    what = f"{'killed: ' * (code == -signal.SIGKILL)}{who} ({ended})" + (f"; its last lines:\n{last}" if last else "")
    raise kind(what, remedy="The same command goes on from the last checkpoint.")
