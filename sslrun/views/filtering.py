"""Separable linear filters with weights of their own for every image: what resizing and blurring have in common.

An output row is a weighted sum of a few input rows, which `embedding_bag` does in one pass over the memory: faster
than products with dense matrices and than `grid_sample`. Used by `geometry.py` and `blur.py`.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Filter(NamedTuple):
    """S weighted sums of K rows, for each of N images; where all images share one, the first dimension may be 1."""

    index_NSK: Tensor  # int64, row numbers
    weight_NSK: Tensor  # float32

    def part(self, images: slice) -> "Filter":
        """The filters of some of the images."""
        return Filter(self.index_NSK[images], self.weight_NSK[images])


def filter_rows(x_NCHW: Tensor, filters: Filter) -> Tensor:
    """Mix rows: out[n, c, s] = Σ_k weight[n, s, k] · x[n, c, index[n, s, k]], shape (N, C, S, W)."""
    n, channels, height, width = x_NCHW.shape
    size, taps = filters.weight_NSK.shape[1:]
    first_row_NC = torch.arange(0, n * channels * height, height, device=x_NCHW.device).view(n, channels, 1, 1)
    rows = (filters.index_NSK[:, None] + first_row_NC).view(-1, taps)
    weights = filters.weight_NSK[:, None].expand(n, channels, size, taps).reshape(-1, taps)
    table = x_NCHW.reshape(n * channels * height, width)
    return F.embedding_bag(rows, table, mode="sum", per_sample_weights=weights).view(n, channels, size, width)


def filter_columns(x_NCHW: Tensor, filters: Filter) -> Tensor:
    """Mix columns in the same way; shape (N, C, H, S)."""
    return filter_rows(x_NCHW.transpose(2, 3), filters).transpose(2, 3)
