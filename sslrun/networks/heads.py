"""The projector: from the encoder's features h_ND to the space of the loss, z_Nd.

Built from the recipe's section; its weights start as PyTorch starts linear layers, from a seed of its own.
Predictors, which stand on top of it, are in networks/predictors/.
"""

import torch
from torch import nn

from sslrun.recipe.schema import Projector as ProjectorSection


class Projector(nn.Sequential):
    """Layers from features to z_Nd with d = `out_dim`; without any layer it is the identity."""

    def __init__(self, *layers: nn.Module, out_dim: int) -> None:
        super().__init__(*layers)
        self.out_dim = out_dim


def build_projector(section: ProjectorSection, in_dim: int, seed: int) -> Projector:
    """The recipe's projector for features of `in_dim` dimensions, with weights drawn from `seed`.

    `mlp` is that of the DirectPred code (arXiv 2102.06810): Linear, BatchNorm1d, ReLU, ..., Linear, all with biases;
    or with layer norms or nothing in their place.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if section.kind == "none":
            return Projector(out_dim=in_dim)
        if section.kind == "linear":
            return Projector(nn.Linear(in_dim, section.out, bias=False), out_dim=section.out)
        layers: list[nn.Module] = []
        width = in_dim
        for _ in range(section.layers - 1):
            layers.append(nn.Linear(width, section.hidden))
            if section.norm == "batch":
                layers.append(nn.BatchNorm1d(section.hidden, affine=section.affine))
            elif section.norm == "layer":
                layers.append(nn.LayerNorm(section.hidden, elementwise_affine=section.affine))
            layers.append(nn.ReLU(inplace=True))
            width = section.hidden
        return Projector(*layers, nn.Linear(width, section.out), out_dim=section.out)
