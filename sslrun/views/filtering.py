"""Separable linear filters with weights of their own for every image: what resizing and blurring have in common.

An output row is a weighted sum of a few input rows, which `embedding_bag` does in one pass over the memory: faster
than products with dense matrices and than `grid_sample`. Used by `geometry.py` and `blur.py`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def filter_rows(x_NCHW: Tensor, index_NSK: Tensor, weight_NSK: Tensor) -> Tensor:
    """Mix rows: out[n, c, s] = Σ_k weight[n, s, k] · x[n, c, index[n, s, k]], shape (N, C, S, W).

    `index_NSK` holds row numbers in [0, H); its first dimension may be 1 where all images share it.
    """
    n, channels, height, width = x_NCHW.shape
    size, taps = weight_NSK.shape[1:]
    first_row_NC = torch.arange(0, n * channels * height, height, device=x_NCHW.device).view(n, channels, 1, 1)
    rows = (index_NSK[:, None] + first_row_NC).view(-1, taps)
    weights = weight_NSK[:, None].expand(n, channels, size, taps).reshape(-1, taps)
    table = x_NCHW.reshape(n * channels * height, width)
    return F.embedding_bag(rows, table, mode="sum", per_sample_weights=weights).view(n, channels, size, width)


def filter_columns(x_NCHW: Tensor, index_NSK: Tensor, weight_NSK: Tensor) -> Tensor:
    """Mix columns in the same way; shape (N, C, H, S)."""
    return filter_rows(x_NCHW.transpose(2, 3), index_NSK, weight_NSK).transpose(2, 3)
