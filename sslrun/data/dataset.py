"""A data set, opened once: its shape, splits, fingerprint and images, each found when first asked for and then kept.

`open_dataset` opens what a recipe's `data` section names. One class does one kind (`sslrun.data.sets` has ours, a
plug-in its own) and is registered for its section. Only `images` needs torch; `cache` keeps what is slow to decode.
"""

import hashlib
import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import cached_property, singledispatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sslrun.data import cache
from sslrun.data.cache import Decoded
from sslrun.data.listing import Labels, Listing, Progress, Split, evenly, naming_files, places
from sslrun.errors import DataError, InputError
from sslrun.recipe.schema import Data, DomainSection, Tunable
from sslrun.recipe.schema.base import concrete, kinds
from sslrun.recipe.schema.judging import Counts

if TYPE_CHECKING:
    from sslrun.data.images import ImageSet


class Dataset(ABC):
    """What a `data` section names below the data folder `root`. Opening reads nothing.

    A kind says its `shape`, the `facts` of its content and the `listing` of each split; the rest has defaults for
    images that are built in and quick to make. A pickled data set holds no images: it is opened anew where it
    arrives, with the fingerprint and the counts if these were known.
    """

    section: Data
    splits: tuple[Split, ...] = ("pretrain", "train", "test")
    cached = False
    """Whether its images are slow to read, and so decoded once, into the cache."""
    title = layout = ""
    """What people call it, and as which files they expect it (`{place}` is its place); for sets that need `files`."""
    fetch = ""
    """The command that fetches it, whatever the recipe; empty where there is none."""
    download_bytes = 0
    """About how large its files are as its publishers give them out; 0 if that is not known."""

    def __init__(self, section: Data, root: Path, fingerprint: str | None = None) -> None:
        self.section, self.root, self._handed = section, root, fingerprint
        self._images: dict[str, ImageSet] = {}
        self._held: dict[str, Decoded] = {}
        self.counted: dict[str, Counts] = {}
        """What `counts` has found so far: what one knows, another open set of the same images may be given."""

    def __reduce__(self) -> tuple[Any, ...]:
        return open_dataset, (self.section, self.root, vars(self).get("fingerprint")), {"counted": self.counted}

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """(C, H, W) of its images, or (D,) of its vectors, whether or not they are there."""

    @abstractmethod
    def facts(self) -> Iterator[str]:
        """The lines that tell this content from any other of its kind, wherever it lies."""

    @abstractmethod
    def listing(self, split: Split) -> Listing:
        """All images of a split. Raises `DataError` for files that are missing or foreign."""

    @property
    def place(self) -> str:
        """What holds it, for people."""
        return "built in"

    @property
    def files(self) -> list[Path]:
        """The files without which nothing can be listed."""
        return []

    def published(self) -> dict[Split, int] | None:
        """How many images its splits have as published, for plans without it; None if that is not fixed."""
        return None

    def require_files(self) -> None:
        """Raise `DataError` for the first of its files that is not there."""
        fetch = f", or fetch it: {self.fetch}" if self.fetch else "."
        for path in self.files:
            if not path.is_file():
                raise DataError(
                    "no such file",
                    where=str(path),
                    remedy=f"{self.title} is expected as {self.layout.replace('{place}', self.place)}.\n"
                    f"Point --data (or SSLRUN_DATA) at the folder that holds it{fetch}",
                )

    def download(self) -> None:
        """Fetch what is missing. Raises `InputError` if it can't be fetched, `DataError` if that fails."""
        return

    def part(self, split: Split) -> str:
        """The name of the images that a split is. Raises `InputError` for a split that there is not."""
        if split == "validation" and split not in self.splits:
            having = ", ".join(kind for section in concrete(DomainSection) for kind in kinds(section))
            raise InputError(
                f"{self.section.kind} has no validation images",
                where="data.kind",
                remedy=f"Sets of several domains have some: {having}.",
            )
        return "train" if split == "pretrain" else split

    def decoding(self) -> dict[str, Any]:
        """The options, beside those that all kinds have, that decide which images a part has in the cache."""
        return {}

    @cached_property
    def fingerprint(self) -> str:
        """64 hex digits that name its content, the same on every machine: part of a run's identity.

        What a recipe does with the images is the recipe's to hash. Raises `DataError` for a missing file or folder.
        """
        return self._handed or self._digest()

    @naming_files()
    def _digest(self) -> str:
        content = hashlib.sha256(f"{self.section.kind}\n".encode())
        for line in self.facts():
            content.update(os.fsencode(f"{line}\n"))
        return content.hexdigest()

    def limit(self, split: Split) -> int | None:
        """The most images of a split that are used; those that judge are always whole."""
        return None if split in ("validation", "test") else self.section.limit

    @naming_files()
    def chosen(self, split: Split, *, empty: bool = False) -> tuple[Listing, Labels]:
        """The images of a split, and the ascending index of those that `data.limit` leaves; files of pictures that are
        `empty` may be refused."""
        self.part(split)
        if self._handed is not None and self._digest() != self.fingerprint:
            raise DataError("the images have changed since they were looked at", where=self.place, remedy="Try again.")
        self._handed = None
        tuning = isinstance(self.section, Tunable) and self.section.tuning
        listing = self.listing("train" if tuning else split)
        if tuning:
            fifth_N = places(listing.labels) % 5 == 4
            index = np.flatnonzero(fifth_N if split == "test" else ~fifth_N)
            return listing, index[evenly(listing.labels[index], self.limit(split))]
        return listing, evenly(listing.labels, self.limit(split), listing.domains)

    def images(self, split: Split, progress: Progress | None = None) -> "ImageSet":
        """The images of a split, in memory or mapped from the cache.

        `progress(done, total)` is called while they are decoded into the cache, which happens once. Raises
        `DataError` naming the file that is missing, cut off or foreign, and `InputError` for a split there is not.
        """
        part = self.part(split)
        if part not in self._images:
            self._images[part] = self._read(split, progress)
        return self._images[part]

    @naming_files()
    def some(self, split: Split, rows: Callable[[Labels, Labels | None], Labels]) -> "ImageSet":
        """A few images of a split, for a look: those at the ascending `rows` (n,) that are chosen by the labels and the
        domains of all. No others are decoded for it. Raises as `images` does."""
        import torch

        if self.decoded(split):
            whole = self.images(split)
            domains = None if whole.domains is None else whole.domains.numpy()
            return whole.subset(torch.from_numpy(rows(whole.labels.numpy(), domains)))
        listing, index = self.chosen(split)
        domains = None if listing.domains is None else listing.domains[index]
        return _image_set(cache.decoded(listing, index[rows(listing.labels[index], domains)]))

    @naming_files()
    def _read(self, split: Split, progress: Progress | None) -> "ImageSet":
        key = self.cache_key(split)
        if key is None:
            return _image_set(self._hold(split))
        made = cache.find(self.root, key)
        return _image_set(made or cache.make(self.root, key, self.shape, lambda: self.chosen(split), progress))

    def cache_key(self, split: Split) -> dict[str, Any] | None:
        """What the decoded images of a split depend on; None for sets that are read directly."""
        part = self.part(split)
        if not self.cached:
            return None
        return {
            "kind": self.section.kind,
            "part": part,
            "side": self.shape[-1],
            "limit": self.limit(split),
            "fingerprint": self.fingerprint,
            **self.decoding(),
        }

    def decoded(self, split: Split) -> bool:
        """Whether the images of a split are there without decoding: they are in the cache, or need none."""
        key = self.cache_key(split)
        return key is None or cache.find(self.root, key) is not None

    def counts(self, split: Split) -> Counts:
        """How many images of a split are used, of each domain and class, without decoding. Raises as `chosen` does."""
        if split not in self.counted:
            self.counted[split] = self._count(split)
        return self.counted[split]

    @naming_files()
    def _count(self, split: Split) -> Counts:
        found: Decoded | Listing | None = self._held.get(self.part(split))
        key = self.cache_key(split)
        if found is None and key is not None:
            found = cache.find(self.root, key)
        elif found is None:
            found = self._hold(split)
        index: Labels | slice = slice(None)
        if found is None:
            found, index = self.chosen(split)
        labels = found.labels[index]
        domains = np.zeros_like(labels) if found.domains is None else found.domains[index]
        pairs, numbers = np.unique(np.stack([domains, labels])[:, labels >= 0], axis=1, return_counts=True)
        names = found.domain_names or ("",)
        labelled = {
            (names[domain], found.class_names[label]): count
            for domain, label, count in zip(*pairs.tolist(), numbers.tolist(), strict=True)
        }
        of_domain = dict(zip(names, np.bincount(domains[domains >= 0], minlength=len(names)).tolist(), strict=True))
        return Counts(len(labels), labelled, {name: count for name, count in of_domain.items() if count})

    def _hold(self, split: Split) -> Decoded:
        """The images of a split that are quick to make, kept in memory."""
        part = self.part(split)
        if part not in self._held:
            found = cache.decoded(*self.chosen(split))
            if found.images.shape[1:] != self.shape:
                what = f"{type(self).__name__}.shape is {self.shape}, and its images have {found.images.shape[1:]}"
                raise DataError(what, where=f"data.kind: {self.section.kind}")
            self._held[part] = found
        return self._held[part]


def _image_set(found: Decoded) -> "ImageSet":
    import torch

    from sslrun.data.images import ImageSet

    with warnings.catch_warnings():  # torch warns that a map can't be written; nothing writes into it
        warnings.filterwarnings("ignore", message="The given NumPy array is not writ", category=UserWarning)
        images = torch.from_numpy(found.images)
    domains = None if found.domains is None else torch.from_numpy(found.domains)
    return ImageSet(images, torch.from_numpy(found.labels), domains, found.class_names, found.domain_names)


@singledispatch
def open_dataset(section: Data, root: Path, fingerprint: str | None = None) -> Dataset:
    """The data set that `section` names below the data folder `root`.

    `fingerprint` is what is known of it already: it is believed, and checked when its files are listed. Raises
    `InputError` for a section whose kind nobody opens.
    """
    raise InputError(
        f"nothing opens data of this kind: no class is registered for {type(section).__qualname__}",
        where=f"data.kind: {section.kind}",
        remedy="Register one with `@open_dataset.register` beside the section.",
    )
