"""Batch norm with the statistics of the images at hand (arXiv 1603.04779) in place of the averages of training.

Where each view passes through the network on its own, batch norm takes part of a view's one style away in training; its
running averages, over many styles, do not afterwards. analyses.py measures the difference that this makes. And an
untrained network has no averages at all: `calibrated` gives it those of training images.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import update_bn

from sslrun.data.batches import Upload
from sslrun.training.diagnostics import fixed_images

_CALIBRATION_BATCH = 256


def has_batch_norm(encoder: nn.Module) -> bool:
    """Whether there are statistics to replace."""
    return any(isinstance(module, _BatchNorm) for module in encoder.modules())


def with_statistics_of(
    images_NCHW: Tensor,
    encoder: nn.Module,
    transform: Callable[[Tensor], Tensor],
    *,
    device: torch.device,
    batch_size: int = 512,
    beat: Callable[[], None] = lambda: None,
) -> nn.Module:
    """A copy of the encoder whose batch norms have the statistics of these images: the mean over batches of one size.

    Each layer's are of what the layers below it give under their own of the batch, as in training. `transform` and
    `beat` are as in `extract`.
    """

    upload = Upload(device)

    def batches() -> Iterator[Tensor]:
        for batch_NCHW in images_NCHW.tensor_split(-(-len(images_NCHW) // batch_size)):
            beat()
            yield transform(upload(batch_NCHW))

    adapted = deepcopy(encoder)
    update_bn(batches(), adapted, device)
    return adapted


def calibrated(
    encoder: nn.Module,
    images_NCHW: Tensor,
    transform: Callable[[Tensor], Tensor],
    *,
    device: torch.device,
    beat: Callable[[], None] = lambda: None,
) -> nn.Module:
    """An untrained encoder whose batch norms have the statistics of the training images, of which it is given all; one
    without batch norm as it is.

    As built they have mean 0 and variance 1: the encoder in evaluation mode would be another function than the one
    that training starts from. No label is used, nothing is learnt. The images are the at most 1,024 that the signals
    of collapse come from, in batches that each spread over the whole set, whatever its order.
    """
    if not has_batch_norm(encoder):
        return encoder
    images_NCHW = fixed_images(images_NCHW)
    parts = -(-len(images_NCHW) // _CALIBRATION_BATCH)
    spread_NCHW = torch.cat([images_NCHW[first::parts] for first in range(parts)])
    return with_statistics_of(spread_NCHW, encoder, transform, device=device, batch_size=_CALIBRATION_BATCH, beat=beat)
