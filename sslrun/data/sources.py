"""From a recipe's `data` section to an `ImageSet`: chooses the source, applies `limit`, and caches what is slow.

Pictures in files and STL-10 go through `cache` and come back as a map of its file; the others are read or drawn
directly.
"""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sslrun.data import (
    cache,
    camelyon17,
    cifar,
    digits,
    digits_styles,
    domain_folders,
    domainnet,
    folder,
    gaussian,
    pacs,
    stl10,
)
from sslrun.data.fingerprint import fingerprint
from sslrun.data.source import Labels, Progress, Source, Split, evenly, naming_files
from sslrun.errors import InputError
from sslrun.recipe.schema import (
    Camelyon17,
    Cifar,
    Data,
    Digits,
    DigitsStyles,
    DomainFolders,
    DomainNet,
    DomainSection,
    Folder,
    Gaussian,
    Pacs,
    Stl10,
)

if TYPE_CHECKING:
    from sslrun.data.images import ImageSet


@naming_files()
def load(data: Data, root: Path, split: Split, progress: Progress | None = None) -> "ImageSet":
    """The images of `split` below the data folder `root`, at most `data.limit` of them if one learns from it.

    `progress(done, total)` is called while pictures are decoded into the cache, which happens once. Raises
    `DataError` naming the file that is missing, cut off or foreign, and `InputError` for a split that the set lacks.
    """
    import torch

    from sslrun.data.images import ImageSet

    key = cache_key(data, root, split)
    if key is None:
        source, index = chosen(data, root, split)
        images = torch.from_numpy(np.concatenate(list(source.blocks(index))))
        domains = None if source.domains is None else torch.from_numpy(source.domains[index])
        labels = torch.from_numpy(source.labels[index])
        return ImageSet(images, labels, domains, source.class_names, source.domain_names)
    entry = cache.find(root, key) or cache.make(root, key, lambda: chosen(data, root, split), progress)
    with warnings.catch_warnings():  # torch warns that the map can't be written; nothing writes into it
        warnings.filterwarnings("ignore", message="The given NumPy array is not writ", category=UserWarning)
        images = torch.from_numpy(entry.images)
    domains = None if entry.domains is None else torch.from_numpy(entry.domains)
    return ImageSet(images, torch.from_numpy(entry.labels), domains, entry.class_names, entry.domain_names)


def source(data: Data, root: Path, split: Split) -> Source:
    """The source of a split, all its images, pixels unread where they lie in many or large files."""
    _check_split(data, split)
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
        case DigitsStyles():
            return digits_styles.read(data, split)
        case Pacs():
            return pacs.pictures(data, root).source(data.held_out, split, data.store)
        case DomainNet():
            return domainnet.pictures(data, root).source(data.held_out, split, data.store)
        case Camelyon17():
            return camelyon17.pictures(data, root).source(data.held_out, split, camelyon17.SIDE)
        case DomainFolders():
            return domain_folders.pictures(data, root).source(data.held_out, split, data.store)
    raise TypeError(f"nothing here for {data.kind}")


def _check_split(data: Data, split: Split) -> None:
    if split == "validation" and not isinstance(data, DomainSection):
        raise InputError(
            f"{data.kind} has no validation images",
            where="data.kind",
            remedy="Sets of several domains have some: digits_styles, pacs, domainnet, camelyon17, domains.",
        )


@naming_files()
def chosen(data: Data, root: Path, split: Split) -> tuple[Source, Labels]:
    """The source of a split and the ascending index of the images that `data.limit` leaves."""
    found = source(data, root, split)
    return found, evenly(found.labels, limit_of(data, split), found.domains)


def limit_of(data: Data, split: Split) -> int | None:
    """The most images to use; those that judge are always whole."""
    return None if split in ("validation", "test") else data.limit


def cache_key(data: Data, root: Path, split: Split) -> dict[str, Any] | None:
    """What the decoded images of a split depend on; None for sources that are read directly."""
    _check_split(data, split)
    more: dict[str, Any] = {}
    match data:
        case Stl10():
            part, side = stl10.part(data, split), stl10.SHAPE[-1]
        case Folder():
            part, side = "test" if split == "test" else "train", data.store
        case Pacs() | DomainNet() | Camelyon17() | DomainFolders():
            part = "validation" if split == "test" and not data.held_out else split.replace("pretrain", "train")
            side = camelyon17.SIDE if isinstance(data, Camelyon17) else data.store
            more = {"held_out": list(data.held_out)}
            if isinstance(data, DomainFolders):
                more["validation"] = data.validation
        case _:
            return None
    return {
        "kind": data.kind,
        "part": part,
        "side": side,
        "limit": limit_of(data, split),
        "fingerprint": fingerprint(data, root),
        **more,
    }
