"""The images of one split with what is known about them: uint8 on the host, in memory or mapped from the cache.
Vectors, drawn for experiments with the theory, take their place as float32 (N, D).

`Dataset.images` gives one; `batches` hands its images out; evaluation reads its labels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sslrun.data.listing import check_numbers


@dataclass(frozen=True, eq=False)
class ImageSet:
    """N images. `images` may be a read-only map of a file: never write into it.

    Raises `ValueError` where shapes, types or names don't fit together.
    """

    images: Tensor  # uint8 (N, C, H, W), or float32 (N, D)
    labels: Tensor  # int64 (N,), -1 for none
    domains: Tensor | None = None  # int64 (N,)
    class_names: tuple[str, ...] = ()
    domain_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.images.dtype, self.images.ndim) not in ((torch.uint8, 4), (torch.float32, 2)):
            what = f"{self.images.dtype} {tuple(self.images.shape)}"
            raise ValueError(f"images must be uint8 (N, C, H, W), or vectors float32 (N, D), not {what}")
        check_numbers("labels", self.labels, len(self), self.class_names)
        if self.domains is not None:
            check_numbers("domains", self.domains, len(self), self.domain_names)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def channels(self) -> int:
        """C, or D of vectors."""
        return self.images.shape[1]

    @property
    def side(self) -> int:
        """H = W, or D of vectors."""
        return self.images.shape[-1]

    def subset(self, index: Tensor) -> "ImageSet":
        """The images at `index`, an int64 vector (n,), in its order; copied into memory."""
        return ImageSet(
            self.images[index],
            self.labels[index],
            None if self.domains is None else self.domains[index],
            self.class_names,
            self.domain_names,
        )
