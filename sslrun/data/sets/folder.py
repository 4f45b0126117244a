"""Class folders with pictures of any size: `<path>/<train>/<class>/*.jpg` and `<path>/<test>/<class>/*.jpg`.

`data.pictures` finds and decodes them; sets of several domains are in `domain_folders`.
"""

from collections.abc import Iterator
from functools import cached_property

from sslrun.data.dataset import open_dataset
from sslrun.data.listing import Listing, Picture, Split
from sslrun.data.pictures import PictureSet, common_classes, in_class_folders, listed, subfolders
from sslrun.errors import DataError, InputError
from sslrun.recipe.schema import Folder


@open_dataset.register(Folder)
class FolderSet(PictureSet):
    """Class folders for training and for the test."""

    section: Folder

    def download(self) -> None:
        data = self.section
        raise InputError(
            "class folders have no downloader",
            where="data.kind",
            remedy=f"Put the pictures under {self.folder}/{data.train}/CLASS/ and .../{data.test}/CLASS/",
        )

    @cached_property
    def listings(self) -> dict[str, Listing]:
        """The pictures under `train` and `test`, sorted by name.

        Raises `DataError` for a missing folder, an empty class, a file that is no picture, or classes that differ.
        """
        data = self.section
        found = {name: self._found(name) for name in (data.train, data.test)}
        classes = common_classes(found, self.folder)
        return {
            role: listed(self.folder, found[name], classes, data.store)
            for role, name in (("train", data.train), ("test", data.test))
        }

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
        for role, listing in self.listings.items():
            yield f"{role} {len(listing.pictures)}"
            yield from (picture.fact for picture in listing.pictures)

    def listing(self, split: Split) -> Listing:
        return self.listings["test" if split == "test" else "train"]
