"""Fourier styles: low-frequency amplitudes are replaced by another image's, phases (the content) are kept.

BSS (arXiv 2303.06088) gives all images of a view the style of one of them; FA gives each image another one's. Works
on float images in [0, 1], after cropping and before normalisation: a value shifted by a mean hides its sign in the
phase. `spectrum.py` has the windows and the fast transforms; the recipe's options are in `recipe/schema/style.py`.
Shapes: N images, C channels, H×W pixels; K = W//2 + 1 columns of the half plane.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

import torch
from torch import Tensor

from sslrun.errors import InputError
from sslrun.views.per_image import Draws, cache_sized, chosen, on_device, uniform
from sslrun.views.spectrum import (
    HalfPlane,
    Spectrum,
    Window,
    WindowKind,
    bounds_of,
    spectrum_for,
    window_of,
    window_weights,
)

TINY = 1e-18  # far below the rounding of any bin, and its square is still a float32


@dataclass(frozen=True)
class StyleDraws(Draws):
    """Which image's style is taken, and how much of it: scalars for a whole view (BSS), or vectors (N,) (FA, and BSS
    with several styles a view).

    A ratio of 0 means "not applied".
    """

    reference: int | Tensor
    ratio: float | Tensor

    def part(self, rows: slice | Tensor) -> Self:
        """Itself: references point into the whole batch, so that a style is applied to all of it at once."""
        return self

    def of(self, rows_M: Tensor) -> tuple[Tensor, Self]:
        """These rows of the batch and, after them, the images outside that they take their styles from; and the
        styles with references into what comes out. An image outside keeps its own style.
        """
        if not isinstance(self.reference, Tensor) or not isinstance(self.ratio, Tensor):
            references = torch.tensor([self.reference])
        else:
            references = self.reference[rows_M]
        outside = references[~torch.isin(references, rows_M)].unique()
        kept_M = torch.cat([rows_M, outside])
        place = {int(image): index for index, image in enumerate(kept_M)}
        if not isinstance(self.reference, Tensor) or not isinstance(self.ratio, Tensor):
            return kept_M, replace(self, reference=place[int(references)])
        own = torch.arange(len(rows_M), len(kept_M))
        reference_M = torch.cat([torch.tensor([place[int(image)] for image in references]).long(), own])
        return kept_M, replace(
            self, reference=reference_M, ratio=torch.cat([self.ratio[rows_M], torch.zeros(len(own))])
        )


@dataclass(frozen=True)
class DeviceStyle(Draws):
    """What `StyleDraws` say of images of one size, as tensors that may lie on a device: references (M,) and windows
    (M, 4), of all images or of each.
    """

    reference_M: Tensor
    bounds_M4: Tensor

    @classmethod
    def of(cls, draws: StyleDraws, side: int, window: WindowKind) -> Self:
        """The same styles, for square images with `side` pixels a side."""
        ratios = torch.as_tensor(draws.ratio, dtype=torch.float64).reshape(-1).tolist()
        bounds_M4 = bounds_of([window_of((side, side), ratio, window) for ratio in ratios])
        return cls(torch.as_tensor(draws.reference).reshape(-1), bounds_M4)

    def applied(self, images_NCHW: Tensor, clamp: bool) -> Tensor:
        """The images in these styles: `standardize` without its checks and shortcuts."""
        return _replace(images_NCHW, HalfPlane(), self.bounds_M4, self.reference_M, clamp)


def draw_style(
    kind: Literal["fa", "bss"],
    n: int,
    ratio: tuple[float, float],
    probability: float,
    generator: torch.Generator,
    styles: int = 1,
) -> StyleDraws:
    """Draw the style of one view of `n` images: reference uniform over the batch, ratio uniform in its bounds.

    BSS draws once a view, FA once an image; a style is applied with `probability`. BSS with several `styles` draws once
    for each of as many equal parts of the batch, the reference uniform over the part.
    """
    count = styles if kind == "bss" else n
    if kind == "bss" and styles > 1:
        starts = torch.arange(styles + 1) * n // styles
        sizes = starts.diff()
        reference_G = starts[:-1] + (torch.rand(styles, generator=generator, dtype=torch.float64) * sizes).long()
    else:
        reference_G = torch.randint(n, (count,), generator=generator)
    ratio_G = uniform((count,), ratio, generator) * chosen(count, probability, generator)
    if kind == "fa":
        return StyleDraws(reference_G, ratio_G)
    if styles > 1:
        part_N = torch.arange(styles).repeat_interleave(sizes)
        return StyleDraws(reference_G[part_N], ratio_G[part_N])
    return StyleDraws(int(reference_G), float(ratio_G))


def standardize(
    images_NCHW: Tensor,
    ratio: float | Sequence[float] | Tensor,
    reference: int | Sequence[int] | Tensor,
    window: WindowKind = "half",
    clamp: bool = True,
) -> Tensor:
    """Give images the low-frequency amplitudes of images of the same batch (arXiv 2303.06088, Algorithm 1).

    `reference` is the index of the image whose amplitudes all take (BSS), or one index an image (FA). `ratio` is the
    area of the replaced rectangle relative to the spectrum's, one for all or one an image; 0 or less replaces nothing.
    `clamp` cuts the result to [0, 1]. Channels are transformed apart, with the same reference and ratio. Ratios and
    references are host values.

    Returns a new contiguous tensor of the same dtype, without gradient. Computes in float32 (float64 for float64).
    Raises `InputError` for images that are not floating-point (N, C, H, W), references outside the batch, ratios
    above 1, or vectors of another length than N.
    """
    ratios = torch.as_tensor(ratio, dtype=torch.float64).reshape(-1).tolist()
    references = torch.as_tensor(reference).reshape(-1).tolist()
    _check(images_NCHW, ratios, references)
    windows = [_window(images_NCHW, ratio, window) for ratio in ratios]
    if not any(rows and columns for rows, columns in windows):
        plain_NCHW = images_NCHW.detach().clone(memory_format=torch.contiguous_format)
        return plain_NCHW.clamp_(0, 1) if clamp else plain_NCHW
    size, device = (images_NCHW.shape[-2], images_NCHW.shape[-1]), images_NCHW.device
    spectrum = spectrum_for(size, windows, _working_dtype(images_NCHW), device)
    bounds_M4, reference_M = on_device(bounds_of(windows), device), on_device(torch.tensor(references), device)
    return _replace(images_NCHW, spectrum, bounds_M4, reference_M, clamp)


def standardize_textbook(
    images_NCHW: Tensor, ratio: float, reference: int, window: WindowKind = "half", clamp: bool = True
) -> Tensor:
    """BSS as one would write it down: the whole plane, shifted, as amplitude and phase. To compare with."""
    spectrum = torch.fft.fftshift(torch.fft.fft2(images_NCHW), dim=(-2, -1))
    amplitudes, phases = spectrum.abs(), spectrum.angle()
    rows, columns = (
        slice(side // 2 + inside.start, side // 2 + inside.stop)
        for side, inside in zip(images_NCHW.shape[-2:], _window(images_NCHW, ratio, window), strict=True)
    )
    amplitudes[..., rows, columns] = amplitudes[reference, :, rows, columns].clone()
    changed = torch.fft.ifftshift(torch.polar(amplitudes, phases), dim=(-2, -1))
    out_NCHW: Tensor = torch.fft.ifft2(changed).real
    return out_NCHW.clamp(0, 1) if clamp else out_NCHW


def _replace(images_NCHW: Tensor, spectrum: Spectrum, bounds_M4: Tensor, reference_M: Tensor, clamp: bool) -> Tensor:
    """Replace amplitudes within the windows of one or of all images by those of one image, or of each one's partner."""
    n, channels, height, width = images_NCHW.shape
    device = images_NCHW.device
    out_NCHW = torch.empty(images_NCHW.shape, dtype=_working_dtype(images_NCHW), device=device)
    with torch.no_grad(), torch.autocast(device.type, enabled=False):
        weights = spectrum.arrange(window_weights((height, width), bounds_M4))
        shared = None
        if len(reference_M) == 1:
            shared = spectrum.arrange(_amplitude(images_NCHW.index_select(0, reference_M)[0]))
        for part in cache_sized(n, channels * height * width, device):
            x_NCHW, out_part = _working(images_NCHW[part]), out_NCHW[part]
            bins = spectrum.forward(x_NCHW)
            bins[..., 0, 0] += TINY  # a black channel has phase 0, and takes its reference's mean
            if shared is None:
                target = spectrum.forward(_working(images_NCHW.index_select(0, reference_M[part]))).abs()
            else:
                target = shared
            power = bins.real.square().addcmul_(bins.imag, bins.imag)
            ratio = power.clamp_min_(TINY**2).rsqrt_().mul_(target)
            spectrum.inverse(x_NCHW, bins, ratio, weights if len(weights) == 1 else weights[part], out_part)
            if clamp:
                out_part.clamp_(0, 1)
    return out_NCHW.to(images_NCHW.dtype)


