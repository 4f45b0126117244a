"""Random resized crop and horizontal flip of a batch, each image with its own box.

Boxes are drawn as torchvision's RandomResizedCrop draws them. Resizing is bilinear with antialiasing, which matters
wherever a box is larger than the view. The resampling itself is `filtering.py`; next in a view is `colour.py`.
Shapes: N images, C channels, H×W stored pixels, S pixels of a view, K taps of a filter.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sslrun.views.filtering import Filter, filter_columns, filter_rows
from sslrun.views.per_image import Draws, on_device, shapes_are_fixed, uniform

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
    return resample(images_NCHW, *crop_filters(crops, flip_N, size, images_NCHW)).contiguous()


def crop_filters(crops: CropDraws, flip_N: Tensor | None, size: int, images_NCHW: Tensor) -> tuple[Filter, Filter]:
    """The filters that mix an image's rows, and then its columns, into a resized and mirrored crop, where images are.

    A tap's weight falls linearly with its distance from the output pixel's centre and is zero beyond `reach`: one
    source pixel, or more where the axis shrinks. Each output pixel's weights add up to 1.
    """
    device = images_NCHW.device
    start_2N = torch.stack([crops.top_N, crops.left_N])
    length_2N = torch.stack([crops.height_N, crops.width_N])
    longest = max(images_NCHW.shape[2:]) if shapes_are_fixed() else int(length_2N.max())
    most_taps = max(2, math.ceil(2 * longest / size))  # integers in an open interval of 2 · reach
    start, length = (on_device(draw, device)[:, :, None, None] for draw in (start_2N, length_2N))
    output = torch.arange(size, device=device)[:, None]
    if flip_N is not None:
        flip = on_device(torch.stack([torch.zeros_like(flip_N), flip_N]), device)[:, :, None, None]
        output = torch.where(flip, size - 1 - output, output)

    step = length / size
    reach = step.clamp_min(1)
    centre = (output + 0.5) * step  # within the box, as torchvision counts, for equal rounding
    tap = (centre - reach + 0.5).floor() + torch.arange(most_taps, device=device)
    weight = (1 - (tap + 0.5 - centre).abs_() / reach).clamp_min_(0)
    weight = weight * ((tap >= 0) & (tap < length))
    weight = weight / weight.sum(dim=-1, keepdim=True)
    index = torch.minimum(tap.long().clamp_min_(0), length - 1) + start
    return Filter(index[0], weight[0]), Filter(index[1], weight[1])


def resample(images_NCHW: Tensor, rows: Filter, columns: Filter) -> Tensor:
    """Apply `crop_filters` to uint8 images, or float ones in [0, 1].

    Returns float32 in [0, 1] that lies column by column in memory, as the last filter leaves it.
    """
    if images_NCHW.dtype == torch.uint8:
        rows = Filter(rows.index_NSK, rows.weight_NSK / 255)
    return filter_columns(filter_rows(images_NCHW.float(), rows), columns)
