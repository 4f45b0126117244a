"""Predictors trained by gradient and put back under a constraint after every optimiser step, in place.

From the authors' code of arXiv 2102.06810 (the paper's Tables 3 and 5 use the symmetric ones). There, a matrix is
added to its own transpose in place, which older PyTorch got silently wrong and newer refuses; here it is done as meant.
Stands on `trained.py`. Shapes: D projector outputs, H hidden units.
"""

import torch
from torch import Tensor

from sslrun.networks.predictors.base import Predictor, build_predictor
from sslrun.networks.predictors.trained import TrainedPredictor, one_layer, two_layers
from sslrun.recipe.schema import predictor as schema


def symmetric(W_DD: Tensor) -> None:
    """W ← (W + Wᵀ) / 2."""
    W_DD.copy_((W_DD + W_DD.T) / 2)


def symmetric_norm(W_DD: Tensor) -> None:
    """`symmetric`, then divided by the largest eigenvalue if that exceeds 0.01 in magnitude.

    As in the code it is the largest with its sign: were all eigenvalues negative, W would change sign.
    """
    symmetric(W_DD)
    # MPS has no eigensolver.
    largest = torch.linalg.eigvalsh(W_DD.cpu() if W_DD.device.type == "mps" else W_DD)[-1].to(W_DD)
    W_DD.div_(torch.where(largest.abs() > 1e-2, largest, 1.0))


def diagonal(W_DD: Tensor) -> None:
    """Everything off the diagonal ← 0."""
    W_DD.copy_(torch.diag(W_DD.diagonal()))


def tied(W1_HD: Tensor, W2_DH: Tensor) -> None:
    """Two layers: W1 ← A and W2 ← Aᵀ, A = (W1 + W2ᵀ) / 2."""
    A_HD = (W1_HD + W2_DH.T) / 2
    W1_HD.copy_(A_HD)
    W2_DH.copy_(A_HD.T)


def tied_row_norm(W1_HD: Tensor, W2_DH: Tensor) -> None:
    """`tied`, with each row of A scaled to unit norm."""
    tied(W1_HD, W2_DH)
    W1_HD.div_(W1_HD.norm(dim=1, keepdim=True).clamp(min=torch.finfo(W1_HD.dtype).tiny))
    W2_DH.copy_(W1_HD.T)


@build_predictor.register
def build_symmetric(section: schema.SymmetricPredictor, dim: int, generator: torch.Generator) -> Predictor:
    """One layer kept symmetric, or two kept tied."""
    if section.layers == 1:
        return TrainedPredictor(section, one_layer(section.bias, dim, generator), symmetric)
    return TrainedPredictor(section, two_layers(section, section.bias, dim, generator), tied)


@build_predictor.register
def build_symmetric_norm(section: schema.SymmetricNormPredictor, dim: int, generator: torch.Generator) -> Predictor:
    """One layer kept symmetric and of unit spectral norm."""
    return TrainedPredictor(section, one_layer(section.bias, dim, generator), symmetric_norm, waits=True)


@build_predictor.register
def build_row_norm(section: schema.SymmetricRowNormPredictor, dim: int, generator: torch.Generator) -> Predictor:
    """Two tied layers with rows of unit norm."""
    return TrainedPredictor(section, two_layers(section, section.bias, dim, generator), tied_row_norm)


@build_predictor.register
def build_diagonal(section: schema.DiagonalPredictor, dim: int, generator: torch.Generator) -> Predictor:
    """One layer kept diagonal."""
    return TrainedPredictor(section, one_layer(section.bias, dim, generator), diagonal)
