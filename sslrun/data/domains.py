"""Sets of several domains: which of their images a split is, and what those have in common that lie in files.

Pretraining and fitting see the training images of the source domains, model selection their held-out images, and the
test all images of the target domains. `pacs`, `domainnet`, `camelyon17`, `domain_folders` and `digits_styles` say
which image is of which domain and which are held out from learning.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sslrun.data.pictures import decoded
from sslrun.data.source import Labels, Source, Split
from sslrun.errors import DataError


@dataclass(frozen=True, eq=False)
class Domains:
    """The domain of each of N images, and whether it is held out from learning in its domain."""

    numbers: Labels  # (N,)
    names: tuple[str, ...]
    validation: NDArray[np.bool_]  # (N,)

    def split(self, whole: Source, held_out: Sequence[str], split: Split) -> Source:
        """The images of `split` out of all those of `whole`, where the domains `held_out` are the targets."""
        target = np.isin(self.numbers, [self.names.index(name) for name in held_out])
        if split == "test" and held_out:
            wanted = target
        elif split in ("test", "validation"):
            wanted = ~target & self.validation
        else:
            wanted = ~target & ~self.validation
        index = np.flatnonzero(wanted)
        return replace(
            whole,
            labels=whole.labels[index],
            blocks=lambda part: whole.blocks(index[part]),
            domains=self.numbers[index],
            domain_names=self.names,
        )


@dataclass(frozen=True, eq=False)
class DomainPictures:
    """All pictures of a set: N paths below `folder`, and what is known of each."""

    folder: Path
    names: Sequence[str]
    labels: Labels  # (N,)
    class_names: tuple[str, ...]
    domains: Domains
    sizes: Sequence[int] = ()  # in bytes, where a fingerprint needs them

    def source(self, held_out: Sequence[str], split: Split, side: int) -> Source:
        """The pictures of a split as squares of `side`. Raises `DataError` if there are none."""
        whole = Source(self.labels, self.class_names, (3, side, side), decoded(self.folder, self.names, side))
        found = self.domains.split(whole, held_out, split)
        if not len(found.labels):
            held = f"with {', '.join(held_out)} held out" if held_out else "with no domain held out"
            raise DataError(f"no images for {split} {held}", where=str(self.folder))
        return found
