"""What a run ran on: versions, processor, devices. Kept in the run's folder so that its numbers can be judged.

Nothing heavy is imported: versions come from the packages' metadata, GPUs from `nvidia-smi`.
"""

import os
import platform
import shutil
import socket
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import sslrun
from sslrun.limits import cores, total_memory

_PACKAGES = ("torch", "torchvision", "numpy", "scipy", "scikit-learn")


def environment(threads: int | None = None) -> dict[str, Any]:
    """What this process runs on, as JSON values; `threads` are the CPU threads that the run uses, if it says so."""
    import psutil

    gpus = nvidia_gpus()
    return {
        "sslrun": sslrun.__version__,
        "commit": _commit(Path(sslrun.__file__).parent.parent),
        "python": platform.python_version(),
        **{package: _version(package) for package in _PACKAGES},
        "os": platform.platform(),
        "host": socket.gethostname(),
        "cpu": _cpu(),
        "cores": psutil.cpu_count(logical=False),
        "logical_cores": os.cpu_count(),
        "usable_cores": cores(),
        "threads": threads,
        "memory_gib": round(total_memory() / 2**30, 1),
        "gpus": [gpu.name for gpu in gpus],
        "driver": gpus[0].driver if gpus else None,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit(checkout: Path) -> dict[str, Any] | None:
    """Commit of the checkout that sslrun is run from, and whether tracked files differ from it; none if installed."""
    top = _output("git", "-C", str(checkout), "rev-parse", "--show-toplevel", "HEAD").splitlines()
    # An installed copy may lie inside somebody else's repository (a virtual environment in a project).
    if len(top) != 2 or Path(top[0]) != checkout.resolve():
        return None
    changes = _output("git", "--no-optional-locks", "-C", str(checkout), "status", "--porcelain", "-uno")
    return {"hash": top[1], "changed": bool(changes.strip())}


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, "") or platform.processor() or platform.machine()


@dataclass(frozen=True)
class Gpu:
    """One of NVIDIA's GPUs, as its tool tells of it."""

    name: str
    driver: str
    uuid: str
    free_mib: float | None


def nvidia_gpus() -> list[Gpu]:
    """Those that `nvidia-smi` lists; none where it is missing, or there are none."""
    asked = "--query-gpu=name,driver_version,uuid,memory.free"
    rows = [line.rsplit(", ", 3) for line in _output("nvidia-smi", asked, "--format=csv,noheader,nounits").splitlines()]
    return [Gpu(name, driver, uuid, float(free) if free.isdigit() else None) for name, driver, uuid, free in rows]


def _output(*command: str) -> str:
    """What a command prints, or nothing if it is missing, slow or fails."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout
