"""Images to measure on: a recipe's own where they are there, else stand-ins of their shape.

Stand-ins have the spectrum of photographs, roughly: the same contrast in every octave.
"""

from contextlib import suppress

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from sslrun.data import Dataset, open_dataset
from sslrun.data.images import ImageSet
from sslrun.errors import DataError, InputError

BATCHES = 8  # an epoch's images, in batches: enough that gathering them is no cache hit


def stand_ins(n: int, channels: int, side: int) -> Tensor:
    """Random uint8 images (N, C, side, side), smooth as photographs are."""
    generator = torch.Generator().manual_seed(0)
    total_NCHW = torch.zeros(n, channels, side, side)
    octave = 2
    while octave <= side:
        noise = torch.rand(n, channels, octave, octave, generator=generator) - 0.5
        total_NCHW += F.interpolate(noise, size=(side, side), mode="bilinear", align_corners=False)
        octave *= 2
    return (total_NCHW * 75 + 127.5).clamp_(0, 255).byte()


def recipe_images(data: Dataset, batch: int, *, own: bool) -> tuple[ImageSet, bool]:
    """Images of a data set, and whether they are its own: if these are wanted, and there.

    Of a set that is not in the cache yet only a part is decoded. Raises `InputError` for vectors.
    """
    section = data.section
    if section.HOLDS == "vectors":
        raise InputError("there are no images to measure on", where=f"data.kind: {section.kind}")
    if own:
        with suppress(DataError):
            if not data.decoded("pretrain"):
                few = min(BATCHES * batch, section.limit or BATCHES * batch)
                data = open_dataset(section.model_copy(update={"limit": few}), data.root)
            return data.images("pretrain"), True
    images_NCHW = stand_ins(BATCHES * batch, data.shape[0], data.shape[-1])
    return ImageSet(images_NCHW, torch.full((len(images_NCHW),), -1)), False


def as_pil_arrays(images_NCHW: Tensor) -> NDArray[np.uint8]:
    """uint8 (N, H, W, 3), or (N, H, W) for one channel, as PIL takes single images."""
    array: NDArray[np.uint8] = images_NCHW.permute(0, 2, 3, 1).contiguous().numpy()
    return array[..., 0] if array.shape[-1] == 1 else array
