"""Whether a recipe could run here: are its images there, and does it fit into the device's memory, roughly.

The memory of a whole batch is extrapolated from two small steps on the CPU. What the machine has: `machine`.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from sslrun.data import Dataset
from sslrun.data.check import check
from sslrun.doctor.machine import gib
from sslrun.jobs import choose_device
from sslrun.limits import free_bytes
from sslrun.methods import Method, build_encoder, build_method, set_up
from sslrun.networks.precision import has_bf16
from sslrun.recipe.schema import Recipe
from sslrun.training.memory import check_memory, with_state
from sslrun.views.pipeline import Views

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