def _window(images_NCHW: Tensor, ratio: float, kind: WindowKind) -> Window:
    return window_of((images_NCHW.shape[-2], images_NCHW.shape[-1]), ratio, kind)


def _amplitude(image_CHW: Tensor) -> Tensor:
    """The amplitudes of one image on the half plane, (C, H, K)."""
    with torch.no_grad():
        amplitude_CHK: Tensor = torch.fft.rfft2(_working(image_CHW)).abs()
    return amplitude_CHK


def _working_dtype(images: Tensor) -> torch.dtype:
    return torch.float64 if images.dtype == torch.float64 else torch.float32


def _working(images: Tensor) -> Tensor:
    return images.to(_working_dtype(images)).contiguous()


def _check(images_NCHW: Tensor, ratios: list[float], references: list[int]) -> None:
    n = len(images_NCHW)
    if images_NCHW.ndim != 4 or not images_NCHW.is_floating_point():
        raise InputError(
            f"a style needs floating-point images (N, C, H, W), not {images_NCHW.dtype} {tuple(images_NCHW.shape)}",
            where="images",
            remedy="Divide uint8 images by 255 first.",
        )
    for name, values in (("ratio", ratios), ("reference", references)):
        if len(values) not in (1, n):
            raise InputError(f"{len(values)} values for {n} images", where=name, remedy="Give one, or one an image.")
    for ratio in ratios:
        if not ratio <= 1:
            raise InputError(f"{ratio} is not an area ratio", where="ratio", remedy="Ratios are at most 1.")
    for reference in references:
        if not 0 <= reference < n:
            raise InputError(
                f"there is no image {reference} in a batch of {n}",
                where="reference",
                remedy=f"References are from 0 to {n - 1}.",
            )
