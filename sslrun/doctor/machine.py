"""One look at the machine: versions, devices, processor, memory, disks, optional packages; as JSON and in words.

Sizes are in GiB of 2**30. What a run ran on is kept by `sslrun.runs.environment`; whether a recipe fits: `fitting`.
"""

import os
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from sslrun.limits import cpu_quota, free_bytes, total_memory
from sslrun.networks.precision import has_bf16
from sslrun.runs.environment import environment, nvidia_gpus

EXTRAS = {"cmaes": ("pip install 'sslrun[search]'", "searches by CMA-ES")}
"""Optional packages by module: how to install one, what it is for."""
VARIABLES = ("SSLRUN_RESULTS", "SSLRUN_DATA")
_BF16 = {True: "bf16 in hardware", False: "bf16 only emulated", None: "bf16 not known"}


def gib(size: float) -> float:
    """Bytes in GiB, to two digits after the point."""
    return round(size / 2**30, 2)


def examine(results: Path, data: Path) -> dict[str, Any]:
    """What there is, with the disks of the folders of results and data."""
    known = environment(threads=torch.get_num_threads())
    return {
        **{name: known[name] for name in ("sslrun", "python", "os", "driver")},
        "torch": {
            "version": torch.__version__,
            "cuda_build": torch.version.cuda,
            "cuda": torch.cuda.is_available(),
            "mps": torch.backends.mps.is_available(),
        },
        "gpus_seen": known["gpus"],
        "devices": list(_devices(known)),
        "disks": {"results": _disk(results), "data": _disk(data)},
        "extras": {
            module: {"installed": find_spec(module) is not None, "get": get, "for": purpose}
            for module, (get, purpose) in EXTRAS.items()
        },
        "variables": {name: os.environ.get(name) for name in VARIABLES},
    }


def _devices(known: dict[str, Any]) -> Iterator[dict[str, Any]]:
    cores = {name: known[name] for name in ("cores", "logical_cores", "usable_cores", "threads")}
    yield _device("cpu", known["cpu"], total_memory()) | cores | {"cpu_quota": cpu_quota()}
    # As `nvidia-smi` has it: torch would first have to start CUDA on each of them, which takes memory itself.
    free_mib = {gpu.uuid: gpu.free_mib for gpu in nvidia_gpus()}
    for number in range(torch.cuda.device_count()):
        gpu = torch.cuda.get_device_properties(number)
        free = free_mib.get(f"GPU-{getattr(gpu, 'uuid', '')}")
        yield _device(f"cuda:{number}", gpu.name, gpu.total_memory, None if free is None else free * 2**20)
    if torch.backends.mps.is_available():
        yield _device("mps", "Apple GPU", torch.mps.recommended_max_memory())


def _device(device: str, name: str, memory: float, free: float | None = None) -> dict[str, Any]:
    place = torch.device(device)
    free = free_bytes(place) if free is None else free
    sizes = {"memory_gib": gib(memory), "free_gib": gib(free)}
    return {"device": device, "name": name, **sizes, "bf16": has_bf16(place)}


def _disk(folder: Path) -> dict[str, Any]:
    """Free space where `folder` is or would be made."""
    folder = folder.absolute()
    above = next(parent for parent in (folder, *folder.parents) if parent.is_dir())
    return {
        "folder": str(folder),
        "exists": folder.is_dir(),
        "writable": os.access(above, os.W_OK | os.X_OK),
        "free_gib": gib(shutil.disk_usage(above).free),
    }


def machine_lines(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(label, text) of everything that `examine` found; what is lacking says how to get it."""
    build = found["torch"]
    yield "sslrun", f"{found['sslrun']}, Python {found['python']}, {found['os']}"
    cuda = f"built for CUDA {build['cuda_build']}" if build["cuda_build"] else "built without CUDA"
    yield "torch", f"{build['version']}, {cuda}{', MPS' if build['mps'] else ''}"
    for device in found["devices"]:
        counts = ""
        if "cores" in device:
            quota = "" if device["cpu_quota"] is None else f", a container's quota of {device['cpu_quota']:g}"
            counts = f"{device['logical_cores']} logical, {device['usable_cores']} usable{quota}"
            counts = f"{device['cores']} cores ({counts}), torch takes {device['threads']} threads, "
        memory = f"{device['free_gib']:,} of {device['memory_gib']:,} GiB free"
        yield device["device"], f"{device['name']}, {counts}{memory}, {_BF16[device['bf16']]}"
    if found["gpus_seen"] and not build["cuda"]:
        yield "lacking", f"torch can't use {', '.join(found['gpus_seen'])}: install a build of torch for its driver"
    elif not build["cuda"] and not build["mps"]:
        yield "GPU", "none; everything works on the CPU"
    for name, disk in found["disks"].items():
        state = "" if disk["exists"] else ", not there yet" if disk["writable"] else ", not there"
        remedy = "" if disk["writable"] or name == "data" else "; can't be written: choose another with --results"
        yield name, f"{disk['folder']}{state}, {disk['free_gib']:,} GiB free{remedy}"
    for name, value in found["variables"].items():
        yield name, value or "not set"
    for module, extra in found["extras"].items():
        state = "installed" if extra["installed"] else f"not installed ({extra['get']})"
        yield module, f"{state}: {extra['for']}"
