"""What the training loop knows of a method: modules, and one step.

A method is the online network and whatever else its objective needs. `step` is the whole of training one batch,
written out in the method's own file from top to bottom; the loop (`sslrun.training.pretrain`) adds nothing to its
numerics. `build_method` makes one from its section of the recipe.
"""

from collections.abc import Iterator, Sequence
from functools import singledispatch
from typing import Protocol

import torch
from torch import Tensor, nn

from sslrun.errors import InputError
from sslrun.methods.setup import Setup
from sslrun.networks.predictors import Predictor
from sslrun.recipe import schema


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
    """The `online` network (an encoder, then a projector), a `target` network or a `predictor` if it has one, and the
    step that trains them.

    Each view passes through the networks on its own, in every method, so that batch norm sees one view at a time (with
    `views.style: bss`, one style).
    """

    online: nn.Sequential
    target: nn.Module | None
    predictor: Predictor | None
    temperature_of_negatives = 0.2
    """At which their hardness is recorded: SimCLR's default where there are none, so that methods compare."""

    def __init__(self, setup: Setup) -> None:
        super().__init__()
        self.online, self.target, self.predictor = nn.Sequential(setup.encoder, setup.projector), None, None
        self.autocast = setup.autocast

    @property
    def encoder(self) -> nn.Module:
        """The part that is kept and judged."""
        return self.online[0]

    def network_parameters(self) -> Iterator[nn.Parameter]:
        """What the network's optimiser trains: whatever takes a gradient, but for the predictor, which has its own."""
        others = set(self.predictor.parameters()) if self.predictor is not None else set()
        return (parameter for parameter in self.parameters() if parameter.requires_grad and parameter not in others)

    def step(self, views_NCHW: Sequence[Tensor], iteration: int, optimizers: Updater) -> Tensor:
        """Train on one batch, given as one tensor a view. Returns the loss, detached and still on the device."""
        raise NotImplementedError


@singledispatch
def build_method(section: schema.Method, setup: Setup) -> Method:
    """The method of a section, on the CPU.

    A kind registers its class, or a function, for its section: `@build_method.register(SimClr)`. Raises `InputError`
    for a section that none is registered for.
    """
    raise InputError(
        f"no method is registered for {type(section).__qualname__}",
        where="method.kind",
        remedy="Register what builds it with sslrun.methods.build_method.",
    )
