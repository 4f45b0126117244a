"""Batch norm with the statistics of the images at hand (arXiv 1603.04779) in place of the averages of training.

Each view passes through the network on its own, so that batch norm takes part of a view's one style away in training;
its running averages, over many styles, do not afterwards. analyses.py measures the difference that this makes.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import update_bn

from sslrun.data.images import ImageSet


def has_batch_norm(encoder: nn.Module) -> bool:
    """Whether there are statistics to replace."""
    return any(isinstance(module, _BatchNorm) for module in encoder.modules())


def with_statistics_of(
    images: ImageSet,
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

    def batches() -> Iterator[Tensor]:
        for batch_NCHW in images.images.tensor_split(-(-len(images) // batch_size)):
            beat()
            yield transform(batch_NCHW.to(device))

    adapted = deepcopy(encoder)
    update_bn(batches(), adapted, device)
    return adapted
