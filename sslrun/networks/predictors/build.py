"""From the recipe's predictor section to the predictor: the only place that knows both.

Stands on `sslrun.recipe.schema.predictor` (the options and their manual) and on the rules beside this file.
"""

from collections.abc import Callable

import torch
from torch import nn

from sslrun.networks.predictors import projections
from sslrun.networks.predictors.base import NoPredictor, Predictor
from sslrun.networks.predictors.correlation import DirectPred
from sslrun.networks.predictors.directset import DirectCopy, DirectSet
from sslrun.networks.predictors.optimal import MinimalSpace, Solve
from sslrun.networks.predictors.partition import Partition
from sslrun.networks.predictors.rank import RandomSubspace
from sslrun.networks.predictors.trained import Restarts, TrainedPredictor, one_layer, two_layers
from sslrun.recipe.schema import predictor as schema


def build_predictor(section: schema.Predictor, dim: int, generator: torch.Generator) -> Predictor:
    """The recipe's predictor on `dim` projector outputs, on the CPU, with initial weights drawn from `generator`."""

    def single(bias: bool) -> nn.Sequential:
        return one_layer(dim, bias, generator)

    def double(section: schema.TwoLayers, bias: bool) -> nn.Sequential:
        return two_layers(dim, section.hidden, bias, section.affine, generator)

    def trained(
        section: schema.Trained, layers: nn.Sequential, project: Callable[..., None] | None = None
    ) -> TrainedPredictor:
        restarts = None
        if section.restart_every is not None:
            chosen = {"all": slice(None), "first": slice(0, 1), "last": slice(1, None)}
            which = section.restart_layers if isinstance(section, schema.TwoLayers) else "all"
            restarts = Restarts(section.restart_every, chosen[which], generator)
        return TrainedPredictor(layers, project=project, decay=section.decay, restarts=restarts)

    options = section.model_dump(exclude={"kind"})
    match section:
        case schema.NoPredictor():
            return NoPredictor()
        case schema.LinearPredictor():
            return trained(section, single(section.bias))
        case schema.MlpPredictor():
            return trained(section, double(section, section.bias))
        case schema.SymmetricPredictor(layers=1):
            return trained(section, single(section.bias), projections.symmetric)
        case schema.SymmetricPredictor():
            return trained(section, double(section, section.bias), projections.tied)
        case schema.SymmetricNormPredictor():
            return trained(section, single(section.bias), projections.symmetric_norm)
        case schema.SymmetricRowNormPredictor():
            return trained(section, double(section, section.bias), projections.tied_row_norm)
        case schema.DiagonalPredictor():
            return trained(section, single(section.bias), projections.diagonal)
        case schema.DirectPredictor():
            return DirectPred(dim, generator, **options)
        case schema.OffsetPredictor():
            # √max(s − c, 0) is DirectPred's rule with −c inside the root (our inference; the code names no option c).
            offset = options.pop("offset")
            return DirectPred(dim, generator, epsilon=-offset, epsilon_inside=True, **options)
        case schema.DirectSetPredictor():
            return DirectSet(dim, generator, **options)
        case schema.DirectCopyPredictor():
            return DirectCopy(dim, generator, **options)
        case schema.SolvePredictor():
            return Solve(dim, generator, **options)
        case schema.MinimalSpacePredictor():
            return MinimalSpace(dim, generator, **options)
        case schema.PartitionPredictor():
            return Partition(dim, generator, **options)
        case schema.RankPredictor():
            return RandomSubspace(dim, generator, **options)
    raise TypeError(f"no predictor of kind {section.kind}")
