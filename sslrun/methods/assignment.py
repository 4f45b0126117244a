"""Clusters for a batch that are used equally: Sinkhorn-Knopp's iteration, as SwAV and MSN assign targets by it.

Shapes: N samples, K prototypes.
"""

import torch
from torch import Tensor


@torch.no_grad()
def sinkhorn(scores_NK: Tensor, epsilon: float, iterations: int) -> Tensor:
    """Soft assignments (N, K): exp(scores / ε) scaled, in turn, to equal sums over prototypes and over samples.

    Rows sum to 1; columns come the nearer to N / K the more `iterations` (arXiv 2006.09882, section 3.1, and the
    authors' code, whose order this keeps: prototypes first). Worked out in logarithms, so that no ε overflows. The
    result carries no gradient. What leading dimensions hold, (..., N, K), is assigned each on its own.
    """
    q_NK = scores_NK / epsilon
    for _ in range(iterations):
        q_NK = q_NK - q_NK.logsumexp(dim=-2, keepdim=True)
        q_NK = q_NK - q_NK.logsumexp(dim=-1, keepdim=True)
    return q_NK.exp()
