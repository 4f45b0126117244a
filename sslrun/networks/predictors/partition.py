"""A predictor that depends on its input: one DirectPred matrix for each side of each random hyperplane.

From the authors' code of arXiv 2102.06810, which averages the sides' matrices (the paper's text speaks of a sum of
correlations). Stands on `correlation.py`. Shapes: N samples, D projector outputs, K hyperplanes, X = 2·K sides.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from sslrun.networks.predictors.base import Predictor, build_predictor
from sslrun.networks.predictors.correlation import MovingAverage, predictor_from_correlation
from sslrun.recipe import schema


@build_predictor.register(schema.PartitionPredictor)
class Partition(Predictor):
    """p = (mean over hyperplanes of W_p of the sample's side) · z; nothing in it is trained by gradient.

    A sample lies on the positive side of a hyperplane h if h·z is at least its mean over the view's batch. Each side
    keeps its own F; unlike in DirectPred, the matrices include the current batch. A side that is empty in a batch
    keeps its F (the code averages a zero matrix in).
    """

    normals: Tensor  # of the hyperplanes, (D, K)
    W_XDD: Tensor  # the positive sides' matrices, then the negative ones'

    def __init__(self, section: schema.PartitionPredictor, dim: int, generator: torch.Generator) -> None:
        super().__init__()
        self.section, sides = section, 2 * section.hyperplanes
        self.register_buffer("normals", torch.randn(dim, section.hyperplanes, generator=generator))
        self.estimate = MovingAverage(section.rho, (sides, dim, dim), several=True)
        self.register_buffer("W_XDD", torch.eye(dim).repeat(sides, 1, 1))

    def _sides(self, z_ND: Tensor) -> Tensor:
        """(K, N) booleans: which samples of one view lie on each hyperplane's positive side."""
        heights_NK = z_ND.detach() @ self.normals
        return (heights_NK >= heights_NK.mean(dim=0)).T

    @torch.no_grad()
    def observe(self, inputs_ND: Sequence[Tensor], targets_ND: Sequence[Tensor]) -> None:
        """Each side's F takes in its samples of all views; the matrices follow at once."""
        z_ND = torch.cat(list(inputs_ND)).to(self.W_XDD.dtype)
        positive_KN = torch.cat([self._sides(view.to(z_ND.dtype)) for view in inputs_ND], dim=1)
        mask_XN = torch.cat([positive_KN, ~positive_KN]).to(z_ND.dtype)
        count_X = mask_XN.sum(dim=1)
        F_XDD = (mask_XN.unsqueeze(2) * z_ND).mT @ z_ND / count_X.clamp(min=1).view(-1, 1, 1)
        self.estimate.update(F_XDD, valid=count_X > 0)
        F_XDD, rule = self.estimate.value, self.section
        self.W_XDD.copy_(
            predictor_from_correlation(
                F_XDD, rule.exponent, rule.epsilon, rule.floor, epsilon_inside=rule.epsilon_inside
            )
        )

    def forward(self, z_ND: Tensor) -> Tensor:
        """The predictions for one view's outputs; each sample's side is relative to this batch's mean."""
        positive_NKD, negative_NKD = torch.einsum("xij,nj->nxi", self.W_XDD, z_ND).chunk(2, dim=1)
        return torch.where(self._sides(z_ND).T.unsqueeze(2), positive_NKD, negative_NKD).mean(dim=1)
