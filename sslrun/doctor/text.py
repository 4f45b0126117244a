"""The doctor's findings in words: a label and a line each; what is lacking says how to get it."""

from collections.abc import Iterator
from typing import Any


def lines(found: dict[str, Any], fitted: dict[str, Any] | None = None) -> Iterator[tuple[str, str]]:
    """(label, text) of everything that `examine` found, then of what `fit` says of a recipe."""
    torch = found["torch"]
    yield "sslrun", f"{found['sslrun']}, Python {found['python']}, {found['os']}"
    build = f"built for CUDA {torch['cuda_build']}" if torch["cuda_build"] else "built without CUDA"
    yield "torch", f"{torch['version']}, {build}{', MPS' if torch['mps'] else ''}"
    for device in found["devices"]:
        yield device["device"], _device(device)
    if found["gpus_seen"] and not torch["cuda"]:
        yield "lacking", f"torch can't use {', '.join(found['gpus_seen'])}: install a build of torch for its driver"
    elif not torch["cuda"] and not torch["mps"]:
        yield "GPU", "none; everything works on the CPU"
    for name, disk in found["disks"].items():
        state = "" if disk["exists"] else ", not there yet" if disk["writable"] else ", not there"
        yield name, f"{disk['folder']}{state}, {disk['free_gib']:,} GiB free{_unwritable(name, disk)}"
    for name, value in found["variables"].items():
        yield name, value or "not set"
    for module, extra in found["extras"].items():
        state = "installed" if extra["installed"] else f"not installed ({extra['get']})"
        yield module, f"{state}: {extra['for']}"
    yield "Slurm", "there (sbatch)" if found["slurm"] else "not there"
    if fitted:
        yield from _recipe(fitted)


def _device(device: dict[str, Any]) -> str:
    parts = [device["name"]]
    if device["device"] == "cpu":
        parts.append(
            f"{device['cores']} cores ({device['logical_cores']} logical, {device['usable_cores']} usable), "
            f"torch takes {device['threads']} threads"
        )
    parts.append(f"{device['free_gib']:,} of {device['memory_gib']:,} GiB free")
    bf16 = {True: "bf16 in hardware", False: "bf16 only emulated", None: "bf16 not known"}
    return ", ".join([*parts, bf16[device["bf16"]]])


def _unwritable(name: str, disk: dict[str, Any]) -> str:
    return "" if disk["writable"] or name == "data" else "; can't be written: choose another with --results"


def _recipe(fitted: dict[str, Any]) -> Iterator[tuple[str, str]]:
    memory = fitted["memory"]
    for line in fitted["data"]["text"].splitlines():
        yield fitted["recipe"], line
    if fitted["precision"] == {"wanted": "bf16", "bf16": False}:
        yield "lacking", "bf16 in hardware: training.precision: float32 will be many times faster here"
    if memory is None:
        return
    parts = f"networks {memory['network_gib']:,}, activations {memory['activations_gib']:,}"
    images = "" if not memory["images_resident"] else f", images {memory['images_gib']:,}"
    yield (
        "memory",
        f"about {memory['needed_gib']:,} GiB on {memory['device']} ({parts}{images}), {memory['free_gib']:,} free",
    )
    if not memory["enough"]:
        yield "lacking", "memory: try a smaller training.batch_size, training.precision: bf16, or data.stream: always"
