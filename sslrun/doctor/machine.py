"""The machine: versions, devices, processor, memory, disks, optional packages, Slurm; JSON values, GiB of 2**30."""

import os
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import torch

from sslrun.networks.precision import has_bf16
from sslrun.runs.environment import environment, nvidia_gpus

EXTRAS = {
    "submitit": ("pip install 'sslrun[slurm]'", "sweeps on Slurm"),
    "cmaes": ("pip install 'sslrun[search]'", "searches by CMA-ES"),
    "timm": ("pip install 'sslrun[timm]'", "another library's encoders"),
    "tensorboard": ("pip install 'sslrun[tensorboard]'", "TensorBoard"),
}
"""Optional packages by module: how to install one, what it is for."""
VARIABLES = ("SSLRUN_RESULTS", "SSLRUN_DATA")


def gib(size: float) -> float:
    """Bytes in GiB, to two digits after the point."""
    return round(size / 2**30, 2)


def examine(results: Path, data: Path) -> dict[str, Any]:
    """What there is, with the disks of the folders of results and data."""
    known = environment(threads=torch.get_num_threads())
    return {
        "sslrun": known["sslrun"],
        "python": known["python"],
        "os": known["os"],
        "torch": {
            "version": torch.__version__,
            "cuda_build": torch.version.cuda,
            "cuda": torch.cuda.is_available(),
            "mps": torch.backends.mps.is_available(),
        },
        "driver": known["driver"],
        "gpus_seen": known["gpus"],
        "devices": [_cpu(known), *_cuda(), *_mps()],
        "disks": {"results": _disk(results), "data": _disk(data)},
        "extras": {
            module: {"installed": find_spec(module) is not None, "get": get, "for": purpose}
            for module, (get, purpose) in EXTRAS.items()
        },
        "slurm": shutil.which("sbatch") is not None,
        "variables": {name: os.environ.get(name) for name in VARIABLES},
    }


def _cpu(known: dict[str, Any]) -> dict[str, Any]:
    memory = psutil.virtual_memory()
    return {
        "device": "cpu",
        "name": known["cpu"],
        "cores": known["cores"],
        "logical_cores": known["logical_cores"],
        "usable_cores": known["usable_cores"],
        "threads": known["threads"],
        "memory_gib": gib(memory.total),
        "free_gib": gib(memory.available),
        "bf16": has_bf16(torch.device("cpu")),
    }


def _cuda() -> list[dict[str, Any]]:
    if not torch.cuda.is_available():
        return []
    # As `nvidia-smi` has it: torch would first have to start CUDA on each of them, which takes memory itself.
    free_mib = {gpu.uuid: gpu.free_mib for gpu in nvidia_gpus()}
    devices = []
    for number in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(number)
        free = free_mib.get(f"GPU-{getattr(properties, 'uuid', '')}")
        devices.append(
            {
                "device": f"cuda:{number}",
                "name": properties.name,
                "memory_gib": gib(properties.total_memory),
                "free_gib": gib(torch.cuda.mem_get_info(number)[0] if free is None else free * 2**20),
                "bf16": has_bf16(torch.device("cuda", number)),
            }
        )
    return devices


def _mps() -> list[dict[str, Any]]:
    if not torch.backends.mps.is_available():
        return []
    most = torch.mps.recommended_max_memory()
    free = most - torch.mps.driver_allocated_memory()
    return [
        {
            "device": "mps",
            "name": "Apple GPU",
            "memory_gib": gib(most),
            "free_gib": gib(free),
            "bf16": has_bf16(torch.device("mps")),
        }
    ]


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
