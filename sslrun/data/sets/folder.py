"""Class folders with pictures of any size: `<path>/<train>/<class>/*.jpg` and `<path>/<test>/<class>/*.jpg`.

Pretraining alone needs no `test`, and no classes: `<path>/<train>/*.jpg`.
`data.pictures` finds and decodes them; sets of several domains are in `domain_folders`.
"""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from sslrun.data.dataset import open_dataset
from sslrun.data.listing import Listing, Picture, Split
from sslrun.data.pictures import PictureSet, common_classes, in_class_folders, listed, subfolders
from sslrun.errors import DataError, InputError
from sslrun.recipe.schema import Folder

PUBLISHED = {"imagenet": (1_281_167, 50_000), "imagenette": (9_469, 3_925)}
"""Pictures to train and to test on in the sets that everybody keeps in folders of these names."""
IMAGENET_BYTES = 147_897_477_120 + 6_744_924_160
"""ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar."""
TINY_IMAGENET = "val_annotations.txt"  # beside the pictures of all classes in one folder


@open_dataset.register(Folder)
class FolderSet(PictureSet):
    """Class folders for training and for the test."""

    section: Folder

    def __init__(self, section: Folder, root: Path, fingerprint: str | None = None) -> None:
        super().__init__(section, root, fingerprint)
        self.download_bytes = IMAGENET_BYTES if Path(section.path).name.lower() == "imagenet" else 0

    def published(self) -> dict[Split, int] | None:
        """Those of a set that is known by its folder's name."""
        if (counts := PUBLISHED.get(Path(self.section.path).name.lower())) is None:
            return None
        return {"pretrain": counts[0], "train": counts[0], "test": counts[1]}

    def download(self) -> None:
        data = self.section
        raise InputError(
            "class folders have no downloader",
            where="data.kind",
            remedy=f"Put the pictures under {self.folder}/{data.train}/CLASS/ and .../{data.test}/CLASS/",
        )

    @cached_property
    def found(self) -> dict[str, list[Picture]]:
        """The pictures of the sub-folders that are there: `train`, and `test` if there is one.

        Raises `DataError` for a missing `train`, an empty class, or a file that is no picture.
        """
        data = self.section
        names = [data.train, *([data.test] if (self.folder / data.test).is_dir() else [])]
        return {name: in_class_folders(self._sub_folder(name).parent, name) for name in names}

    def _sub_folder(self, name: str) -> Path:
        """Raises `DataError` if it is not there, or as tiny-imagenet-200 comes."""
        folder, data = self.folder, self.section
        if not (folder / name).is_dir():
            there = ", ".join(subfolders(folder)[:12]) if folder.is_dir() else ""
            hints = [f"Expected {folder}/{data.train}/CLASS/*.jpg and {folder}/{data.test}/CLASS/*.jpg."]
            hints += [f"There are: {there}. Name two of them as data.train and data.test."] if there else []
            if name == data.test:
                hints.append(f"Pretraining alone needs no {name}/: set the evaluations to null.")
            raise DataError("no such folder", where=str(folder / name), remedy="\n".join(hints) + self.whereabouts)
        if (folder / data.test / TINY_IMAGENET).is_file():
            raise DataError(
                f"{data.test}/{TINY_IMAGENET}: this is tiny-imagenet-200 as it is downloaded, not class folders",
                where=str(folder),
                remedy=f"Move each {data.test}/images/*.JPEG to {data.test}/CLASS/ as that file says. Then remove it, "
                f"and {data.train}/*/*_boxes.txt.",
            )
        return folder / name

    def facts(self) -> Iterator[str]:
        """How many pictures each role has, and each with the digest of its content: that fixes the classes too."""
        data = self.section
        for role, name in (("train", data.train), ("test", data.test)):
            if name in self.found:
                yield f"{role} {len(self.found[name])}"
                yield from self.picture_facts(self.found[name])

    def listing(self, split: Split) -> Listing:
        """The pictures of a split by class and name. Raises `DataError` as `found` does, and, where labels are to be
        compared, for a missing `test` and for classes that differ; pretraining looks at `train` alone."""
        data, found = self.section, self.found
        if split == "pretrain":
            found = {data.train: found[data.train]}
        else:
            self._sub_folder(data.test)
        pictures = found[data.test if split == "test" else data.train]
        return listed(self.folder, pictures, common_classes(found, self.folder), data.store)
