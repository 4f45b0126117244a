"""From the recipe's predictor section to the predictor: the only place that knows both.

Stands on `sslrun.recipe.schema.predictor` (the options and their manual) and on the rules beside this file.
"""

import torch

from sslrun.networks.predictors.base import NoPredictor, Predictor
from sslrun.networks.predictors.correlation import DirectPred
from sslrun.networks.predictors.trained import TrainedPredictor, one_layer, two_layers
from sslrun.recipe.schema import predictor as schema


def build_predictor(section: schema.Predictor, dim: int, generator: torch.Generator) -> Predictor:
    """The recipe's predictor on `dim` projector outputs, on the CPU, with initial weights drawn from `generator`."""
    match section:
        case schema.NoPredictor():
            return NoPredictor()
        case schema.LinearPredictor():
            return TrainedPredictor(one_layer(dim, section.bias, generator))
        case schema.MlpPredictor():
            return TrainedPredictor(two_layers(dim, section.hidden, section.bias, section.affine, generator))
        case schema.DirectPredictor():
            return DirectPred(dim, generator, **section.model_dump(exclude={"kind"}))
