"""What the training loop knows of a method: modules, and one step.

A method is the online network and whatever else its objective needs. `step` is the whole of training one batch,
written out in the method's own file from top to bottom; the loop (`sslrun.training.pretrain`) adds nothing to its
numerics. `build_method` makes one from its section of the recipe.
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Sequence
from functools import singledispatch
from itertools import groupby
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


class Method(nn.Module, ABC):
    """The `online` network (an encoder, then a projector), a `target` network or a `predictor` if it has one, and the
    step that trains them.
    """

    online: nn.Sequential
    target: nn.Sequential | None
    predictor: Predictor | None
    temperature_of_negatives = 0.2
    """At which their hardness is recorded: SimCLR's default where there are none, so that methods compare."""

    def __init__(self, setup: Setup) -> None:
        super().__init__()
        self.online, self.target, self.predictor = nn.Sequential(setup.encoder, setup.projector), None, None
        self.autocast, self.together, self.group = setup.autocast, setup.together, setup.group

    @property
    def encoder(self) -> nn.Module:
        """The part that is kept and judged."""
        return self.online[0]

    def network_parameters(self) -> Iterator[nn.Parameter]:
        """What the network's optimiser trains: whatever takes a gradient, but for the predictor, which has its own."""
        others = set(self.predictor.parameters()) if self.predictor is not None else set()
        return (parameter for parameter in self.parameters() if parameter.requires_grad and parameter not in others)

    def outputs(self, network: nn.Sequential, views_NCHW: Sequence[Tensor]) -> list[Tensor]:
        """The outputs (N, D) of `network`, encoder and projector, for each view, in full precision.

        Where several processes train, each gives its part of every view and gets the outputs of the whole batch.
        Apart, each view passes on its own: batch norm sees one view at a time (with `views.style: bss`, one style).
        Together, those of one size pass through the encoder at once, as in the published codes of SimCLR and SwAV.
        """
        encoder, projector = network
        if not self.together:
            return self.projections(projector, [encoder(x_NCHW) for x_NCHW in views_NCHW])
        by_size = groupby(views_NCHW, key=lambda x_NCHW: x_NCHW.shape[2:])
        groups = [list(group) for _, group in by_size]
        features = [h_NF for group in groups for h_NF in encoder(torch.cat(group)).chunk(len(group))]
        return self.projections(projector, features)

    def projections(self, projector: nn.Module, features: Sequence[Tensor]) -> list[Tensor]:
        """A projector's outputs (N, D) for the features of each view, each on its own or all together."""
        if not self.together:
            parts = [full_precision(projector(h_NF)) for h_NF in features]
        else:
            parts = list(full_precision(projector(torch.cat(list(features)))).chunk(len(features)))
        return [self.group.gather(z_ND) for z_ND in parts]

    def phase(self, iteration: int) -> Hashable:
        """Steps of one phase do the same work on the device and can be replayed (`sslrun.training.capture`). None if
        it is the host that decides, or waits.
        """
        return None

    @abstractmethod
    def step(self, views_NCHW: Sequence[Tensor], iteration: int, optimizers: Updater) -> Tensor:
        """Train on one batch, given as one tensor a view. Returns the loss, detached and still on the device."""


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
