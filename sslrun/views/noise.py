"""Views of vectors: x + sigma · n with Gaussian n, the augmentation of the theory (arXiv 2102.06810, section 3).

Takes the place of `pipeline.Views` where the data are vectors. Shapes: N vectors, D dimensions.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from sslrun.seeds import stream_seed
from sslrun.views.per_image import on_device


class NoiseViews:
    """`count` views a vector, each with fresh noise of standard deviation `sigma`: X' = sigma² I in the theory."""

    def __init__(self, sigma: float, dim: int, count: int = 2) -> None:
        self.sigma, self.dim, self.count = sigma, dim, count

    def draw(self, n: int, seed: int, step: int) -> list[Tensor]:
        """The noise of `n` vectors' views at `step`, float32 (n, D) each, on the host."""
        seeds = (stream_seed(seed, "views.noise", step, view) for view in range(self.count))
        return [torch.randn(n, self.dim, generator=torch.Generator().manual_seed(one)) for one in seeds]

    def __call__(self, x_ND: Tensor, draws: list[Tensor]) -> list[Tensor]:
        """Add the drawn noise to float32 `x_ND`."""
        return [x_ND + self.sigma * on_device(noise_ND, x_ND.device) for noise_ND in draws]

    def for_device(self, draws: list[Tensor]) -> list[Tensor]:
        """The same."""
        return draws

    def part(self, x_ND: Tensor, draws: list[Tensor], rows: slice) -> list[Tensor]:
        """The same for some `rows` of the batch alone."""
        return self(x_ND[rows], [noise_ND[rows] for noise_ND in draws])

    def needed(self, n: int, seed: int, step: int, rows: Sequence[int]) -> Sequence[int]:
        """The rows of a batch that `part` looks at for some `rows` of it: these."""
        return rows

    def plain(self, x_ND: Tensor) -> Tensor:
        """The vectors themselves."""
        return x_ND
