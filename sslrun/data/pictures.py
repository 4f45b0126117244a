"""Pictures in files: found in class folders, known by their content, decoded to squares of one side.

`decoding` and `digests` read them. `domains` and `picture_lists` go on from here.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sslrun.data import decoding, digests
from sslrun.data.dataset import Dataset
from sslrun.data.listing import FileState, Labels, Listing, Picture, Split
from sslrun.errors import DataError, InputError
from sslrun.files import litter
from sslrun.paths import user_path

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm")


class PictureSet(Dataset):
    """A set of pictures below the section's `path`, decoded to squares of its `store`."""

    section: Any
    cached = True

    @property
    def folder(self) -> Path:
        """The section's `path`, below the data folder unless it is absolute."""
        return self.root / user_path(self.section.path, "data.path")

    @property
    def whereabouts(self) -> str:
        """For the remedy where `folder` is not there: what a relative path is relative to."""
        path = user_path(self.section.path, "data.path")
        told = (
            f"\ndata.path ({self.section.path}) is relative to --data, which is {self.root}, even if a recipe says "
            f"./; --set data.path=./{path} begins here."
        )
        return "" if path.is_absolute() else told

    @property
    def shape(self) -> tuple[int, ...]:
        return 3, self.section.store, self.section.store

    @property
    def place(self) -> str:
        return str(self.folder)

    def picture_facts(self, pictures: Sequence[Picture], below: str = "") -> Iterator[str]:
        """Each picture with the digest of its content; their names are below `folder/below`."""
        return digests.facts(self.folder / below, [(one.name, one.state) for one in pictures], self.root)

    @property
    def below(self) -> str:
        """The sub-folder that names of pictures start from; none if empty."""
        return ""

    def chosen(self, split: Split, *, empty: bool = False) -> tuple[Listing, Labels]:
        """Raises `Unreadable` for pictures that are empty, before any is decoded, unless these may be among them; and
        `DataError` for those that are to judge, where none has a label."""
        listing, index = super().chosen(split)
        pictures = [listing.pictures[at] for at in index.tolist()]
        if not empty and (of_no_bytes := [one for one in pictures if one.state.size == 0]):
            place = self.folder / self.below
            bad = [DataError("an empty file", where=str(place / one.name)) for one in of_no_bytes]
            raise decoding.Unreadable(bad, len(index))
        if split != "pretrain" and self.section.labelled and not any(one.label for one in pictures):
            unlabelled = "data.classes: false" if self.section.SEVERAL_DOMAINS else "data.kind: pictures"
            raise DataError(
                "no class folders, so these pictures have no labels",
                where=str((self.folder / pictures[0].name).parent),
                remedy="Evaluations compare labels: sort the pictures into one folder for each class. "
                f"Pretraining alone needs none: {unlabelled}, or set the evaluations to null.",
            )
        return listing, index

    def download(self) -> None:
        """Raise `InputError`: pictures in files come from their publishers, or are one's own."""
        raise InputError(
            f"{self.section.kind} has no downloader",
            where="data.kind",
            remedy=f"Get it from its publishers and unpack it at {self.folder}; without --download this command "
            "says what should lie there.",
        )


def in_class_folders(folder: Path, below: str) -> list[Picture]:
    """The pictures under `folder/below/CLASS/`, by class and name; without class folders, those of `folder/below`
    itself, which have no label.

    Raises `DataError` for a folder without pictures, an empty class, a file that is no picture, or a picture beside
    class folders.
    """
    classes = subfolders(folder / below, "class")
    if not classes:
        if unlabelled := sorted(_walk(folder, below, "")):
            return unlabelled
        raise DataError(
            "no class folders, and no pictures",
            where=str(folder / below),
            remedy="Expected one folder for each class; or pictures without classes, for pretraining alone.",
        )
    found: list[Picture] = []
    for label in classes:
        inside = list(_walk(folder, f"{below}/{label}", label))
        if not inside:
            raise DataError(
                "no pictures in this class", where=str(folder / below / label), remedy=f"Expected {_endings()}."
            )
        found += sorted(inside)
    return found


