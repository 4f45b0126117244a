"""Pictures in files: found in class folders, and decoded to squares of one side.

Squares are as torchvision's Resize and CenterCrop make them. Decoding is slow, so `cache` keeps the result. `domains`
and `picture_lists` go on from here.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from sslrun.data.dataset import Dataset
from sslrun.data.listing import Labels, Listing, Picture, Pixels
from sslrun.errors import DataError, InputError
from sslrun.limits import cores
from sslrun.paths import user_path

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm")
LITTER = ("thumbs.db", "desktop.ini")  # what Windows leaves behind; hidden files are passed over too
BLOCK = 256  # pictures decoded between two writes


class PictureSet(Dataset):
    """A set of pictures below the section's `path`, decoded to squares of its `store`."""

    section: Any
    cached = True

    @property
    def folder(self) -> Path:
        """The section's `path`, below the data folder unless it is absolute."""
        return self.root / user_path(self.section.path, "data.path")

    @property
    def shape(self) -> tuple[int, ...]:
        return 3, self.section.store, self.section.store

    @property
    def place(self) -> str:
        return str(self.folder)

    def download(self) -> None:
        """Raise `InputError`: pictures in files come from their publishers, or are one's own."""
        raise InputError(
            f"{self.section.kind} has no downloader",
            where="data.kind",
            remedy=f"Get it from its publishers and unpack it at {self.folder}; without --download this command "
            "says what should lie there.",
        )


def in_class_folders(folder: Path, below: str) -> list[Picture]:
    """The pictures under `folder/below/CLASS/`, by class and name.

    Raises `DataError` for a folder without class folders, an empty class, or a file that is no picture.
    """
    classes = subfolders(folder / below)
    if not classes:
        raise DataError("no class folders", where=str(folder / below), remedy="Expected one folder for each class.")
    found: list[Picture] = []
    for label in classes:
        inside = [Picture(path, label, size) for path, size in _walk(folder, f"{below}/{label}")]
        if not inside:
            raise DataError(
                "no pictures in this class", where=str(folder / below / label), remedy=f"Expected {_endings()}."
            )
        found += sorted(inside)
    return found


def common_classes(found: Mapping[str, Sequence[Picture]], folder: Path) -> tuple[str, ...]:
    """The classes that the pictures of each sub-folder have, sorted. Raises `DataError` if these differ."""
    first, *others = ((name, {picture.label for picture in pictures}) for name, pictures in found.items())
    for name, classes in others:
        if classes != first[1]:
            lone = sorted(classes ^ first[1])[0]
            has, lacks = (first[0], name) if lone in first[1] else (name, first[0])
            raise DataError(
                f"class '{lone}' is in {has}/ but not in {lacks}/",
                where=str(folder),
                remedy=f"{', '.join(found)} need the same class folders.",
            )
    return tuple(sorted(first[1]))


def subfolders(folder: Path) -> list[str]:
    """The names of the folders in `folder`, sorted, without hidden ones."""
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and entry.name[0] != ".")


def _walk(folder: Path, below: str) -> Iterator[tuple[str, int]]:
    """All pictures under `folder/below`, at any depth: path relative to `folder`, and size."""
    for entry in os.scandir(folder / below):
        name = f"{below}/{entry.name}"
        if entry.name.startswith(".") or entry.name.lower() in LITTER:
            continue
        if entry.is_dir():
            yield from _walk(folder, name)
        elif entry.name.lower().endswith(ENDINGS) and entry.is_file():
            yield name, entry.stat().st_size
        else:
            raise DataError(
                "not a picture, but inside a class folder",
                where=str(folder / name),
                remedy=f"Pictures end in {_endings()}. Move other files out of the class folders.",
            )


def _endings() -> str:
    return ", ".join(ENDINGS[:-1]) + f" or {ENDINGS[-1]}"


def listed(
    folder: Path, pictures: Sequence[Picture], class_names: tuple[str, ...], side: int, **domains: Any
) -> Listing:
    """The listing of pictures below `folder`, decoded to squares of `side`; `domains` are its fields about these."""
    number = {name: at for at, name in enumerate(class_names)}
    labels = np.array([number[picture.label] for picture in pictures], dtype=np.int64)

    def blocks(index: Labels) -> Iterator[Pixels]:
        with ThreadPoolExecutor(cores()) as pool:  # Pillow works outside Python's lock
            for at in range(0, len(index), BLOCK):
                paths = [folder / pictures[i].name for i in index[at : at + BLOCK]]
                yield np.stack(list(pool.map(lambda path: decode(path, side), paths)))

    return Listing(labels, class_names, blocks, pictures=pictures, **domains)


def decode(path: Path, side: int) -> Pixels:
    """One picture as RGB (3, side, side): turned upright as its EXIF says, short side scaled to `side` (bilinear,
    antialiased), centre cut out. Raises `DataError` naming the file if it can't be read or has 16 or 32 bits a value.
    """
    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file)
            if image.mode[0] in "IF":
                raise DataError(
                    f"{image.mode} picture: more than 8 bits a value", where=str(path), remedy="Convert it to 8 bits."
                )
            # Through RGBA, or Pillow warns of palettes with transparency; the colours are the same.
            image = (image.convert("RGBA") if image.mode == "P" else image).convert("RGB")
    except DataError:
        raise
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged files
        raise DataError(
            f"not readable as a picture: {error or type(error).__name__}",
            where=str(path),
            remedy="It is cut off, damaged or not a picture. Put a good copy in its place, or delete it.",
        ) from error
    width, height = (edge * side // min(image.size) for edge in image.size)
    left, top = round((width - side) / 2), round((height - side) / 2)
    if (width, height) != image.size:
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image.crop((left, top, left + side, top + side))).transpose(2, 0, 1)
