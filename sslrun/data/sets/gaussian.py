"""Gaussian vectors whose correlation is exactly what the recipe says, for comparing linear networks with the theory.

Nothing lies on the disk and nothing has a label. Views of them are made by `sslrun.views.noise`.
"""

from collections.abc import Iterator

import numpy as np

from sslrun.data.dataset import Dataset, open_dataset
from sslrun.data.listing import Listing, Split, in_memory
from sslrun.recipe.schema import Gaussian


@open_dataset.register(Gaussian)
class GaussianSet(Dataset):
    """The vectors, in every split the same."""

    section: Gaussian
    splits = ("pretrain",)
    place = "drawn"

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.section.dim,)

    def part(self, split: Split) -> str:
        super().part(split)  # there is no validation
        return "pretrain"

    def facts(self) -> Iterator[str]:
        """None: the recipe's own options say all."""
        return iter(())

    def listing(self, split: Split) -> Listing:
        """Float32 vectors (count, dim) with mean 0 and E[x xᵀ] = diag(variances)."""
        data = self.section
        drawn_ND = np.random.default_rng(data.seed).standard_normal((data.count, data.dim))
        drawn_ND -= drawn_ND.mean(axis=0)
        values_D, vectors_DD = np.linalg.eigh(drawn_ND.T @ drawn_ND / data.count)
        white_ND = drawn_ND @ (vectors_DD / np.sqrt(values_D)) @ vectors_DD.T
        x_ND = white_ND * np.sqrt(np.ones(data.dim) if data.variances is None else np.array(data.variances))
        return in_memory(x_ND.astype(np.float32), np.full(data.count, -1, dtype=np.int64), ())