def every_picture(folder: Path, below: str = "", whereabouts: str = "") -> list[Picture]:
    """All pictures in `folder/below`, at any depth, by name; what is none is passed over. A remedy ends in
    `whereabouts`.

    Raises `DataError` for a folder that is not there, or has no pictures.
    """
    place = folder / below
    if not place.is_dir():
        remedy = f"Name one with pictures in it, at any depth.{whereabouts}"
        raise DataError("no such folder", where=str(place), remedy=remedy)
    if found := sorted(_walk(folder, below, "", only=False)):
        return found
    raise DataError("no pictures in this folder", where=str(place), remedy=f"Expected {_endings()}, at any depth.")


def common_classes(found: Mapping[str, Sequence[Picture]], folder: Path) -> tuple[str, ...]:
    """The classes that the pictures of each sub-folder have, sorted. Raises `DataError` if these differ."""
    labels = {name: {picture.label for picture in pictures} - {""} for name, pictures in found.items()}
    first, *others = labels.items()
    for name, classes in others:
        if classes != first[1]:
            lone = sorted(classes ^ first[1])[0]
            has, lacks = (first[0], name) if lone in first[1] else (name, first[0])
            raise DataError(
                f"class '{lone}' is in {has}/ but not in {lacks}/"
                + ", which has no class folders" * (not labels[lacks]),
                where=str(folder),
                remedy=f"{', '.join(found)} need the same class folders: add its pictures, or move it away everywhere.",
            )
    return tuple(sorted(first[1]))


def subfolders(folder: Path, each: str = "") -> list[str]:
    """The names of the folders in `folder`, sorted, without hidden ones and what systems leave behind.

    Where `each` is a thing of its own (a class, a domain), raises `DataError` for a picture beside them.
    """
    with os.scandir(folder) as entries:
        ours = [(entry.name, entry.is_dir()) for entry in entries if not litter(entry.name)]
    names = sorted(name for name, is_folder in ours if is_folder)
    beside = sorted(name for name, is_folder in ours if not is_folder and name.lower().endswith(ENDINGS))
    if each and names and beside:
        raise DataError(
            f"a picture beside folders that are each a {each}: it is of none",
            where=str(folder / beside[0]),
            remedy=f"Move it into the folder of its {each}, or elsewhere.",
        )
    return names


def _walk(folder: Path, below: str, label: str, only: bool = True) -> Iterator[Picture]:
    """All pictures under `folder/below`, at any depth, with `label`; their paths are relative to `folder`. Raises
    `DataError` for what is no picture, if there may be `only` such."""
    for entry in os.scandir(folder / below):
        name = f"{below}/{entry.name}" if below else entry.name
        if litter(entry.name):
            continue
        if entry.is_dir():
            if entry.is_symlink():
                _leads_elsewhere(folder / name)
            yield from _walk(folder, name, label, only)
        elif entry.name.lower().endswith(ENDINGS) and entry.is_file():
            yield Picture(name, label, FileState.of(entry.stat()))
        elif entry.is_symlink() and not Path(entry).exists():
            target = os.path.realpath(entry)
            raise DataError(f"a link to {target}, which is not there", where=entry.path, remedy="Mend or remove it.")
        elif only:
            place = "inside a class folder" if label else "where pictures or class folders belong"
            raise DataError(
                f"not a picture, but {place}",
                where=str(folder / name),
                remedy=f"Pictures end in {_endings()}. Move other files elsewhere.",
            )


def _leads_elsewhere(link: Path) -> None:
    """Raise `DataError` for a link to a folder that it lies in itself."""
    target = Path(os.path.realpath(link))
    if target in Path(os.path.realpath(link.parent), link.name).parents:
        raise DataError(
            f"a link to {target}, a folder that it lies in",
            where=str(link),
            remedy="Remove it: that folder's pictures are found without it.",
        )


def _endings() -> str:
    return ", ".join(ENDINGS[:-1]) + f" or {ENDINGS[-1]}"


def listed(
    folder: Path, pictures: Sequence[Picture], class_names: tuple[str, ...], side: int, **domains: Any
) -> Listing:
    """The listing of pictures below `folder`, decoded to squares of `side`; `domains` are its fields about these."""
    number = {"": -1} | {name: at for at, name in enumerate(class_names)}
    labels = np.array([number[picture.label] for picture in pictures], dtype=np.int64)
    blocks = partial(decoding.blocks, folder, pictures, side)
    return Listing(labels, class_names, blocks, pictures=pictures, **domains)
