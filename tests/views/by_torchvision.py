"""Views by torchvision's functions on one float image at a time, and what the tests of the views share."""

import torch
from torch import Tensor
from torchvision.transforms import functional as TF

from sslrun.recipe import schema
from sslrun.views import ViewDraws

NORMALIZE = schema.Normalize(mean=(0.48, 0.45, 0.4), std=(0.22, 0.23, 0.24))
FULL = schema.Views(solarize=schema.Solarize(probability=(0.3, 0.6)), normalize=NORMALIZE)


def pictures(n: int, channels: int, side: int, smooth: bool = False) -> Tensor:
    """Random uint8 images."""
    generator = torch.Generator().manual_seed(side)
    x = torch.rand(n, channels, side, side, generator=generator)
    if smooth:
        x = torch.nn.functional.interpolate(x[:, :, :5, :5], size=side, mode="bicubic").clamp(0, 1)
    return (x * 255).round().to(torch.uint8)


def geometry(image: Tensor, draws: ViewDraws, i: int) -> Tensor:
    """Image `i` of a batch, uint8, cropped and mirrored as drawn for it."""
    crop = draws.crop
    box = [int(edge[i]) for edge in (crop.top_N, crop.left_N, crop.height_N, crop.width_N)]
    x = TF.resized_crop(image.float() / 255, *box, [draws.size, draws.size], antialias=True)
    return TF.hflip(x) if draws.flip_N is not None and draws.flip_N[i] else x


def colours(x: Tensor, draws: ViewDraws, i: int) -> Tensor:
    """Its jitter and greyscale."""
    if draws.jitter is not None:
        for position in range(4):
            if draws.jitter.turn_after_N[i] == position:
                x = TF.adjust_hue(x, float(draws.jitter.turn_N[i]))
            if position < 3:
                factor, mean_share, grey_share = draws.jitter.share_N33[i, position].tolist()
                adjust = (
                    TF.adjust_contrast if mean_share else TF.adjust_saturation if grey_share else TF.adjust_brightness
                )
                x = adjust(x, factor)
    if draws.greyscale_N is not None and draws.greyscale_N[i]:
        x = TF.rgb_to_grayscale(x, num_output_channels=len(x))
    return x


def finish(x: Tensor, draws: ViewDraws, i: int, recipe: schema.Views) -> Tensor:
    """Its blur, solarisation and normalisation."""
    if draws.blur is not None and recipe.blur is not None and draws.blur.chosen_N[i]:
        x = TF.gaussian_blur(x, [recipe.blur.kernel] * 2, [float(draws.blur.sigma_N[i])] * 2)
    if draws.solarize_N is not None and recipe.solarize is not None and draws.solarize_N[i]:
        x = TF.solarize(x, recipe.solarize.threshold)
    if recipe.normalize is not None:
        mean, std = recipe.normalize.mean, recipe.normalize.std
        x = TF.normalize(x, list(mean), list(std))
    return x


def drawn(draws: ViewDraws) -> dict[str, Tensor]:
    """All that was drawn, by dotted name."""
    flat: dict[str, Tensor] = {}
    for name, value in vars(draws).items():
        inner = vars(value) if hasattr(value, "part") else {"": value}
        flat |= {f"{name}.{key}": torch.as_tensor(one) for key, one in inner.items() if one is not None}
    return flat
