"""The moving target: a copy of the online network that follows it, θ_a ← m·θ_a + (1 − m)·θ.

Parameters only: the target's batch norms keep statistics of what the target itself sees, as in the DirectPred code.
The step that calls this, after the optimisers and the predictor's rule, is in methods/noncontrastive.py.
"""

import copy
import math
from typing import TypeVar

import torch
from torch import Tensor, nn

from sslrun.networks.iteration import Iteration
from sslrun.recipe.schema import ConstantEma, Ema, NoEma

M = TypeVar("M", bound=nn.Module)


def copy_of(module: M) -> M:
    """A deep copy of `module` (parameters and buffers) that takes no gradient."""
    twin = copy.deepcopy(module)
    twin.requires_grad_(False)
    return twin


@torch.no_grad()
def ema_update(target: nn.Module, online: nn.Module, momentum: float | Tensor) -> None:
    """Move the parameters of `target` to momentum · target + (1 − momentum) · online, in place.

    Fused calls on the device, where `momentum` lies if it is a tensor. Raises `ValueError` if the two networks do not
    have the same parameters.
    """
    theirs, ours = dict(target.named_parameters()), dict(online.named_parameters())
    if theirs.keys() != ours.keys():
        raise ValueError("target and online have different parameters")
    following: list[Tensor] = [*theirs.values()]
    followed: list[Tensor] = [ours[name] for name in theirs]
    if isinstance(momentum, Tensor):
        way = list(torch._foreach_sub(followed, following))
        torch._foreach_mul_(way, (1.0 - momentum).to(way[0]))
        torch._foreach_add_(following, way)
    elif following:
        torch._foreach_lerp_(following, followed, 1.0 - momentum)


def ema_momentum(section: Ema, step: int, total_steps: int) -> float | Tensor:
    """The momentum m at `step` k of `total_steps` K.

    `none` is 0, `constant` is m; `cosine` is 1 − (1 − m)·(cos(πk/K) + 1)/2, from m at k = 0 to 1 at k = K
    (BYOL, arXiv 2006.07733), on the device where the step's number is there.
    """
    if isinstance(section, NoEma):
        return 0.0
    if isinstance(section, ConstantEma):
        return section.momentum
    if isinstance(step, Iteration):
        return 1.0 - (1.0 - section.momentum) * (torch.cos(math.pi * step.on_device / total_steps) + 1.0) / 2.0
    return 1.0 - (1.0 - section.momentum) * (math.cos(math.pi * step / total_steps) + 1.0) / 2.0
