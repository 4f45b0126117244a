"""STL-10 in its binary layout: `stl10_binary/{train,test,unlabeled}_X.bin` and `{train,test}_y.bin`.

Each image is 3 × 96 × 96 bytes, every channel in column-major order; labels are bytes 1..10.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sslrun.data.dataset import open_dataset
from sslrun.data.listing import Labels, Listing, Pixels, Split
from sslrun.data.published import PublishedSet
from sslrun.errors import DataError
from sslrun.recipe.schema import Stl10

FOLDER = "stl10_binary"
SHAPE = (3, 96, 96)
IMAGE_BYTES = 3 * 96 * 96
CLASSES = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")
BLOCK = 256  # images read at once


@open_dataset.register(Stl10)
class Stl10Set(PublishedSet):
    """Colour images; those without a label serve pretraining alone."""

    section: Stl10
    shape = SHAPE
    cached = True
    folder = FOLDER
    layout = f"{FOLDER}/ with train_X.bin, train_y.bin, test_X.bin, test_y.bin, unlabeled_X.bin"
    title = "STL-10"
    download_bytes = 2_640_000_000

    @property
    def files(self) -> list[Path]:
        """Those that a recipe needs; the unlabelled images only if it pretrains on them."""
        names = ["train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin"]
        if self.section.pretrain != "train":
            names.append("unlabeled_X.bin")
        return [self.root / FOLDER / name for name in names]

    def published(self) -> dict[Split, int]:
        """5,000 labelled images to train on, 100,000 without label, 8,000 to test on."""
        counts: dict[str, int] = {"train": 5_000, "unlabeled": 100_000, "train+unlabeled": 105_000}
        return {"pretrain": counts[self.section.pretrain], "train": 5_000, "test": 8_000}

    def part(self, split: Split) -> str:
        """`train`, `test`, `unlabeled` or `train+unlabeled`."""
        return self.section.pretrain if split == "pretrain" else super().part(split)

    def listing(self, split: Split) -> Listing:
        """Raises `DataError` for a file that is missing or has the wrong length."""
        self.require_files()
        maps, labels = [], []
        for name in self.part(split).split("+"):
            images = _map(self.root / FOLDER / f"{name}_X.bin", self.again)
            maps.append(images)
            path = self.root / FOLDER / f"{name}_y.bin"
            labels.append(_labels(path, len(images), self.again) if name != "unlabeled" else np.full(len(images), -1))

        def blocks(index: Labels) -> Iterator[Pixels]:
            start = 0
            for images in maps:
                here = index[(index >= start) & (index < start + len(images))] - start
                for at in range(0, len(here), BLOCK):
                    yield np.ascontiguousarray(images[here[at : at + BLOCK]].transpose(0, 1, 3, 2))
                start += len(images)

        return Listing(np.concatenate(labels), CLASSES, blocks)


def _map(path: Path, remedy: str) -> Pixels:
    size = path.stat().st_size
    if size == 0 or size % IMAGE_BYTES:
        raise DataError(
            f"{size:,} bytes are not a whole number of images of {IMAGE_BYTES:,} bytes: cut off, or another file",
            where=str(path),
            remedy=remedy,
        )
    return np.memmap(path, np.uint8, "r").reshape(-1, *SHAPE)


def _labels(path: Path, count: int, remedy: str) -> Labels:
    labels = np.fromfile(path, np.uint8).astype(np.int64)
    if len(labels) != count or labels.min() < 1 or labels.max() > len(CLASSES):
        raise DataError(
            f"expected {count:,} bytes from 1 to {len(CLASSES)}, one label for each image of the _X.bin file beside it",
            where=str(path),
            remedy=remedy,
        )
    return labels - 1
