"""LARS (arXiv 1708.03888): SGD whose step on each weight tensor is scaled to the tensor's own norm."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer


class Lars(Optimizer):
    """g ← g + decay·w;  g ← g · trust·|w| / |g|;  v ← momentum·v + g;  w ← w − lr·v.

    The scaling holds for tensors of a group with `scale=True` and is 1 where |w| or |g| is 0, as in the code of
    SimSiam, BYOL and SwAV. `found_inf` (a tensor that is 1 after a non-finite gradient) masks the update, as it
    does in torch's fused optimisers.
    """

    found_inf: Tensor | None = None

    def __init__(
        self,
        params: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust: float = 1e-3,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust, "scale": True}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # no closure here
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                gradient = weight.grad.add(weight, alpha=group["weight_decay"])
                if group["scale"]:
                    norm, length = weight.norm(), gradient.norm()
                    ratio = group["trust"] * norm / length
                    gradient = gradient * torch.where((norm > 0) & (length > 0), ratio, torch.ones_like(ratio))
                state = self.state[weight]
                velocity = state.setdefault("momentum_buffer", torch.zeros_like(weight))
                velocity.mul_(group["momentum"]).add_(gradient)
                update = group["lr"] * velocity
                if self.found_inf is not None:
                    update = torch.where(self.found_inf > 0, torch.zeros_like(update), update)
                weight.sub_(update)
