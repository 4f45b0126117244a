"""Class folders with pictures of any size: `<path>/<train>/<class>/*.jpg` and `<path>/<test>/<class>/*.jpg`.

`pictures` finds and decodes them; sets of several domains are in `domain_folders`.
"""

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from sslrun.data.dataset import open_dataset
from sslrun.data.listing import Listing, Split
from sslrun.data.pictures import Picture, PictureSet, in_class_folders, reader, subfolders
from sslrun.errors import DataError, InputError
from sslrun.recipe.schema import Folder


@open_dataset.register(Folder)
class FolderSet(PictureSet):
    """Class folders for training and for the test."""

    section: Folder

    def download(self) -> None:
        """Raise `InputError`: they are the user's own."""
        data = self.section
        raise InputError(
            "class folders have no downloader",
            where="data.kind",
            remedy=f"Put the pictures under {self.folder}/{data.train}/CLASS/ and .../{data.test}/CLASS/",
        )

    @cached_property
    def pictures(self) -> dict[str, list[Picture]]:
        """The pictures under `train` and `test`, each list sorted by name.

        Raises `DataError` for a missing folder, an empty class, a file that is no picture, or classes that differ.
        """
        data = self.section
        found = {"train": self._found(data.train), "test": self._found(data.test)}
        train, test = ({picture.label for picture in found[role]} for role in ("train", "test"))
        if train != test:
            lone = sorted(train ^ test)[0]
            has, lacks = (data.train, data.test) if lone in train else (data.test, data.train)
            raise DataError(
                f"class '{lone}' is in {has}/ but not in {lacks}/",
                where=str(self.folder),
                remedy="Both need the same class folders "
                f"({len(train)} in {data.train}/, {len(test)} in {data.test}/).",
            )
        return found

    def _found(self, name: str) -> list[Picture]:
        folder, data = self.folder, self.section
        if not (folder / name).is_dir():
            there = ", ".join(subfolders(folder)[:12]) if folder.is_dir() else ""
            raise DataError(
                "no such folder",
                where=str(folder / name),
                remedy=f"Expected {folder}/{data.train}/CLASS/*.jpg and {folder}/{data.test}/CLASS/*.jpg.\n"
                + (f"There are: {there}. Name two of them as data.train and data.test." if there else ""),
            )
        return in_class_folders(folder, name)

    def facts(self) -> Iterator[str]:
        """How many pictures each role has, and each with its size: that fixes the classes too."""
        for role, pictures in self.pictures.items():
            yield f"{role} {len(pictures)}"
            yield from (f"{picture.name}\0{picture.size}" for picture in pictures)

    def listing(self, split: Split) -> Listing:
        """Raises `DataError` as `pictures` does, and on reading pixels for a picture that can't be decoded."""
        data = self.section
        chosen = self.pictures["test" if split == "test" else "train"]
        class_names = tuple(sorted({picture.label for picture in chosen}))
        number = {name: at for at, name in enumerate(class_names)}
        labels = np.array([number[picture.label] for picture in chosen], dtype=np.int64)
        return Listing(labels, class_names, reader(self.folder, [picture.name for picture in chosen], data.store))
