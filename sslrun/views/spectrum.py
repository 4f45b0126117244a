"""Low-frequency windows of a spectrum, and two exact ways to change the amplitudes inside one.

`style.py` says what they are for. Both ways leave out what the textbook form computes and throws away: real images
need half of the plane, and a new amplitude under the old phase needs a ratio, no angle.
Shapes: N images, C channels, H×W pixels; K = W//2 + 1 columns of the half plane, in the order of `torch.fft.rfft2`.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import floor, pi, sqrt
from typing import Literal, Protocol

import torch
from torch import Tensor

WindowKind = Literal["half", "area"]
"""How an area ratio r becomes a rectangle around frequency zero, both sides scaled by √r.

`half` keeps the frequencies up to half a scaled side away: it is symmetric and holds at least frequency zero (FDA's
window, with √r/2 as its β). `area` has sides of ⌊scaled side⌋ bins (FACT's): nearer to r, but with an even side it is
not symmetric, and empty for the smallest r.
"""
Window = tuple[range, range]
"""The signed frequencies inside, along rows and columns."""


def window_of(size: tuple[int, int], ratio: float, kind: WindowKind) -> Window:
    """The window for an area ratio, cut to the spectrum: empty for ratios of 0 or less, everything for 1."""
    rows, columns = (_axis_window(side, ratio, kind) for side in size)
    return rows, columns


def _axis_window(side: int, ratio: float, kind: WindowKind) -> range:
    if ratio <= 0:
        return range(0)
    scaled = side * sqrt(ratio)
    if kind == "half":
        reach = floor(scaled / 2 + 1e-9)  # 1e-9: an exact product must not fall one short
        first, stop = -reach, reach + 1
    else:
        width = floor(scaled + 1e-9)
        first, stop = -(width // 2), width - width // 2
    return range(max(first, -(side // 2)), min(stop, (side + 1) // 2))


def bounds_of(windows: Sequence[Window]) -> Tensor:
    """First and stop of each window's rows and of its columns, int64 (M, 4): windows for a device."""
    return torch.tensor([[rows.start, rows.stop, columns.start, columns.stop] for rows, columns in windows])


def window_weights(size: tuple[int, int], bounds_M4: Tensor) -> Tensor:
    """How far each amplitude is replaced: w(k) = (M(k) + M(−k)) / 2, with M the window's indicator; (M, 1, H, K).

    A real image has equal amplitudes at k and −k. Where only one of the two is inside, taking the real part of the
    inverse transform leaves the mean of the old and the new amplitude, hence the ½.
    """
    own, mirrored = [], []
    for side, bounds_M2 in zip(size, bounds_M4.split(2, dim=1), strict=True):
        index = torch.arange(side, device=bounds_M4.device)
        frequency = torch.where(index < (side + 1) // 2, index, index - side)
        inside = (frequency >= bounds_M2[:, :1]) & (frequency < bounds_M2[:, 1:])
        own.append(inside)
        mirrored.append(inside[:, -index % side])
    both = [(rows[:, :, None] & columns[:, None]).float() for rows, columns in (own, mirrored)]
    weights_M1HK: Tensor = ((both[0] + both[1]) / 2)[:, None, :, : size[1] // 2 + 1]
    return weights_M1HK


LOW_PART = 0.23  # of the side: up to this highest frequency, matrix products are faster (measured)


class Spectrum(Protocol):
    """A way to transform images, scale their bins and return."""

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """The complex bins that this way works on, (N, C, ...)."""

    def arrange(self, half_NCHK: Tensor) -> Tensor:
        """Values given on the half plane, at the bins of `forward`."""

    def inverse(self, x_NCHW: Tensor, bins: Tensor, ratio: Tensor, weights: Tensor, out_NCHW: Tensor) -> None:
        """Write the images with each bin multiplied by 1 + w·(ratio − 1). `bins`, `forward(x)`, is overwritten."""


class HalfPlane:
    """All bins of the half plane, by fast Fourier transforms."""

    def forward(self, x_NCHW: Tensor) -> Tensor:
        # Rounding is relative to the largest bin, frequency zero: without it the phases of bins near zero, which may
        # come to carry a large amplitude, are about three times as exact.
        mean_NC11 = x_NCHW.mean((2, 3), keepdim=True)
        bins: Tensor = torch.fft.rfft2(x_NCHW - mean_NC11)
        bins[..., 0, 0] += mean_NC11[..., 0, 0] * (x_NCHW.shape[-2] * x_NCHW.shape[-1])
        return bins

    def arrange(self, half_NCHK: Tensor) -> Tensor:
        return half_NCHK

    def inverse(self, x_NCHW: Tensor, bins: Tensor, ratio: Tensor, weights: Tensor, out_NCHW: Tensor) -> None:
        _scale(bins, ratio.mul_(weights).add_(1 - weights))
        torch.fft.irfft2(bins, s=x_NCHW.shape[-2:], out=out_NCHW)  # the size is needed for odd W


class LowBins:
    """Only the bins with |row| ≤ `rows` and |column| ≤ `columns` (both below half the side), by thin matrix products.

    The transform is separable: real products with cosines and sines along the rows, then along the columns, whose
    four combinations give F(k, l) and F(k, −l) for k, l ≥ 0. Bins are (N, C, 2, rows + 1, columns + 1).
    """

    def __init__(self, size: tuple[int, int], rows: int, columns: int, dtype: torch.dtype) -> None:
        self.left_YH = waves(size[0], rows, dtype)
        self.right_WX = waves(size[1], columns, dtype).T.contiguous()
        self.rows, self.columns = rows + 1, columns + 1
        # Every bin counts for itself and its mirror image, except that those at k = 0 and at l = 0 come up twice.
        scale = torch.full((self.rows, self.columns), 2 / (size[0] * size[1]), dtype=dtype)
        scale[0] /= 2
        scale[:, 0] /= 2
        self.scale = scale

    def forward(self, x_NCHW: Tensor) -> Tensor:
        n, c, h, w = x_NCHW.shape
        # Rows first: a product of few rows with a wide image is twice as fast as one of a tall image with few columns.
        planes = (self.left_YH @ x_NCHW.view(n * c, h, w)) @ self.right_WX
        (cc, cs), (sc, ss) = (half.chunk(2, dim=-1) for half in planes.chunk(2, dim=-2))
        bins = torch.stack((torch.complex(cc - ss, -(sc + cs)), torch.complex(cc + ss, cs - sc)), dim=1)
        return bins.view(n, c, 2, self.rows, self.columns)

    def arrange(self, half_NCHK: Tensor) -> Tensor:
        rows = torch.arange(self.rows)
        both = torch.stack((rows, -rows)) % half_NCHK.shape[-2]  # |F(k, −l)| = |F(−k, l)|
        return half_NCHK[..., both, : self.columns]

    def inverse(self, x_NCHW: Tensor, bins: Tensor, ratio: Tensor, weights: Tensor, out_NCHW: Tensor) -> None:
        n, c, h, w = x_NCHW.shape
        weights = weights * self.scale
        _scale(bins, ratio.mul_(weights).sub_(weights))  # the difference alone
        plus, minus = bins.view(n * c, 2, self.rows, self.columns).unbind(1)
        total, difference = plus + minus, minus - plus
        top = torch.cat((total.real, difference.imag), dim=-1)
        bottom = torch.cat((-total.imag, difference.real), dim=-1)
        columns = torch.cat((top, bottom), dim=-2) @ self.right_WX.T
        left = self.left_YH.T.expand(n * c, -1, -1)
        torch.baddbmm(x_NCHW.view(n * c, h, w), left, columns, out=out_NCHW.view(n * c, h, w))


@lru_cache(maxsize=256)
def waves(side: int, highest: int, dtype: torch.dtype) -> Tensor:
    """Cosines, then sines, of the frequencies 0 ... `highest` over `side` pixels; (2·(highest + 1), side)."""
    angle = torch.outer(torch.arange(highest + 1), torch.arange(side)).remainder(side).double() * (2 * pi / side)
    return torch.cat((angle.cos(), angle.sin())).to(dtype)


def _scale(bins: Tensor, gain: Tensor) -> None:
    bins.real.mul_(gain)  # a complex times a real tensor would first make the real one complex
    bins.imag.mul_(gain)


def spectrum_for(
    size: tuple[int, int], windows: Sequence[Window], dtype: torch.dtype, device: torch.device
) -> Spectrum:
    """The faster way for images of `size` and `windows`."""
    highest = [max(max(-inside.start, inside.stop - 1) for inside in axis) for axis in zip(*windows, strict=True)]
    low = all(frequency <= LOW_PART * side for frequency, side in zip(highest, size, strict=True))
    # On a GPU the transforms are fast, and products might be rounded to TF32.
    if low and device.type == "cpu" and _products_are_exact():
        return LowBins(size, highest[0], highest[1], dtype)
    return HalfPlane()


def _products_are_exact() -> bool:
    try:
        return torch.get_float32_matmul_precision() == "highest"
    except RuntimeError:  # set through more than one of torch's interfaces: unknown
        return False
