"""Gaussian blur of a batch, each image with its own standard deviation.

The blur is separable, so it is two passes of `filtering.py`; borders are reflected. Before it comes `colour.py`.
Shapes: N images, C channels, H×W pixels, K taps of the kernel.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sslrun.views.filtering import Filter, filter_columns, filter_rows
from sslrun.views.per_image import Draws, Rows, change_chosen, chosen, on_device, uniform


@dataclass(frozen=True)
class BlurDraws(Draws):
    """Whether each image is blurred (bool) and with what standard deviation in pixels (float32); shape (N,)."""

    chosen_N: Tensor
    sigma_N: Tensor


def draw_blur(n: int, probability: float, sigma: tuple[float, float], generator: torch.Generator) -> BlurDraws:
    """Standard deviations uniform in `sigma`, for images chosen with `probability`."""
    return BlurDraws(chosen(n, probability, generator), uniform((n,), sigma, generator).float())


def gaussian_blur(x_NCHW: Tensor, draws: BlurDraws, kernel: int) -> Tensor:
    """Blur the chosen images with `kernel` taps (odd), as torchvision's gaussian_blur does on single images.

    Raises `ValueError` where an image is too small for the kernel's reflection: a side must exceed `kernel // 2`.
    """
    if kernel // 2 >= min(x_NCHW.shape[2:]):
        raise ValueError(f"a blur with {kernel} taps needs images of at least {kernel // 2 + 1} pixels")
    offset_K = torch.arange(-(kernel // 2), kernel // 2 + 1, device=x_NCHW.device)

    def blur(x_NCHW: Tensor, rows: Rows) -> Tensor:
        sigma_N1 = on_device(draws.sigma_N[rows], x_NCHW.device)[:, None]
        weight_NK = torch.exp(-0.5 * (offset_K / sigma_N1).square())
        weight_NK = weight_NK / weight_NK.sum(dim=1, keepdim=True)
        for filter_axis, side in ((filter_columns, x_NCHW.shape[3]), (filter_rows, x_NCHW.shape[2])):
            filters = Filter(_reflected(offset_K, side), weight_NK[:, None].expand(-1, side, -1))
            x_NCHW = filter_axis(x_NCHW, filters)
        return x_NCHW

    return change_chosen(x_NCHW, draws.chosen_N, blur)


def _reflected(offset_K: Tensor, side: int) -> Tensor:
    """The pixels under the kernel at each of `side` places, (1, side, K); the border itself is not repeated."""
    index_SK = torch.arange(side, device=offset_K.device)[:, None] + offset_K
    return ((side - 1) - ((side - 1) - index_SK.abs()).abs())[None]
