"""The memory that training takes at the least, told before anything is built: networks, state, one batch of views.

Networks are made on torch's meta device, where they have shapes and no numbers, so that any method's count. What a
step keeps for its backward pass comes on top: `sslrun doctor RECIPE` estimates it.
"""

import math

import torch
from torch import nn

from sslrun.errors import InputError
from sslrun.limits import free_bytes
from sslrun.methods import Method, build_encoder, build_method, set_up
from sslrun.recipe.schema import Recipe


def check_memory(recipe: Recipe, shape: tuple[int, ...], count: int, device: torch.device) -> None:
    """Raise `InputError`, naming the largest part, where training can't fit into what is free of the device's memory.

    `shape` is that of a stored image or vector, `count` how many there are.
    """
    parts = memory_parts(recipe, shape, count)
    needed, free = sum(parts.values()), free_bytes(device)
    if needed <= free:
        return
    listed = ", ".join(f"{part} {_gb(size)}" for part, size in parts.items() if size >= 0.01 * needed)
    largest = max(parts, key=lambda part: parts[part])
    option = _OPTIONS.get(largest, "method")
    raise InputError(
        f"training takes {_gb(needed)} of memory or more ({listed}); {_gb(free)} are free on {device}",
        where=option,
        remedy=f"Most of it is the {largest}: {option} says how large that is.",
    )


_OPTIONS = {
    "online network": "network",
    "target network": "network",
    "predictor": "method.predictor",
    "batch's views": "training.batch_size",
    "steps' learning rates": "training.epochs",
}
_WORDS = {"online": "online network", "target": "target network"}


def memory_parts(recipe: Recipe, shape: tuple[int, ...], count: int) -> dict[str, int]:
    """Bytes by part: each network of the method with its gradients and its optimiser's state, and what else there is
    of one batch and of each step."""
    method = meta_method(recipe, shape[0])
    parts = {_WORDS.get(name, name): with_state(part, recipe) for name, part in method.named_children()}
    parts["rest of the method"] = with_state(method, recipe) - sum(parts.values())
    batch = max(1, min(recipe.training.batch_size, count))
    pixels = recipe.views.count * shape[0] * math.prod([recipe.views.size] * 2 if recipe.views.size else shape[1:])
    parts["batch's views"] = 4 * batch * pixels
    parts["steps' learning rates"] = 8 * recipe.training.epochs * math.ceil(count / batch)
    return parts


def meta_method(recipe: Recipe, channels: int) -> Method:
    """The recipe's method for images of so many channels, without its numbers."""
    with torch.device("meta"):
        setup = set_up(recipe, build_encoder(recipe, channels), channels, 1, torch.device("cpu"))
        return build_method(recipe.method, setup)


def with_state(module: nn.Module, recipe: Recipe) -> int:
    """Bytes of a module with its gradients and its optimiser's state."""
    states = 2 if recipe.optimizer.network.kind == "adamw" else 1
    own = sum(tensor.nbytes for tensor in (*module.parameters(), *module.buffers()))
    return own + (1 + states) * sum(parameter.nbytes for parameter in module.parameters() if parameter.requires_grad)


def _gb(size: float) -> str:
    return f"{size / 1e9:,.1f} GB"
