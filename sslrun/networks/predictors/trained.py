"""Predictors trained by gradient: one linear layer, or two with batch norm and ReLU (BYOL's and SimSiam's).

Initial weights come from the caller's generator. `constrained.py` has those that are put back under a constraint after
every step, `base.py` what a step asks of a predictor.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from sslrun.networks.predictors.base import Captured, Predictor, build_predictor, linear_layer
from sslrun.recipe.schema import predictor as schema


class TrainedPredictor(Predictor):
    """Layers that the optimiser trains, and what is done to them after each of its steps; nothing is observed.

    `project` puts the weights of the linear layers back under a constraint (`waits`: making the host wait), then
    `decay` takes its fraction off them (the authors' code forgets it where there is no constraint).
    """

    def __init__(
        self,
        section: schema.Trained,
        layers: nn.Sequential,
        project: Callable[..., None] | None = None,
        *,
        waits: bool = False,
    ) -> None:
        super().__init__()
        self.layers, self.project, self.decay, self.waits = layers, project, section.decay, waits

    @property
    def captured(self) -> Captured:
        """All, but for constraints that make the host wait."""
        return "beside" if self.waits else "whole"

    @property
    def linears(self) -> list[nn.Linear]:
        """The linear layers, in order."""
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]

    def forward(self, z_ND: Tensor) -> Tensor:
        """The layers, one after the other."""
        p_ND: Tensor = self.layers(z_ND)
        return p_ND

    @torch.no_grad()
    def after_step(self, iteration: int) -> None:
        """Project and decay."""
        weights = [linear.weight for linear in self.linears]
        if self.project is not None:
            self.project(*weights)
        if self.decay:
            for weight in weights:
                weight.mul_(1 - self.decay)

    @property
    def matrix_DD(self) -> Tensor | None:
        """The weight of the one linear layer, detached; None if there are two."""
        linears = self.linears
        return linears[0].weight.detach() if len(linears) == 1 else None


def one_layer(bias: bool, dim: int, generator: torch.Generator) -> nn.Sequential:
    """Linear D→D."""
    return nn.Sequential(linear_layer(dim, dim, bias, generator))


def two_layers(section: schema.TwoLayers, bias: bool, dim: int, generator: torch.Generator) -> nn.Sequential:
    """Linear D→hidden, BatchNorm1d, ReLU, Linear hidden→D."""
    return nn.Sequential(
        linear_layer(dim, section.hidden, bias, generator),
        nn.BatchNorm1d(section.hidden, affine=section.affine),
        nn.ReLU(inplace=True),
        linear_layer(section.hidden, dim, bias, generator),
    )


@build_predictor.register
def build_linear(section: schema.LinearPredictor, dim: int, generator: torch.Generator) -> Predictor:
    """One layer."""
    return TrainedPredictor(section, one_layer(section.bias, dim, generator))


@build_predictor.register
def build_mlp(section: schema.MlpPredictor, dim: int, generator: torch.Generator) -> Predictor:
    """Two layers."""
    return TrainedPredictor(section, two_layers(section, section.bias, dim, generator))
