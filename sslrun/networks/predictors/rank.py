"""An ablation of the authors' code of arXiv 2102.06810: a W_p of given rank and eigenvalue that knows nothing of F.

It shows what a low-rank predictor does without alignment; the paper has no result from it. Shapes: D outputs, R rank.
"""

import torch
from torch import Tensor

from sslrun.networks.predictors.base import MatrixRule, RandomStream
from sslrun.networks.predictors.projections import symmetric


class RandomSubspace(MatrixRule):
    """W_p = eigenvalue · P + epsilon · I, P the projection onto a random subspace of dimension ⌊rank · D⌋.

    A new subspace after iterations 0, freq, ...; in between the trained W_p is made symmetric. As meant: the code
    takes an inner product for the outer one, so all entries of its W_p are the same number.
    """

    def __init__(
        self,
        dim: int,
        generator: torch.Generator,
        *,
        rank: float = 0.5,
        eigenvalue: float = 0.5,
        epsilon: float = 1e-5,
        freq: int = 1,
    ) -> None:
        super().__init__(dim, freq, generator)
        self.stream = RandomStream(generator)
        self.rank, self.eigenvalue, self.epsilon = int(rank * dim), eigenvalue, epsilon

    def compute_matrix(self) -> Tensor:
        """W_p for a newly drawn subspace."""
        weight = self.layer.weight
        gaussian_DR = torch.randn(len(weight), self.rank, generator=self.stream.generator, dtype=torch.float64)
        Q_DR, _ = torch.linalg.qr(gaussian_DR)
        W_DD: Tensor = self.eigenvalue * (Q_DR @ Q_DR.T) + self.epsilon * torch.eye(len(weight), dtype=torch.float64)
        return W_DD.to(weight.dtype)

    def between_settings(self) -> None:
        """Keep the trained W_p symmetric."""
        symmetric(self.layer.weight)
