"""Images to measure on: a recipe's own where they are there, else stand-ins of their shape.

Stand-ins have the spectrum of photographs, roughly: the same contrast in every octave.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from sslrun.data import cache
from sslrun.data.images import ImageSet
from sslrun.data.sets.camelyon17 import SIDE as CAMELYON17_SIDE
from sslrun.data.sets.stl10 import SHAPE as STL10_SHAPE
from sslrun.data.sources import cache_key, load
from sslrun.errors import DataError, InputError
from sslrun.recipe.schema import (
    Camelyon17,
    Cifar,
    Data,
    Digits,
    DigitsStyles,
    DomainFolders,
    DomainNet,
    Folder,
    Gaussian,
    Pacs,
    Stl10,
)

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


def recipe_images(data: Data, root: Path | None, batch: int) -> tuple[ImageSet, bool]:
    """Images of a recipe's `data` section, and whether they are its own: if they are below the data folder `root`.

    Of a set that is not in the cache yet only a part is decoded. Raises `InputError` for vectors.
    """
    shape = stored_shape(data)
    if shape is None:
        raise InputError("there are no images to measure on", where=f"data.kind: {data.kind}")
    if root is not None:
        try:
            key = cache_key(data, root, "pretrain")
            if key is not None and cache.find(root, key) is None:
                data = data.model_copy(update={"limit": min(BATCHES * batch, data.limit or BATCHES * batch)})
            return load(data, root, "pretrain"), True
        except DataError:
            pass
    channels, _, side = shape
    images_NCHW = stand_ins(BATCHES * batch, channels, side)
    return ImageSet(images_NCHW, torch.full((len(images_NCHW),), -1)), False


def as_pil_arrays(images_NCHW: Tensor) -> NDArray[np.uint8]:
    """uint8 (N, H, W, 3), or (N, H, W) for one channel, as PIL takes single images."""
    array: NDArray[np.uint8] = images_NCHW.permute(0, 2, 3, 1).contiguous().numpy()
    return array[..., 0] if array.shape[-1] == 1 else array


def stored_shape(data: Data) -> tuple[int, int, int] | None:
    """(C, H, W) of the images that a `data` section gives, whether or not they are there; None for vectors."""
    match data:
        case Digits():
            return 1, data.size, data.size
        case Folder() | Pacs() | DomainNet() | DomainFolders():
            return 3, data.store, data.store
        case Stl10():
            return STL10_SHAPE
        case Camelyon17():
            return 3, CAMELYON17_SIDE, CAMELYON17_SIDE
        case Cifar() | DigitsStyles():
            return 3, 32, 32
        case Gaussian():
            return None
    raise TypeError(f"nothing here for {data.kind}")
