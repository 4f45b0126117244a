"""Gaussian vectors whose correlation is exactly what the recipe says, for training linear networks beside the theory.

Nothing lies on the disk and nothing has a label. Views of them are made by `sslrun.views.noise`.
"""

import numpy as np

from sslrun.data.source import Source, in_memory
from sslrun.recipe.schema import Gaussian


def read(data: Gaussian) -> Source:
    """Float32 vectors (count, dim) with mean 0 and E[x xᵀ] = diag(variances), every split the same."""
    drawn_ND = np.random.default_rng(data.seed).standard_normal((data.count, data.dim))
    drawn_ND -= drawn_ND.mean(axis=0)
    values_D, vectors_DD = np.linalg.eigh(drawn_ND.T @ drawn_ND / data.count)
    white_ND = drawn_ND @ (vectors_DD / np.sqrt(values_D)) @ vectors_DD.T
    x_ND = white_ND * np.sqrt(np.ones(data.dim) if data.variances is None else np.array(data.variances))
    return in_memory(x_ND.astype(np.float32), np.full(data.count, -1, dtype=np.int64), ())
