"""What one writes at first, and what `sslrun bench` compares with: views one picture at a time with PIL and
torchvision, and BYOL on these in float32, contiguous, without fused updates. How we do it: `sslrun.views.pipeline`
and `sslrun.methods.noncontrastive`.

Views take the same draws as ours, so that both make the same, up to PIL's rounding to 8 bits after each step. A style
is given in its textbook form, to all pictures once they are cropped.
"""

import copy
from itertools import count
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms import functional as TF

from sslrun.methods.noncontrastive import NonContrastive
from sslrun.networks.ema import copy_of, ema_momentum
from sslrun.recipe import schema
from sslrun.views.colour import JitterDraws
from sslrun.views.pipeline import Views
from sslrun.views.style import StyleDraws, standardize_textbook
from sslrun.views.view_draws import ViewDraws


def as_pil_arrays(images_NCHW: Tensor) -> NDArray[np.uint8]:
    """uint8 (N, H, W, 3), or (N, H, W) for one channel, as PIL takes single images."""
    array: NDArray[np.uint8] = images_NCHW.permute(0, 2, 3, 1).contiguous().numpy()
    return array[..., 0] if array.shape[-1] == 1 else array


def pil_view(images_NHWC: NDArray[np.uint8], draws: ViewDraws, views: Views) -> NDArray[np.float32]:
    """One view of each image by operations on single PIL images, float32 (N, C, S, S).

    `images_NHWC` is (N, H, W, 3), or (N, H, W) for images with one channel.
    """
    recipe, crop, n = views.recipe, draws.crop, len(images_NHWC)
    boxes = zip(*(edge.tolist() for edge in (crop.top_N, crop.left_N, crop.height_N, crop.width_N)), strict=True)
    flip, greyscale, solarize, blur = (
        [False] * n if chosen_N is None else chosen_N.tolist()
        for chosen_N in (
            draws.flip_N,
            draws.greyscale_N,
            draws.solarize_N,
            draws.blur.chosen_N if draws.blur else None,
        )
    )
    sigma = draws.blur.sigma_N.tolist() if draws.blur else []
    jitters = [[]] * n if draws.jitter is None else _jitters(draws.jitter)

    def coloured(picture: Image.Image, i: int) -> Image.Image:
        for adjust, amount in jitters[i]:
            picture = adjust(picture, amount)
        return TF.rgb_to_grayscale(picture, num_output_channels=views.channels) if greyscale[i] else picture

    pictures = []
    for i, box in enumerate(boxes):
        picture = TF.resized_crop(Image.fromarray(images_NHWC[i]), *box, [draws.size, draws.size])
        pictures.append(TF.hflip(picture) if flip[i] else picture)
    before = recipe.colours == "per_image_before"
    if before:
        pictures = [coloured(picture, i) for i, picture in enumerate(pictures)]
    if isinstance(draws.style, StyleDraws):
        pictures = _styled(pictures, draws.style, recipe.style)
    out = []
    for i, picture in enumerate(pictures):
        if not before:
            picture = coloured(picture, i)
        if blur[i] and recipe.blur:
            picture = TF.gaussian_blur(picture, [recipe.blur.kernel] * 2, [sigma[i]] * 2)
        if solarize[i] and recipe.solarize:
            picture = TF.solarize(picture, 255 * recipe.solarize.threshold)
        x_CSS = TF.to_tensor(picture)
        if recipe.normalize:
            x_CSS = TF.normalize(x_CSS, recipe.normalize.mean, recipe.normalize.std)
        out.append(x_CSS.numpy())
    return np.stack(out)


def _styled(pictures: list[Image.Image], draws: StyleDraws, style: schema.Style) -> list[Image.Image]:
    """All pictures in the style of one, or each in its partner's. PIL's 8 bits clamp them in any case."""
    if style.kind == "none":
        return pictures
    x_NCSS = torch.stack([TF.to_tensor(picture) for picture in pictures])
    if isinstance(draws.reference, Tensor) and isinstance(draws.ratio, Tensor):
        pairs = zip(x_NCSS, x_NCSS[draws.reference], draws.ratio.tolist(), strict=True)
        styled = [standardize_textbook(torch.stack(pair), ratio, 1, style.window)[0] for *pair, ratio in pairs]
    else:
        styled = [*standardize_textbook(x_NCSS, float(draws.ratio), int(draws.reference), style.window)]
    return [TF.to_pil_image(x_CSS) for x_CSS in styled]


def _jitters(draws: JitterDraws) -> list[list[tuple[Any, float]]]:
    """The adjustments of each image in their order, as (torchvision's function, its amount)."""
    jitters = []
    for shares, turn, turn_after in zip(
        draws.share_N33.tolist(), draws.turn_N.tolist(), draws.turn_after_N.tolist(), strict=True
    ):
        adjustments: list[tuple[Any, float]] = []
        for own, mean_grey, grey in shares:
            function = TF.adjust_contrast if mean_grey else TF.adjust_saturation if grey else TF.adjust_brightness
            adjustments.append((function, own))
        if turn_after < 4:
            adjustments.insert(turn_after, (TF.adjust_hue, turn))
        jitters.append(
            [(function, amount) for function, amount in adjustments if amount != 1 or function is TF.adjust_hue]
        )
    return jitters


class BareLoop:
    """Trains copies of a method's networks; its predictor is a trained one, without a rule.

    `images_NCHW` are uint8 on the host. The method has a target network (BYOL).
    """

    def __init__(self, recipe: schema.Recipe, method: NonContrastive, images_NCHW: Tensor, batch: int) -> None:
        self.batch, self.symmetric, self.seed = batch, method.symmetric, recipe.seed
        self.online, self.target = copy.deepcopy(method.online), copy_of(method.target or method.online)
        self.predictor = copy.deepcopy(method.predictor)
        self.device = next(self.online.parameters()).device
        self.momentum = float(ema_momentum(method.ema, 0, method.steps))
        self.pixels = as_pil_arrays(images_NCHW)
        self.views = Views(recipe.views, channels=images_NCHW.shape[1], stored=images_NCHW.shape[-1])
        section = recipe.optimizer.network
        trained = [*self.online.parameters(), *self.predictor.parameters()]
        self.optimizer = torch.optim.SGD(
            trained, lr=section.lr, momentum=section.momentum, weight_decay=section.weight_decay
        )
        self.steps = count()

    def step(self) -> float:
        """Draw a batch, make its views, train on them; the loss."""
        pictures = self.pixels[torch.randperm(len(self.pixels))[: self.batch].numpy()]
        draws = self.views.draw(len(pictures), self.seed, next(self.steps))
        x1, x2 = (torch.from_numpy(pil_view(pictures, one, self.views)).to(self.device) for one in draws)
        loss = self.loss(x1, x2) + (self.loss(x2, x1) if self.symmetric else 0)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            for theirs, ours in zip(self.target.parameters(), self.online.parameters(), strict=True):
                theirs.mul_(self.momentum).add_(ours, alpha=1 - self.momentum)
        return loss.item()

    def loss(self, seen_NCHW: Tensor, other_NCHW: Tensor) -> Tensor:
        """Predict the target's output of the other view from the online output of the seen one."""
        p_ND = self.predictor(self.online(seen_NCHW))
        with torch.no_grad():
            t_ND = self.target(other_NCHW)
        return -2 * F.cosine_similarity(p_ND, t_ND).mean()
