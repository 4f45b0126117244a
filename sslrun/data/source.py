"""A set of images before its pixels are read: labels, names, shape, and how to read them.

Each source file (`digits`, `stl10`, `cifar`, `folder`, ...) makes one, those of several domains through `domains`;
`sources` turns it into an `ImageSet`.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sslrun.errors import DataError

Split = Literal["pretrain", "train", "validation", "test"]
Progress = Callable[[int, int], None]  # images done, images in all
Labels = NDArray[np.int64]
Pixels = NDArray[np.uint8 | np.float32]


@dataclass(frozen=True, eq=False)
class Source:
    """N images of `shape` (C, H, W). `blocks(index)` yields the images of an ascending index, in order, as
    uint8 arrays (n, C, H, W) of any n; it raises `DataError` for a file that can't be read. Vectors have the shape
    (D,) and come as float32 (n, D).
    """

    labels: Labels  # (N,), -1 for none
    class_names: tuple[str, ...]
    shape: tuple[int, ...]
    blocks: Callable[[Labels], Iterator[Pixels]]
    domains: Labels | None = None  # (N,)
    domain_names: tuple[str, ...] = ()


def evenly(labels: Labels, limit: int | None, domains: Labels | None = None) -> Labels:
    """The ascending index (n,) of at most `limit` images, drawn evenly over the classes by a fixed rule.

    The classes take turns, each giving its next image in file order; one that runs out is passed over. Unlabelled
    images (-1) are one class, the last in turn. With `domains` (N,) each class of each domain takes its turn, first
    the first class of all domains.
    """
    if limit is None or limit >= len(labels):
        return np.arange(len(labels), dtype=np.int64)
    turn = np.where(labels < 0, labels.max() + 1, labels)
    if domains is not None:
        turn = turn * (domains.max() + 1) + domains
    by_class = np.argsort(turn, kind="stable")
    first_of_class = np.searchsorted(turn[by_class], turn[by_class])
    rank = np.empty(len(labels), dtype=np.int64)
    rank[by_class] = np.arange(len(labels)) - first_of_class
    return np.sort(np.lexsort((turn, rank))[:limit]).astype(np.int64)


def in_memory(images: Pixels, labels: Labels, class_names: tuple[str, ...]) -> Source:
    """A source whose `images` (N, C, H, W), or vectors (N, D), have been read already."""

    def blocks(index: Labels) -> Iterator[Pixels]:
        yield images if len(index) == len(images) else images[index]

    return Source(labels, class_names, images.shape[1:], blocks)


def require(files: Iterable[Path], layout: str, name: str, *, downloads: bool = True) -> None:
    """Raise `DataError` for the first of `files` that is not there; `layout` says what should lie where, `downloads`
    whether they can be fetched from here."""
    fetch = ", or fetch it: sslrun data check RECIPE --download" if downloads else "."
    for path in files:
        if not path.is_file():
            raise DataError(
                "no such file",
                where=str(path),
                remedy=f"{name} is expected as {layout}.\n"
                f"Point --data (or SSLRUN_DATA) at the folder that holds it{fetch}",
            )


@contextmanager
def naming_files() -> Iterator[None]:
    """Tell what the file system refuses (a folder without permission, a failing disk) as a `DataError`."""
    try:
        yield
    except OSError as error:
        raise DataError(error.strerror or str(error), where=error.filename and str(error.filename)) from error
