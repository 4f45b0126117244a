"""Frozen features: images through an encoder in evaluation mode, in order, or the raw pixels as they are.

What is done with them is in the files that are called as evaluations are (`judge.evaluate`). Views of training are not
used here: `transform` is only what evaluation images need (resizing, normalisation).

Shapes: N images, C channels, H × W pixels, D features.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from sslrun.data.batches import Upload
from sslrun.data.images import ImageSet
from sslrun.errors import InputError, RunFailed
from sslrun.networks.group import ALONE, Group
from sslrun.networks.precision import mixed_precision


@dataclass(frozen=True, eq=False)
class Featured:
    """Images of one split and their frozen features (N, D); the features of all splits lie on one device."""

    images: ImageSet
    features: Tensor

    @property
    def labels(self) -> Tensor:
        """The labels (N,), where the features are."""
        return self.images.labels.to(self.features.device)

    def at(self, index_N: Tensor) -> "Featured":
        """Those at the ascending `index_N`."""
        if len(index_N) == len(self.images):
            return self
        return Featured(self.images.subset(index_N), self.features[index_N.to(self.features.device)])


@torch.no_grad()
def extract(
    encoder: nn.Module,
    images: ImageSet,
    transform: Callable[[Tensor], Tensor],
    *,
    device: torch.device,
    batch_size: int = 512,
    precision: Literal["float32", "bf16"] = "float32",
    channels_last: bool = False,
    beat: Callable[[], None] = lambda: None,
    group: Group = ALONE,
) -> Tensor:
    """The features h_ND, float32 on `device`, of all images in their order.

    `transform` takes uint8 images on the device to what the encoder sees. Batch norms use their running statistics;
    every module's training mode is afterwards as it was. `beat` is called every batch. The processes of a `group` each
    do a stretch of the same batches, and all get all. Raises `InputError` without images, `RunFailed` where features
    are not finite.
    """
    if len(images) == 0:
        raise InputError("there are no images to extract features from")
    starts, chunks, upload = range(0, len(images), batch_size), [], Upload(device)
    with _evaluation_mode(encoder), mixed_precision(precision, device.type):
        for start in group.share(starts) or starts[:1]:  # who has none learns what features are like
            x_NCHW = transform(upload(images.images[start : start + batch_size]))
            if channels_last:
                x_NCHW = x_NCHW.contiguous(memory_format=torch.channels_last)
            chunks.append(encoder(x_NCHW).float())
            beat()
    h_ND = torch.cat(chunks)
    if group.size > 1:
        shares = [group.share(starts, rank) for rank in range(group.size)]
        counts = [sum(min(batch_size, len(images) - start) for start in share) for share in shares]
        h_ND = group.put_together(h_ND[: counts[group.rank]], counts)
    bad_N = ~h_ND.isfinite().all(1)
    if bool(bad_N.any()):
        raise RunFailed(
            f"the encoder ({type(encoder).__name__}) gives features that are not finite for {int(bad_N.sum())} of "
            f"{len(h_ND)} images, the first of them image {int(bad_N.int().argmax())}",
            remedy="Its weights have most likely diverged; look at the loss in the run's history.",
        )
    return h_ND


def pixels(images: ImageSet) -> Tensor:
    """The raw pixels of all images as features h_ND in [0, 1], float32, D = C·H·W, where the images are."""
    return images.images.flatten(1).float() / 255


@contextmanager
def _evaluation_mode(encoder: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in encoder.modules()]
    encoder.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
