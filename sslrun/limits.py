"""What of this machine this process may use: cores, and memory, within the limits of its container.

Linux's control groups (version 2 or 1) say what a container, a batch system or `systemd` allows; elsewhere there are
none. Everything that counts processes or threads, or asks whether something fits, asks here.
"""

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

GROUPS = Path("/sys/fs/cgroup")
OURS = Path("/proc/self/cgroup")


def cores() -> int:
    """CPU cores that this process may use: those it may run on, at most its container's quota, rounded up."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota()
    return allowed if quota is None else min(allowed, max(1, math.ceil(quota)))


def cpu_quota() -> float | None:
    """How many cores' time a container lets this process have; None without such a limit."""
    quotas = []
    for group in _groups("cpu"):
        with suppress(OSError, ValueError):
            words = (group / "cpu.max").read_text().split()
            quotas.append(int(words[0]) / int(words[1]))
        with suppress(OSError, ValueError):
            quota = int((group / "cpu.cfs_quota_us").read_text())
            quotas.append(quota / int((group / "cpu.cfs_period_us").read_text()))
    return min((quota for quota in quotas if quota > 0), default=None)  # -1 is no limit


def total_memory() -> int:
    """Bytes of memory that this process may have: the machine's, or its container's where that is less."""
    import psutil

    return min([int(psutil.virtual_memory().total), *(limit for limit, _ in _memory_limits())])


def free_memory() -> int:
    """Bytes of memory that this process can still take, of the machine's and its container's whichever is less."""
    import psutil

    left = (limit - used for limit, used in _memory_limits())
    return max(0, min([int(psutil.virtual_memory().available), *left]))


def free_bytes(device: "torch.device") -> int:
    """Bytes of a device's memory that this process can still take."""
    import torch

    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return free_memory()


def memory_share(device: "torch.device") -> float:
    """The share of a CUDA device's memory that is taken, by whomever, from 0 to 1."""
    import torch

    free, total = torch.cuda.mem_get_info(device)
    return float(1 - free / total)


def _memory_limits() -> Iterator[tuple[int, int]]:
    """(limit, what is used and can't be dropped) of each group around this process, in bytes."""
    for group in _groups("memory"):
        for most, now, droppable in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            with suppress(OSError, ValueError, KeyError):
                limit, used = int((group / most).read_text()), int((group / now).read_text())
                stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
                yield limit, used - int(stat[droppable])


def _groups(controller: str) -> Iterator[Path]:
    """The folders that may limit this process in what `controller` counts, its own first."""
    with suppress(OSError, ValueError):
        for line in OURS.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controller in controllers.split(","):
                root = GROUPS / controller
                root = root if root.is_dir() else GROUPS / controllers
            elif not controllers:
                root = GROUPS
            else:
                continue
            # Within a container the path is often the host's, which is not there: its root is then the container's.
            own = root / path.lstrip("/")
            yield from (group for group in (own, *own.parents) if group.is_relative_to(root))
