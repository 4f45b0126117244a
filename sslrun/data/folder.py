"""Class folders with pictures of any size: `<path>/<train>/<class>/*.jpg` and `<path>/<test>/<class>/*.jpg`.

`pictures` finds and decodes them; sets of several domains are in `domain_folders`.
"""

from pathlib import Path

import numpy as np

from sslrun.data.pictures import Picture, base, decoded, in_class_folders, subfolders
from sslrun.data.source import Source, Split
from sslrun.errors import DataError
from sslrun.recipe.schema import Folder


def pictures(data: Folder, root: Path) -> dict[str, list[Picture]]:
    """The pictures under `train` and `test`, each list sorted by name.

    Raises `DataError` for a missing folder, an empty class, a file that is no picture, or classes that differ.
    """
    found = {"train": _split(data, root, data.train), "test": _split(data, root, data.test)}
    train, test = ({picture.label for picture in found[role]} for role in ("train", "test"))
    if train != test:
        lone = sorted(train ^ test)[0]
        has, lacks = (data.train, data.test) if lone in train else (data.test, data.train)
        raise DataError(
            f"class '{lone}' is in {has}/ but not in {lacks}/",
            where=str(base(data, root)),
            remedy=f"Both need the same class folders ({len(train)} in {data.train}/, {len(test)} in {data.test}/).",
        )
    return found


def _split(data: Folder, root: Path, name: str) -> list[Picture]:
    folder = base(data, root)
    if not (folder / name).is_dir():
        there = subfolders(folder) if folder.is_dir() else []
        raise DataError(
            "no such folder",
            where=str(folder / name),
            remedy=f"Expected {folder}/{data.train}/CLASS/*.jpg and {folder}/{data.test}/CLASS/*.jpg.\n"
            + (f"There are: {', '.join(there[:12])}. Name two of them as data.train and data.test." if there else ""),
        )
    return in_class_folders(folder, name)


def read(data: Folder, root: Path, split: Split) -> Source:
    """Colour images (N, 3, store, store). Raises `DataError` as `pictures` does, and on reading pixels
    for one that can't be decoded."""
    chosen = pictures(data, root)["test" if split == "test" else "train"]
    class_names = tuple(sorted({picture.label for picture in chosen}))
    number = {name: at for at, name in enumerate(class_names)}
    labels = np.array([number[picture.label] for picture in chosen], dtype=np.int64)
    blocks = decoded(base(data, root), [picture.name for picture in chosen], data.store)
    return Source(labels, class_names, (3, data.store, data.store), blocks)
