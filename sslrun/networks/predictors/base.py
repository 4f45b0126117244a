"""What every predictor is to a training step: it observes, predicts, and acts on itself after the optimisers.

`build_predictor` makes one from its section of the recipe. The rules that train, set or constrain W_p are in the files
next to this one, one a concept.
Shapes: N samples, D projector outputs (the predictor's inputs, and its outputs), I inputs and O outputs of a layer.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import singledispatch
from typing import Literal

import torch
from torch import Tensor, nn

from sslrun.errors import InputError
from sslrun.recipe import schema

Captured = Literal["never", "beside", "whole"]


class Predictor(nn.Module, ABC):
    """W_p of the theory (arXiv 2102.06810, section 2): from the online output of one view to the target of the other.

    A step calls, in this order: `observe`, the predictor itself, the optimisers, `after_step`. So what is observed in
    an iteration reaches W_p only at its end, unless a predictor says otherwise. All state is in `state_dict()`.
    """

    def observe(self, inputs_ND: Sequence[Tensor], targets_ND: Sequence[Tensor]) -> None:
        """Take in one batch: the detached input of each prediction, and the target output that it is to match."""

    @abstractmethod
    def forward(self, z_ND: Tensor) -> Tensor:
        """The predictions for online outputs `z_ND`."""

    def after_step(self, iteration: int) -> None:
        """Act on the weights, in place, at the end of `iteration` (counted from 0)."""

    @property
    def captured(self) -> Captured:
        """How much of it a CUDA graph of the step may hold: what does the same on the device at every iteration, and
        neither draws on the host nor makes it wait. `beside`: all but `after_step`.
        """
        return "never"

    @property
    def matrix_DD(self) -> Tensor | None:
        """W_p, detached, where the predictor is one linear layer; else None."""
        return None


@singledispatch
def build_predictor(section: schema.Predictor, dim: int, generator: torch.Generator) -> Predictor:
    """The predictor of a section on `dim` projector outputs, on the CPU, with initial weights drawn from `generator`.

    A kind registers its class, or a function, for its section: `@build_predictor.register(DirectPredictor)`. Raises
    `InputError` for a section that none is registered for.
    """
    raise InputError(
        f"no predictor is registered for {type(section).__qualname__}",
        where="method.predictor.kind",
        remedy="Register what builds it with sslrun.networks.predictors.build_predictor.",
    )


@build_predictor.register(schema.NoPredictor)
class NoPredictor(Predictor):
    """W_p = I."""

    def __init__(self, section: schema.NoPredictor, dim: int, generator: torch.Generator) -> None:
        super().__init__()

    @property
    def captured(self) -> Captured:
        """It does nothing."""
        return "whole"

    def forward(self, z_ND: Tensor) -> Tensor:
        """`z_ND` itself."""
        return z_ND


def linear_layer(inputs: int, outputs: int, bias: bool, generator: torch.Generator) -> nn.Linear:
    """A linear layer initialised as PyTorch's own, U(−1/√inputs, 1/√inputs), but drawn from `generator` (CPU)."""
    layer = nn.Linear(inputs, outputs, bias=bias, device="meta")  # draws nothing from the global generator
    layer.to_empty(device=torch.get_default_device())  # none where a network is only measured
    bound = inputs**-0.5
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-bound, bound, generator=generator)
    return layer


class MatrixRule(Predictor):
    """A linear predictor without bias whose W_p a rule sets after iterations 0, freq, 2·freq, ...

    In between, the optimiser's steps stand. W_p is overwritten in place and the optimiser never hears of it: its
    momentum is kept (the authors' code), which with freq 1 has no effect.
    """

    def __init__(self, dim: int, freq: int, generator: torch.Generator) -> None:
        super().__init__()
        self.freq = freq
        self.layer = linear_layer(dim, dim, bias=False, generator=generator)

    @abstractmethod
    def compute_matrix(self) -> Tensor:
        """The rule: W_p (D, D) from what has been observed."""

    @property
    def captured(self) -> Captured:
        """Eigensolvers make the host wait."""
        return "beside"

    def between_settings(self) -> None:
        """What is done to the trained W_p after the other iterations."""

    def forward(self, z_ND: Tensor) -> Tensor:
        """W_p z for each row."""
        p_ND: Tensor = self.layer(z_ND)
        return p_ND

    @torch.no_grad()
    def after_step(self, iteration: int) -> None:
        """Overwrite W_p if `iteration` is a multiple of `freq`; else leave it to `between_settings`."""
        if iteration % self.freq == 0:
            W_DD, weight = self.compute_matrix(), self.layer.weight
            if W_DD.shape != weight.shape:  # which copying would broadcast where it can
                raise InputError(
                    f"gave {tuple(W_DD.shape)} where W_p is {tuple(weight.shape)}",
                    where=f"{type(self).__qualname__}.compute_matrix",
                    remedy="A rule gives all of W_p, (D, D): a row for each of its D outputs.",
                )
            weight.copy_(W_DD)
        else:
            self.between_settings()

    @property
    def matrix_DD(self) -> Tensor | None:
        """W_p, detached."""
        return self.layer.weight.detach()


class RandomStream(nn.Module):
    """Random numbers for a rule that draws while training; their state is part of `state_dict()`."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.generator = torch.Generator()
        self.generator.manual_seed(int(torch.randint(2**62, (), generator=generator, device="cpu")))

    def get_extra_state(self) -> Tensor:
        """The generator's state."""
        return self.generator.get_state()

    def set_extra_state(self, state: Tensor) -> None:
        """Continue from `state`."""
        self.generator.set_state(state.cpu())
