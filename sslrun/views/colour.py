"""Changes of colour with parameters of their own for every image: jitter, greyscale, solarisation, normalisation.

All take float images in [0, 1] and equal torchvision's functions on single images. Images with one channel have no
colour: of the jitter they get brightness and contrast. Before this comes `geometry.py`, after it `blur.py`.
Shapes: N images, C channels, H×W pixels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sslrun.views.per_image import Draws, Rows, change_chosen, chosen, on_device, shapes_are_fixed, uniform

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)


@dataclass(frozen=True)
class JitterDraws(Draws):
    """What the jitter does to each image: three blends, and a turn of the hue somewhere among them.

    `share_N33` (float32) has for each blend the shares of the image itself, of its mean grey and of its grey;
    `turn_N` (float32) the part of a circle by which the hue turns; `turn_after_N` (int64) after how many blends it
    does, 4 standing for never.
    """

    share_N33: Tensor
    turn_N: Tensor
    turn_after_N: Tensor


def jitter_draws(chosen_N: Tensor, order_N4: Tensor, factor_N3: Tensor, turn_N: Tensor) -> JitterDraws:
    """From torchvision's terms: the order of BRIGHTNESS, CONTRAST, SATURATION and HUE, the factors of the first three
    (in the order of these names), the turn of the hue. Images not `chosen_N` (bool) are left alone.
    """
    kind_N3 = order_N4[order_N4 != HUE].view(-1, 3)
    factor_N3 = factor_N3.gather(1, kind_N3).where(chosen_N[:, None], 1.0)
    share_N33 = torch.stack(
        [factor_N3, (1 - factor_N3) * (kind_N3 == CONTRAST), (1 - factor_N3) * (kind_N3 == SATURATION)], dim=2
    )
    turn_after_N = (order_N4 == HUE).int().argmax(dim=1)
    return JitterDraws(share_N33.float(), turn_N.float(), turn_after_N.where(chosen_N & (turn_N != 0), 4))


def draw_jitter(
    n: int, probability: float, strengths: tuple[float, float, float], hue: float, generator: torch.Generator
) -> JitterDraws:
    """Draws distributed as torchvision's ColorJitter in RandomApply.

    The `strengths` are those of brightness, contrast and saturation.
    """
    factors = [uniform((n,), (max(0.0, 1 - strength), 1 + strength), generator) for strength in strengths]
    return jitter_draws(
        order_N4=torch.rand((n, 4), generator=generator, dtype=torch.float64).argsort(dim=1),
        factor_N3=torch.stack(factors, dim=1),
        turn_N=uniform((n,), (-hue, hue), generator),
        chosen_N=chosen(n, probability, generator),
    )


def jitter(x_NCHW: Tensor, draws: JitterDraws) -> Tensor:
    """Brightness, contrast, saturation and hue, in each image's own order.

    A blend is the same operation whatever its kind, so all images go through each of the three together.
    """
    n, channels = x_NCHW.shape[:2]
    if not shapes_are_fixed() and _nobody(draws):
        return x_NCHW
    shares = on_device(draws.share_N33, x_NCHW.device).view(n, 3, 3, 1, 1, 1).unbind(1)
    for blends in range(4):
        if channels == 3:
            turned_N = draws.turn_after_N == blends
            x_NCHW = change_chosen(x_NCHW, turned_N, lambda x, rows: adjust_hue(x, draws.turn_N[rows]))
        if blends < 3:
            x_NCHW = _blend(x_NCHW, *shares[blends].unbind(1))
    return x_NCHW


def _nobody(draws: JitterDraws) -> bool:
    return int(draws.turn_after_N.min()) == 4 and bool((draws.share_N33[:, :, 0] == 1).all())


def _blend(x_NCHW: Tensor, own_N111: Tensor, mean_N111: Tensor, grey_N111: Tensor) -> Tensor:
    """The sum of an image, its mean grey and its grey, with the given shares, clamped to [0, 1].

    This is torchvision's adjust_brightness with shares (f, 0, 0), adjust_contrast with (f, 1 − f, 0), and
    adjust_saturation with (f, 0, 1 − f).
    """
    grey_N1HW = grey(x_NCHW)
    mean_N111 = mean_N111 * grey_N1HW.mean(dim=(1, 2, 3), keepdim=True)
    other_N1HW = (grey_N1HW * grey_N111).add_(mean_N111)  # addcmul with two broadcast numbers isn't vectorised
    return torch.addcmul(other_N1HW, x_NCHW, own_N111).clamp_(0, 1)


def grey(x_NCHW: Tensor) -> Tensor:
    """ITU-R 601 luma as torchvision has it, (N, 1, H, W); an image with one channel is its own."""
    if x_NCHW.shape[1] == 1:
        return x_NCHW
    red, green, blue = torch.split(x_NCHW, 1, dim=1)
    return (0.2989 * red).add_(green, alpha=0.587).add_(blue, alpha=0.114)


def adjust_hue(x_N3HW: Tensor, turn_N: Tensor) -> Tensor:
    """Turn the hue by `turn_N` of a circle, as torchvision's adjust_hue.

    No round trip through HSV, and no choice by which channel is the largest: that would be slow on CPUs. With
    u = (2r − g − b) / chroma, the distance of the hue from red is 1.5 − u + clamp(u, −1, 1)/2 sixths of a circle
    (check it on the three sextants from red to cyan), and the sign of g − b says to which side. A channel is
    at its highest within a sixth of its own hue, and at its lowest beyond two sixths.
    """
    red, green, blue = x_N3HW.unbind(1)
    high_NHW = torch.maximum(red, green).maximum(blue)
    low_NHW = torch.minimum(red, green).minimum(blue)
    chroma6_NHW = high_NHW.sub(low_NHW).mul_(6).clamp_min_(1e-12)
    u12_NHW = torch.sub(red, green, alpha=0.5).sub_(blue, alpha=0.5).div_(chroma6_NHW)  # u / 12
    hue_NHW = u12_NHW.clamp(-1 / 12, 1 / 12).sub_(u12_NHW, alpha=2).add_(0.25).copysign_(green - blue)  # in circles

    own_hue_3 = torch.arange(3, device=x_N3HW.device) / 3
    offset_N3 = on_device(turn_N, x_N3HW.device)[:, None] - own_hue_3
    distance_N3HW = hue_NHW[:, None] + offset_N3[:, :, None, None]
    distance_N3HW = distance_N3HW.sub_(distance_N3HW.round()).abs_().clamp_(1 / 6, 1 / 3)
    at_highest_NHW = torch.add(high_NHW, chroma6_NHW, alpha=1 / 6)
    return torch.addcmul(at_highest_NHW[:, None], chroma6_NHW[:, None], distance_N3HW, value=-1)


def greyscale(x_NCHW: Tensor, chosen_N: Tensor) -> Tensor:
    """Remove the colour of the chosen images; the number of channels stays."""
    return change_chosen(x_NCHW, chosen_N, lambda x, _: grey(x).expand_as(x))


def solarize(x_NCHW: Tensor, chosen_N: Tensor, threshold: float) -> Tensor:
    """In the chosen images, replace values v ≥ `threshold` by 1 − v."""

    def invert(x: Tensor, _: Rows) -> Tensor:
        above = x.clone().ge_(threshold)  # 0.0 or 1.0: arithmetic is several times faster than `where` on a CPU
        return torch.addcmul(x, above, 1 - 2 * x)

    return change_chosen(x_NCHW, chosen_N, invert)


def normalize(x_NCHW: Tensor, mean_C: Tensor, std_C: Tensor) -> Tensor:
    """(x − mean) / std per channel; one value serves all channels."""
    return (x_NCHW - mean_C.view(-1, 1, 1)).div_(std_C.view(-1, 1, 1))
