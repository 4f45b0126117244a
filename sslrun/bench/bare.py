"""BYOL as one writes it at first: PIL views image by image, float32, contiguous, no fused updates. The reference of
`sslrun bench`, and nothing else; how we do it is `sslrun.methods.noncontrastive`.
"""

import copy

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torchvision import transforms as T

from sslrun.bench.pictures import as_pil_arrays
from sslrun.methods.noncontrastive import NonContrastive
from sslrun.networks.ema import copy_of
from sslrun.recipe import schema


def pil_views(section: schema.Views, size: int, view: int) -> T.Compose:
    """torchvision's transforms of one PIL image that make view number `view` (0 or 1) as the recipe says."""
    crop, jitter, blur, solarize, later = section.crop, section.jitter, section.blur, section.solarize, min(view, 1)
    steps: list[object] = [T.RandomResizedCrop(size, crop.scale, crop.ratio) if crop else T.Resize((size, size))]
    if section.flip:
        steps.append(T.RandomHorizontalFlip(section.flip))
    if jitter:
        change = T.ColorJitter(jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue)
        steps.append(T.RandomApply([change], jitter.probability))
    if section.greyscale:
        steps.append(T.RandomGrayscale(section.greyscale))
    if blur:
        steps.append(T.RandomApply([T.GaussianBlur(blur.kernel, blur.sigma)], blur.probability[later]))
    if solarize:
        steps.append(T.RandomSolarize(255 * solarize.threshold, solarize.probability[later]))
    steps.append(T.ToTensor())
    if section.normalize:
        steps.append(T.Normalize(section.normalize.mean, section.normalize.std))
    return T.Compose(steps)


class BareLoop:
    """Trains copies of a method's networks; its predictor is a trained one, without a rule.

    `images_NCHW` are uint8 on the host. The method has a target network (BYOL).
    """

    def __init__(self, recipe: schema.Recipe, method: NonContrastive, images_NCHW: Tensor, batch: int) -> None:
        self.batch, self.symmetric = batch, method.symmetric
        self.online, self.target = copy.deepcopy(method.online), copy_of(method.target or method.online)
        self.predictor = copy.deepcopy(method.predictor)
        self.device = next(self.online.parameters()).device
        self.momentum = method.momentum(0) if method.momentum else 0.0
        self.pixels = as_pil_arrays(images_NCHW)
        size = recipe.views.size or images_NCHW.shape[-1]
        self.transforms = [pil_views(recipe.views, size, view) for view in range(2)]
        section = recipe.optimizer.network
        trained = [*self.online.parameters(), *self.predictor.parameters()]
        self.optimizer = torch.optim.SGD(
            trained, lr=section.lr, momentum=section.momentum, weight_decay=section.weight_decay
        )

    def step(self) -> float:
        """Draw a batch, make its views, train on them; the loss."""
        pictures = [Image.fromarray(self.pixels[i]) for i in torch.randperm(len(self.pixels))[: self.batch].tolist()]
        x1, x2 = (torch.stack([make(picture) for picture in pictures]).to(self.device) for make in self.transforms)
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
