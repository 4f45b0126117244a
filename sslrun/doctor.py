"""What this machine has and lacks, and whether a recipe could run on it, as JSON and in words: `sslrun doctor`.

Everything is looked up on the spot and nothing is changed; sizes are in GiB of 2**30. What a run ran on is kept by
`sslrun.runs.environment`. The memory of a whole batch is extrapolated from two small steps on the CPU.
"""

import math
import os
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sslrun.data import Dataset
from sslrun.data.check import check
from sslrun.jobs import choose_device
from sslrun.limits import cpu_quota, free_bytes, total_memory
from sslrun.methods import Method, build_encoder, build_method, set_up
from sslrun.networks.precision import has_bf16
from sslrun.recipe.schema import Recipe
from sslrun.runs.environment import environment, nvidia_gpus
from sslrun.training.memory import check_memory, with_state
from sslrun.views.pipeline import Views

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
            threads = f"{device['threads']} thread{'s' * (device['threads'] > 1)}"
            counts = f"{device['cores']} cores ({counts}), torch takes {threads}, "
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


_PROBE = (2, 4)  # images in the two steps from which the memory of a whole batch is extrapolated


def fit(recipe: Recipe, data: Dataset) -> dict[str, Any]:
    """What is there of the recipe's data, and the memory that a run would take.

    `memory` is None for vectors, which take next to none.
    """
    report = check(data, recipe)
    device = choose_device(recipe.run.device)
    count = report.counts.get("pretrain", report.counts.get("train", 0))
    return {
        "recipe": recipe.name,
        "data": {"ready": report.ok, "text": report.text(), "problems": report.problems},
        "precision": {"wanted": recipe.training.precision, "bf16": has_bf16(device)},
        "memory": None if recipe.data.HOLDS == "vectors" else _memory(recipe, data.shape, count, device),
    }


def _memory(recipe: Recipe, shape: tuple[int, ...], count: int, device: torch.device) -> dict[str, Any]:
    check_memory(recipe, shape, count, device)
    network, activations = training_memory(recipe, shape)
    free, images = free_bytes(device), count * math.prod(shape)
    stream = recipe.data.stream
    resident = stream == "never" or (stream == "auto" and images <= free / 2)
    needed = network + activations + (images if resident else 0)
    return {
        "device": str(device),
        "free_gib": gib(free),
        "network_gib": gib(network),
        "activations_gib": gib(activations),
        "images_gib": gib(images),
        "images_resident": resident,
        "needed_gib": gib(needed),
        "enough": needed < free,
    }


def training_memory(recipe: Recipe, shape: tuple[int, ...]) -> tuple[int, int]:
    """Rough bytes of training on stored images of `shape` (C, H, W): networks with gradients and optimisers' states,
    and views with what is kept for the backward pass. A library's workspaces come on top.

    Found by two small steps on the CPU, in float32 (which may be all that the CPU is good at); bf16 is taken for half.
    """
    channels, _, stored = shape
    precision = recipe.training.precision
    recipe = recipe.model_copy(update={"training": recipe.training.model_copy(update={"precision": "float32"})})
    setup = set_up(recipe, build_encoder(recipe, channels), channels, 1, torch.device("cpu"))
    method = build_method(recipe.method, setup)
    views = Views(recipe.views, channels=channels, stored=stored)
    images_NCHW = torch.randint(256, (_PROBE[1], *shape), dtype=torch.uint8)
    few, more = (_kept(method, views(images_NCHW[:n], views.draw(n, 0, 0))) for n in _PROBE)
    each = (more - few) / (_PROBE[1] - _PROBE[0])
    activations = few + each * (recipe.training.batch_size - _PROBE[0])
    return with_state(method, recipe), round(activations / 2 if precision == "bf16" else activations)


class _NoUpdates:
    """Implements `sslrun.methods.Updater` without updating."""

    def zero_grad(self) -> None:
        """Nothing."""

    def step(self, iteration: int, loss: Tensor) -> None:
        """Nothing."""


def _kept(method: Method, views_NCHW: list[Tensor]) -> int:
    """Bytes of the views and of what a step keeps for its backward pass, parameters left out."""
    own = {tensor.untyped_storage().data_ptr() for tensor in (*method.parameters(), *method.buffers())}
    kept = {view.untyped_storage().data_ptr(): view.nbytes for view in views_NCHW}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        method.step(views_NCHW, 0, _NoUpdates())
    return sum(kept.values())


def fit_lines(fitted: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(label, text) of what `fit` found; what is lacking says what would help."""
    for line in fitted["data"]["text"].splitlines():
        yield fitted["recipe"], line
    if fitted["precision"] == {"wanted": "bf16", "bf16": False}:
        yield "lacking", "bf16 in hardware: training.precision: float32 will be many times faster here"
    memory = fitted["memory"]
    if memory is None:
        return
    parts = f"networks {memory['network_gib']:,}, activations {memory['activations_gib']:,}"
    images = f", images {memory['images_gib']:,}" if memory["images_resident"] else ""
    needed = f"about {memory['needed_gib']:,} GiB on {memory['device']}"
    yield "memory", f"{needed} ({parts}{images}), {memory['free_gib']:,} free"
    if not memory["enough"]:
        yield "lacking", "memory: try a smaller training.batch_size, training.precision: bf16, or data.stream: always"
