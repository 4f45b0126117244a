"""Cosine similarities of features, some rows at a time, and the nearest by them.

kNN, the nearest neighbour of udg.py and the purities are made of these.

Shapes: N and M images, B images of a chunk, D features, K neighbours.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

_MOST_SIMILARITIES = 2**25  # elements of one chunk's similarity matrix: 128 MiB of float32


def similarities(h_MD: Tensor, others_ND: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """The rows of each chunk, and their cosine similarities s_BN to all others; a vector of zeros has 0 to all."""
    h_MD, others_ND = unit(h_MD), unit(others_ND)
    size = max(1, _MOST_SIMILARITIES // len(others_ND))
    for start in range(0, len(h_MD), size):
        rows = slice(start, start + size)
        yield rows, h_MD[rows] @ others_ND.T


def unit(h_ND: Tensor) -> Tensor:
    """Rows of length 1; rows of zeros stay. Divided by their largest entry first, so that no square can overflow."""
    tiny = torch.finfo(h_ND.dtype).tiny
    h_ND = h_ND / h_ND.abs().amax(1, keepdim=True).clamp_min(tiny)
    lengths_N1: Tensor = torch.linalg.vector_norm(h_ND, dim=1, keepdim=True)
    return h_ND / lengths_N1.clamp_min(tiny)


def nearest(s_BN: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The `k` largest similarities a row, falling, and where they are; ties at the k-th place go to the first."""
    s_BK, nearest_BK = s_BN.topk(min(k + 1, s_BN.shape[1]), dim=1)
    if s_BK.shape[1] > k and bool((s_BK[:, k - 1] == s_BK[:, k]).any()):
        last_B1 = s_BK[:, k - 1 : k]
        above_BN, tied_BN = s_BN > last_B1, s_BN == last_B1
        places_B1 = k - above_BN.sum(1, keepdim=True)
        taken_BN = above_BN | (tied_BN & (tied_BN.cumsum(1) <= places_B1))
        s_BK, nearest_BK = s_BN.masked_fill(~taken_BN, -torch.inf).topk(k, dim=1)
    return s_BK[:, :k], nearest_BK[:, :k]
