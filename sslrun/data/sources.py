"""From a recipe's `data` section to an `ImageSet`: chooses the source, applies `limit`, and caches what is slow.

Class folders and STL-10 go through `cache` and come back as a map of its file; the others are read or drawn directly.
"""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sslrun.data import cache, cifar, digits, folder, gaussian, stl10
from sslrun.data.fingerprint import fingerprint
from sslrun.data.source import Labels, Progress, Source, Split, evenly, naming_files
from sslrun.recipe.schema import Cifar, Data, Digits, Folder, Gaussian, Stl10

if TYPE_CHECKING:
    from sslrun.data.images import ImageSet


@naming_files()
def load(data: Data, root: Path, split: Split, progress: Progress | None = None) -> "ImageSet":
    """The images of `split` below the data folder `root`, at most `data.limit` of them unless it is `test`.

    `progress(done, total)` is called while pictures are decoded into the cache, which happens once. Raises
    `DataError` naming the file that is missing, cut off or foreign.
    """
    import torch

    from sslrun.data.images import ImageSet

    key = cache_key(data, root, split)
    if key is None:
        source, index = chosen(data, root, split)
        pixels = np.concatenate(list(source.blocks(index)))
        return ImageSet(
            torch.from_numpy(pixels), torch.from_numpy(source.labels[index]), class_names=source.class_names
        )
    entry = cache.find(root, key) or cache.make(root, key, lambda: chosen(data, root, split), progress)
    with warnings.catch_warnings():  # torch warns that the map can't be written; nothing writes into it
        warnings.filterwarnings("ignore", message="The given NumPy array is not writ", category=UserWarning)
        images = torch.from_numpy(entry.images)
    return ImageSet(images, torch.from_numpy(entry.labels), class_names=entry.class_names)


def source(data: Data, root: Path, split: Split) -> Source:
    """The source of a split, all its images, pixels unread where they lie in many or large files."""
    match data:
        case Digits():
            return digits.read(data, split)
        case Stl10():
            return stl10.read(data, root, split)
        case Cifar():
            return cifar.read(data, root, split)
        case Folder():
            return folder.read(data, root, split)
        case Gaussian():
            return gaussian.read(data)


@naming_files()
def chosen(data: Data, root: Path, split: Split) -> tuple[Source, Labels]:
    """The source of a split and the ascending index of the images that `data.limit` leaves."""
    found = source(data, root, split)
    return found, evenly(found.labels, limit_of(data, split))


def limit_of(data: Data, split: Split) -> int | None:
    """The most images to use; the test set is always whole."""
    return None if split == "test" else data.limit


def cache_key(data: Data, root: Path, split: Split) -> dict[str, Any] | None:
    """What the decoded images of a split depend on; None for sources that are read directly."""
    match data:
        case Stl10():
            part, side = stl10.part(data, split), stl10.SHAPE[-1]
        case Folder():
            part, side = "test" if split == "test" else "train", data.store
        case _:
            return None
    return {
        "kind": data.kind,
        "part": part,
        "side": side,
        "limit": limit_of(data, split),
        "fingerprint": fingerprint(data, root),
    }
