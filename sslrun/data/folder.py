"""Class folders with pictures of any size: `<path>/<train>/<class>/*.jpg` and `<path>/<test>/<class>/*.jpg`.

Pictures become squares of one side, as torchvision's Resize and CenterCrop make them. Decoding is slow, so `cache`
keeps the result.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from sslrun.data.source import Labels, Pixels, Source, Split
from sslrun.errors import DataError
from sslrun.recipe.schema import Folder

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm")
LITTER = ("thumbs.db", "desktop.ini")  # what Windows leaves behind; hidden files are passed over too
BLOCK = 256  # pictures decoded between two writes


class Picture(NamedTuple):
    """One file: its path below the data set's folder with forward slashes, its class, its size in bytes."""

    name: str
    label: str
    size: int


def base(data: Folder, root: Path) -> Path:
    """The data set's folder: `data.path`, below `root` unless it is absolute."""
    return root / Path(data.path).expanduser()


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
        there = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir()) if folder.is_dir() else []
        raise DataError(
            "no such folder",
            where=str(folder / name),
            remedy=f"Expected {folder}/{data.train}/CLASS/*.jpg and {folder}/{data.test}/CLASS/*.jpg.\n"
            + (f"There are: {', '.join(there[:12])}. Name two of them as data.train and data.test." if there else ""),
        )
    classes = sorted(entry.name for entry in os.scandir(folder / name) if entry.is_dir() and entry.name[0] != ".")
    if not classes:
        raise DataError("no class folders", where=str(folder / name), remedy="Expected one folder for each class.")
    found: list[Picture] = []
    for label in classes:
        inside = [Picture(path, label, size) for path, size in _walk(folder, f"{name}/{label}")]
        if not inside:
            raise DataError(
                "no pictures in this class", where=str(folder / name / label), remedy=f"Expected {_endings()}."
            )
        found += sorted(inside)
    return found


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


def read(data: Folder, root: Path, split: Split) -> Source:
    """Colour images (N, 3, store, store). Raises `DataError` as `pictures` and, on reading pixels, `decode` do."""
    chosen = pictures(data, root)["test" if split == "test" else "train"]
    class_names = tuple(sorted({picture.label for picture in chosen}))
    number = {name: at for at, name in enumerate(class_names)}
    labels = np.array([number[picture.label] for picture in chosen], dtype=np.int64)

    def blocks(index: Labels) -> Iterator[Pixels]:
        folder = base(data, root)
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow works outside Python's lock
            for at in range(0, len(index), BLOCK):
                paths = [folder / chosen[i].name for i in index[at : at + BLOCK]]
                yield np.stack(list(pool.map(lambda path: decode(path, data.store), paths)))

    return Source(labels, class_names, (3, data.store, data.store), blocks)


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
