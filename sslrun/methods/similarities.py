"""How hard the negatives are, and whether style makes them so: pure functions of projector outputs.

A batch is a grid of N images (rows) and V views (columns); with `views.style: bss` (arXiv 2303.06088) a column has one
style. The negatives of an anchor are all views of the other images, whatever the method does with them.
`sslrun.training.negatives` records them. Shapes: V views, N images, D projector outputs.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Hardness(NamedTuple):
    """Cosine similarities of anchors and their negatives, averaged over all anchors; scalars."""

    own_column: Tensor
    """Mean over the negatives in the anchor's column: the same view of other images."""
    other_columns: Tensor
    """Mean over the negatives in the other columns."""
    percentile_95: Tensor
    """An anchor's 95th percentile, interpolated linearly."""
    largest: Tensor
    """An anchor's largest."""
    negative_mass: Tensor
    """1 − p⁺: the softmax's part that all negatives take from a positive, averaged over the pairs."""


def hardness(z_VND: Tensor, temperature: float) -> Hardness:
    """The hardness of the negatives of V ≥ 2 views of N ≥ 2 images.

    With s a similarity over `temperature`, p⁺ = e^{s⁺} / (e^{s⁺} + Σ e^{s}), the sum over the anchor's negatives.
    """
    columns = [_column(z_VND, view, temperature) for view in range(len(z_VND))]
    return Hardness(*torch.stack(columns).mean(dim=0))


def style_gap(z_VND: Tensor, domains_N: Tensor) -> Tensor:
    """Mean similarity of negatives of the anchor's domain, less that of the others; 0 where domains don't matter.

    Over all columns. Images without a domain (−1) are left out. NaN where one of the two sorts is missing.
    """
    unit_VND = F.normalize(z_VND[:, domains_N >= 0].double(), dim=2)
    domains_N = domains_N[domains_N >= 0]
    # Sums over columns first: the mean over columns of both sides is the similarity of the mean outputs.
    mean_ND = unit_VND.mean(dim=0)
    s_NN = mean_ND @ mean_ND.T
    same_NN = domains_N[:, None] == domains_N
    apart_NN = ~torch.eye(len(domains_N), dtype=torch.bool, device=s_NN.device)
    return s_NN[same_NN & apart_NN].mean() - s_NN[~same_NN].mean()


def _column(z_VND: Tensor, view: int, temperature: float) -> Tensor:
    """`Hardness` of the anchors of one view, as a vector of its numbers."""
    unit_VND = F.normalize(z_VND.double(), dim=2)
    views, n, _ = unit_VND.shape
    s_NNV = torch.einsum("nd,vmd->nmv", unit_VND[view], unit_VND)
    apart_NN = ~torch.eye(n, dtype=torch.bool, device=s_NNV.device)
    negative_NMV = s_NNV[apart_NN].view(n, n - 1, views)
    others = [other for other in range(views) if other != view]
    against_N1 = (negative_NMV / temperature).flatten(1).logsumexp(dim=1, keepdim=True)
    positive_NV = s_NNV.diagonal().T[:, others] / temperature
    found = Hardness(
        own_column=negative_NMV[..., view].mean(),
        other_columns=negative_NMV[..., others].mean(),
        percentile_95=negative_NMV.flatten(1).quantile(0.95, dim=1).mean(),
        largest=negative_NMV.amax(dim=(1, 2)).mean(),
        negative_mass=(against_N1 - positive_NV).sigmoid().mean(),
    )
    return torch.stack(found)
