"""Sets of several domains: which of their images a split is.

Pretraining and fitting see the training images of the source domains, model selection their held-out images, and the
test all images of the target domains. Each kind in `sets` says which image is of which domain and which are held out
from learning.
"""

from abc import abstractmethod
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from sslrun.data.dataset import Dataset
from sslrun.data.listing import Listing, Split
from sslrun.errors import DataError
from sslrun.recipe.schema import DomainSection


class DomainSet(Dataset):
    """A set of several domains, of which `held_out` keeps some from learning."""

    section: DomainSection
    splits = ("train", "validation", "test")

    @cached_property
    def whole(self) -> Listing:
        """The images of all domains, found once. Raises `DataError` as `find` does."""
        return self.find()

    @abstractmethod
    def find(self) -> Listing:
        """Find the images of all domains. Raises `DataError` for what is missing or wrong."""

    def part(self, split: Split) -> str:
        """Where no domain is held out, the images that choose are the test too."""
        return "validation" if split == "test" and not self.section.held_out else super().part(split)

    def decoding(self) -> dict[str, Any]:
        return {"held_out": list(self.section.held_out)}

    def listing(self, split: Split) -> Listing:
        """The images of a split. Raises `DataError` if there are none."""
        found = in_split(self.whole, self.section.held_out, split)
        if not len(found.labels):
            held_out = ", ".join(self.section.held_out) or "no domain"
            raise DataError(f"no images for {split} with {held_out} held out", where=self.place)
        return found


def in_split(whole: Listing, held_out: tuple[str, ...], split: Split) -> Listing:
    """The images of a split out of those of all domains, where the domains `held_out` are the targets."""
    domains = np.zeros(0, dtype=np.int64) if whole.domains is None else whole.domains
    target = np.isin(domains, [whole.domain_names.index(name) for name in held_out])
    if split == "test" and held_out:
        wanted = target
    elif split in ("test", "validation"):
        wanted = ~target & whole.validation
    else:
        wanted = ~target & ~whole.validation
    index = np.flatnonzero(wanted)
    return replace(
        whole,
        labels=whole.labels[index],
        domains=domains[index],
        blocks=lambda part: whole.blocks(index[part]),
        pictures=[whole.pictures[at] for at in index.tolist()] if whole.pictures else (),
    )
