"""Predictors trained by gradient: one linear layer, or two with batch norm and ReLU (BYOL's and SimSiam's).

Initial weights come from the caller's generator. `projections.py` has the constraints that may follow every step,
`base.py` what a step asks of a predictor.
"""

import torch
from torch import Tensor, nn

from sslrun.networks.predictors.base import Predictor, linear_layer


class TrainedPredictor(Predictor):
    """Layers that the optimiser trains; nothing is observed."""

    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, z_ND: Tensor) -> Tensor:
        """The layers, one after the other."""
        p_ND: Tensor = self.layers(z_ND)
        return p_ND

    @property
    def matrix_DD(self) -> Tensor | None:
        """The weight of the one linear layer, detached; None if there are two."""
        first = self.layers[0]
        return first.weight.detach() if len(self.layers) == 1 and isinstance(first, nn.Linear) else None


def one_layer(dim: int, bias: bool, generator: torch.Generator) -> nn.Sequential:
    """Linear D→D."""
    return nn.Sequential(linear_layer(dim, dim, bias, generator))


def two_layers(dim: int, hidden: int, bias: bool, affine: bool, generator: torch.Generator) -> nn.Sequential:
    """Linear D→hidden, BatchNorm1d, ReLU, Linear hidden→D."""
    return nn.Sequential(
        linear_layer(dim, hidden, bias, generator),
        nn.BatchNorm1d(hidden, affine=affine),
        nn.ReLU(inplace=True),
        linear_layer(hidden, dim, bias, generator),
    )
