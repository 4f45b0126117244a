"""A tiny network written out in plain tensors, its batches, and SGD by hand: what tests of whole steps compare with."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from sslrun.methods import Method, Setup
from sslrun.networks.heads import Projector
from sslrun.recipe.schema import Optimizer, Optimizers
from sslrun.training.optimizers import Updates

STEPS, N, INPUTS, HIDDEN, D = 6, 16, 7, 9, 5
LR, MOMENTUM, DECAY = 0.05, 0.9, 4e-3


def network(seed: int) -> tuple[nn.Module, Projector]:
    """An encoder with batch norm and a linear projector, in float64."""
    torch.manual_seed(seed)
    encoder = nn.Sequential(nn.Linear(INPUTS, HIDDEN), nn.BatchNorm1d(HIDDEN), nn.ReLU())
    return encoder.double(), Projector(nn.Linear(HIDDEN, D), out_dim=D).double()


def setup(**numbers: Any) -> Setup:
    """What methods are made of here: `network(1)`, and `network(2)` where one is drawn independently."""
    return Setup(*network(1), lambda: network(2), **numbers)


def forward(weights: dict[str, Tensor], x: Tensor) -> Tensor:
    """What `network` computes of one view in training mode."""
    h = x @ weights["0.0.weight"].T + weights["0.0.bias"]
    h = (h - h.mean(0)) / (h.var(0, unbiased=False) + 1e-5).sqrt()
    h = (h * weights["0.1.weight"] + weights["0.1.bias"]).clamp(min=0)
    return h @ weights["1.0.weight"].T + weights["1.0.bias"]


def views(seed: int, count: int, steps: int = STEPS) -> list[list[Tensor]]:
    """`count` noisy views of a batch of vectors, for every step."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(steps, N, INPUTS, generator=generator, dtype=torch.float64)
    noise = torch.randn(steps, count, N, INPUTS, generator=generator, dtype=torch.float64)
    return [[x[n] + 0.3 * noise[n, view] for view in range(count)] for n in range(steps)]


def parameters(module: nn.Module) -> dict[str, Tensor]:
    """Copies of a module's parameters by name."""
    return {name: value.detach().clone() for name, value in module.named_parameters()}


def updates_for(method: Method, steps: int = STEPS) -> Updates:
    """The project's optimiser with the settings of `gradient_step`."""
    sgd = Optimizer(kind="sgd", lr=LR, momentum=MOMENTUM, weight_decay=DECAY)
    return Updates(method, Optimizers(network=sgd), [1.0] * steps, torch.device("cpu"))


def gradient_step(loss: Tensor, live: dict[str, Tensor], velocity: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights after one step of SGD with momentum and decay on `loss`; `velocity` is updated in place."""
    gradients = torch.autograd.grad(loss, list(live.values()))
    after = {}
    for (name, value), gradient in zip(live.items(), gradients, strict=True):
        value = value.detach()
        moved = gradient + DECAY * value
        velocity[name] = MOMENTUM * velocity[name] + moved if name in velocity else moved
        after[name] = value - LR * velocity[name]
    return after


def assert_resumes_in_the_middle(make: Callable[[], Method], batches: list[list[Tensor]], at: int) -> None:
    """That training interrupted after `at` steps and taken up by a new method ends with the same bits."""
    whole, resumed = make(), make()
    updates, later = updates_for(whole), updates_for(resumed)
    for n, batch in enumerate(batches):
        if n == at:
            kept = copy.deepcopy((whole.state_dict(), updates.state_dict()))
        whole.step(batch, n, updates)
    resumed.load_state_dict(kept[0])
    later.load_state_dict(kept[1])
    for n in range(at, len(batches)):
        resumed.step(batches[n], n, later)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
