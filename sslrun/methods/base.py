"""What the training loop knows of a method: modules, and one step.

A method is the online network and whatever its objective needs beside it. `step` is the whole of training one
batch, written out in the method's own file from top to bottom; the loop adds nothing to its numerics.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from sslrun.networks.predictors import Predictor


def full_precision(z_ND: Tensor) -> Tensor:
    """bfloat16 as float32, wider types as they are: predictor, loss and statistics are never mixed-precision."""
    return z_ND.to(torch.promote_types(z_ND.dtype, torch.float32))


class Updater(Protocol):
    """The optimisers, as a step sees them (see `sslrun.training.optimizers`)."""

    def zero_grad(self) -> None:
        """Forget the gradients of the step before."""

    def step(self, iteration: int, loss: Tensor) -> None:
        """Update the network, then the predictor; leave both alone if `loss` or a gradient is not finite."""


class Method(nn.Module):
    """The `online` network (an encoder, then a projector), what it needs beside, and the step that trains them.

    Each view passes through the networks on its own, in every method, so that batch norm sees one view at a time (with
    `views.style: bss`, one style).
    """

    online: nn.Sequential
    target: nn.Module | None
    predictor: Predictor | None

    def __init__(self, encoder: nn.Module, projector: nn.Module) -> None:
        super().__init__()
        self.online, self.target, self.predictor = nn.Sequential(encoder, projector), None, None

    @property
    def encoder(self) -> nn.Module:
        """The part that is kept and judged."""
        return self.online[0]

    def network_parameters(self) -> Iterator[nn.Parameter]:
        """What the network's optimiser trains; the predictor has its own."""
        return self.online.parameters()

    def step(self, views_NCHW: Sequence[Tensor], iteration: int, optimizers: Updater) -> Tensor:
        """Train on one batch, given as one tensor a view. Returns the loss, detached and still on the device."""
        raise NotImplementedError
