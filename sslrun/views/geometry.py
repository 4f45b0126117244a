"""Random resized crop and horizontal flip of a batch, each image with its own box.

Boxes are drawn as torchvision's RandomResizedCrop draws them. Resizing is bilinear with antialiasing, which matters
wherever a box is larger than the view. The resampling itself is `filtering.py`; next in a view is `colour.py`.
Shapes: N images, C channels, H×W stored pixels, S pixels of a view, K taps of a filter.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sslrun.views.draws import Draws, cache_sized, on_device, uniform
from sslrun.views.filtering import filter_columns, filter_rows

TRIES = 10  # torchvision's number of attempts before the centre of the image is taken


@dataclass(frozen=True)
class CropDraws(Draws):
    """A box an image, in pixels of the stored image; int64, shape (N,)."""

    top_N: Tensor
    left_N: Tensor
    height_N: Tensor
    width_N: Tensor


def whole_images(n: int, height: int, width: int) -> CropDraws:
    """Boxes that hold the whole image."""
    zero_N = torch.zeros(n, dtype=torch.int64)
    return CropDraws(zero_N, zero_N, torch.full_like(zero_N, height), torch.full_like(zero_N, width))


def draw_crops(
    n: int,
    height: int,
    width: int,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    generator: torch.Generator,
) -> CropDraws:
    """Boxes distributed as torchvision's RandomResizedCrop draws them.

    The area is uniform in `scale` relative to the image, the logarithm of width over height uniform in log `ratio`;
    of ten such pairs the first that fits is taken, else the largest central box whose ratio is allowed.
    """
    area_NT = height * width * uniform((n, TRIES), scale, generator)
    ratio_NT = uniform((n, TRIES), (math.log(ratio[0]), math.log(ratio[1])), generator).exp()
    position_N2 = torch.rand((n, 2), generator=generator, dtype=torch.float64)

    width_NT = (area_NT * ratio_NT).sqrt().round().long()
    height_NT = (area_NT / ratio_NT).sqrt().round().long()
    fits_NT = (width_NT > 0) & (width_NT <= width) & (height_NT > 0) & (height_NT <= height)
    first_N1 = fits_NT.int().argmax(dim=1, keepdim=True)  # the first, as argmax takes the first of equals
    width_N, height_N = width_NT.gather(1, first_N1)[:, 0], height_NT.gather(1, first_N1)[:, 0]
    top_N = (position_N2[:, 0] * (height - height_N + 1)).long()
    left_N = (position_N2[:, 1] * (width - width_N + 1)).long()

    some_N = fits_NT.any(dim=1)
    fallback_height, fallback_width = _largest_central(height, width, ratio)
    return CropDraws(
        torch.where(some_N, top_N, (height - fallback_height) // 2),
        torch.where(some_N, left_N, (width - fallback_width) // 2),
        torch.where(some_N, height_N, fallback_height),
        torch.where(some_N, width_N, fallback_width),
    )


def _largest_central(height: int, width: int, ratio: tuple[float, float]) -> tuple[int, int]:
    """Height and width of torchvision's fallback box."""
    if width / height < ratio[0]:
        return round(width / ratio[0]), width
    if width / height > ratio[1]:
        return height, round(height * ratio[1])
    return height, width


def resized_crop(images_NCHW: Tensor, crops: CropDraws, flip_N: Tensor | None, size: int) -> Tensor:
    """Cut out `crops`, resize them to S×S (bilinear, antialiased), mirror those where `flip_N` is true.

    `images_NCHW` is uint8, or float in [0, 1]. Returns contiguous float32 (N, C, S, S) in [0, 1]. Equal to
    torchvision's `resized_crop(..., antialias=True)` and `hflip` on single images.
    """
    n, channels, height, width = images_NCHW.shape
    device = images_NCHW.device
    rows, row_weights = _resampling(crops.top_N, crops.height_N, None, height, size, device)
    columns, column_weights = _resampling(crops.left_N, crops.width_N, flip_N, width, size, device)
    if images_NCHW.dtype == torch.uint8:
        row_weights = row_weights / 255
    out_NCSS = torch.empty((n, channels, size, size), device=device)
    for part in cache_sized(n, channels * max(size, height, width) ** 2, device):
        x_NCSW = filter_rows(images_NCHW[part].float(), rows[part], row_weights[part])
        out_NCSS[part] = filter_columns(x_NCSW, columns[part], column_weights[part])
    return out_NCSS


def _resampling(
    start_N: Tensor, length_N: Tensor, flip_N: Tensor | None, source: int, size: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Taps (int64) and weights (float32), both (N, S, K), that resample [start, start + length) to `size` pixels.

    A tap's weight falls linearly with its distance from the output pixel's centre and is zero beyond `reach`: one
    source pixel, or more where the axis shrinks. Each output pixel's weights add up to 1.
    """
    most_taps = max(2, math.ceil(2 * int(length_N.max()) / size))  # integers in an open interval of 2 · reach
    start_N11, length_N11 = (on_device(draw, device)[:, None, None] for draw in (start_N, length_N))
    output_NS1 = torch.arange(size, device=device)[None, :, None]
    if flip_N is not None:
        output_NS1 = torch.where(on_device(flip_N, device)[:, None, None], size - 1 - output_NS1, output_NS1)

    step_N11 = length_N11.float() / size
    reach_N11 = step_N11.clamp_min(1)
    centre_NS1 = (output_NS1 + 0.5) * step_N11  # within the box, as torchvision counts, for equal rounding
    first_NS1 = (centre_NS1 - reach_N11 - 0.5).floor() + 1
    tap_NSK = first_NS1 + torch.arange(most_taps, device=device)
    weight_NSK = (1 - (tap_NSK + 0.5 - centre_NS1).abs() / reach_N11).clamp_min(0)
    weight_NSK = weight_NSK * ((tap_NSK >= 0) & (tap_NSK < length_N11))
    weight_NSK = weight_NSK / weight_NSK.sum(dim=2, keepdim=True)
    return (tap_NSK.long() + start_N11).clamp(0, source - 1), weight_NSK
