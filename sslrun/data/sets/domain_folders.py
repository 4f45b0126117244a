"""Any pictures sorted as `<path>/<domain>/<class>/*.jpg`, or without classes: the folders' names are domains and
classes.

Which pictures are held out from learning is decided by their names, so that adding some moves few of the others.
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sslrun.data.dataset import open_dataset
from sslrun.data.domains import DomainSet
from sslrun.data.listing import Listing, Picture
from sslrun.data.pictures import PictureSet, common_classes, every_picture, in_class_folders, listed, subfolders
from sslrun.errors import DataError
from sslrun.recipe.messages import nearest
from sslrun.recipe.schema import DomainFolders


@open_dataset.register(DomainFolders)
class DomainFoldersSet(DomainSet, PictureSet):
    """All pictures, by domain, class and name."""

    section: DomainFolders

    def decoding(self) -> dict[str, Any]:
        classes = {} if self.section.classes else {"classes": False}
        return super().decoding() | {"validation": self.section.validation} | classes

    def facts(self) -> Iterator[str]:
        """Each picture with the digest of its content."""
        return self.picture_facts(self.whole.pictures)

    def find(self) -> Listing:
        """Raises `DataError` for a missing folder, an empty class, a file that is no picture, one that is in no
        domain's folder, domains whose classes differ, and a `held_out` that names no domain or leaves none."""
        folder = self.folder
        layout = f"Expected {folder}/DOMAIN/{'CLASS/' * self.section.classes}*.jpg."
        if not folder.is_dir():
            raise DataError("no such folder", where=str(folder), remedy=layout + self.whereabouts)
        names = tuple(subfolders(folder, "domain"))
        if len(names) < 2:
            raise DataError(f"{len(names)} folders, where each is a domain", where=str(folder), remedy=layout)
        _check_held_out(self.section.held_out, names, folder)
        found = in_class_folders if self.section.classes else every_picture
        by_domain = {name: found(folder, name) for name in names}
        classes = common_classes(by_domain, folder)
        return listed(
            folder,
            [picture for inside in by_domain.values() for picture in inside],
            classes,
            self.section.store,
            domains=np.repeat(np.arange(len(names)), [len(inside) for inside in by_domain.values()]),
            domain_names=names,
            validation=np.concatenate(
                [_held_out_from_learning(inside, self.section.validation) for inside in by_domain.values()]
            ),
        )


def _check_held_out(held_out: tuple[str, ...], names: tuple[str, ...], folder: Path) -> None:
    for name in held_out:
        if name not in names:
            raise DataError(
                f"'{name}' is no domain of {folder}",
                where="data.held_out",
                remedy=f"{nearest(name, names)}  (domains: {', '.join(names)})".strip(),
            )
    if len(held_out) == len(names):
        raise DataError("all domains are held out: none is left to learn from", where="data.held_out")


def _held_out_from_learning(inside: list[Picture], share: float) -> NDArray[np.bool_]:
    """Of each class of a domain those pictures whose names have the lowest digests: `share` of them, rounded, but at
    least one and not all, if there are two."""
    digests = [hashlib.sha256(os.fsencode(picture.name)).digest() for picture in inside]
    chosen = np.zeros(len(inside), dtype=np.bool_)
    for label in {picture.label for picture in inside}:
        places = sorted((at for at, picture in enumerate(inside) if picture.label == label), key=digests.__getitem__)
        count = min(max(1, int(share * len(places) + 0.5)), len(places) - 1)
        chosen[places[:count]] = True
    return chosen
