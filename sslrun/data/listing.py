"""The images of one split before their pixels are read: labels, names, and how to read them.

Each kind of `dataset` makes them; `cache.decoded` and `cache.make` read the pixels.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from sslrun.errors import DataError

Split = Literal["pretrain", "train", "validation", "test"]
Progress = Callable[[int, int], None]  # images done, images in all
Labels = NDArray[np.int64]
Pixels = NDArray[np.uint8 | np.float32]


class FileState(NamedTuple):
    """What tells, without reading a file, whether it may have changed: its size in bytes, and when its content and its
    entry were last changed, in nanoseconds."""

    size: int
    modified: int
    changed: int

    @classmethod
    def of(cls, found: os.stat_result) -> Self:
        """As the file system has it."""
        return cls(found.st_size, found.st_mtime_ns, found.st_ctime_ns)


class Picture(NamedTuple):
    """One file: its path below the data set's folder with forward slashes, its class (empty if it has none)."""

    name: str
    label: str
    state: FileState


@dataclass(frozen=True, eq=False)
class Listing:
    """N images. `blocks(index)` yields those of an ascending index, in order, as uint8 arrays (n, C, H, W) of any n,
    or vectors as float32 (n, D); it raises `DataError` for a file that can't be read.

    Raises `ValueError` where numbers and names don't fit together.
    """

    labels: Labels  # (N,), -1 for none
    class_names: tuple[str, ...]
    blocks: Callable[[Labels], Iterator[Pixels]]
    domains: Labels | None = None  # (N,)
    domain_names: tuple[str, ...] = ()
    validation: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))
    """(N,), where they have domains: whether an image is held out from learning in its domain."""
    pictures: Sequence[Picture] = ()  # of all images, where each has its own file

    def __post_init__(self) -> None:
        check_numbers("labels", self.labels, len(self.labels), self.class_names)
        if self.domains is not None:
            check_numbers("domains", self.domains, len(self.labels), self.domain_names)


def check_numbers(what: str, numbers: Any, count: int, names: Sequence[str]) -> None:
    """Raise `ValueError` for labels or domains, an array or a tensor, that are no int64 (`count`,) of places in `names`
    (-1 for none)."""
    kind, shape = str(numbers.dtype).removeprefix("torch."), tuple(numbers.shape)
    if kind != "int64" or shape != (count,):
        raise ValueError(f"{what} must be int64 ({count},), not {kind} {shape}")
    if count and (int(numbers.min()) < -1 or int(numbers.max()) >= len(names)):
        told = f"{what} run from {int(numbers.min())} to {int(numbers.max())}, with {len(names)} names"
        raise ValueError(f"{told}: they are places in these, from 0, or -1 for none")


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
    return np.sort(np.lexsort((turn, places(turn)))[:limit]).astype(np.int64)


def places(labels: Labels) -> Labels:
    """How many images of its class come before each, (N,)."""
    by_class = np.argsort(labels, kind="stable")
    found = np.empty(len(labels), dtype=np.int64)
    found[by_class] = np.arange(len(labels)) - np.searchsorted(labels[by_class], labels[by_class])
    return found


def in_memory(images: Pixels, labels: Labels, class_names: tuple[str, ...]) -> Listing:
    """A listing whose `images`, uint8 (N, C, H, W), or vectors, float32 (N, D), have been read already. Raises
    `ValueError` for others, or another number of labels."""
    if (images.dtype.name, images.ndim) not in (("uint8", 4), ("float32", 2)):
        what = f"{images.dtype} {images.shape}"
        raise ValueError(f"images are uint8 (N, C, H, W), or vectors float32 (N, D), not {what}")
    if len(images) != len(labels):
        raise ValueError(f"{len(images)} images with {len(labels)} labels")

    def blocks(index: Labels) -> Iterator[Pixels]:
        yield images if len(index) == len(images) else images[index]

    return Listing(labels, class_names, blocks)


@contextmanager
def naming_files() -> Iterator[None]:
    """Tell what the file system refuses (a folder without permission, a failing disk) as a `DataError`."""
    try:
        yield
    except OSError as error:
        raise DataError(error.strerror or str(error), where=error.filename and str(error.filename)) from error
