"""scikit-learn's real 8×8 handwritten digits, enlarged; built in, so the first run needs no files.

The last 397 images are the test set: they were written by other people than the first 1,400.
"""

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sslrun.data.dataset import Dataset, open_dataset
from sslrun.data.listing import Labels, Listing, Split, in_memory
from sslrun.errors import DataError
from sslrun.recipe.schema import Digits

TRAIN, TEST = 1400, 397
CLASSES = tuple("0123456789")
# sha256 of the 1,797 images (values 0-16) and their labels as bytes: the set's content, whatever file carries it.
DIGEST = "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"


@open_dataset.register(Digits)
class DigitsSet(Dataset):
    """The grey images, enlarged to the section's size."""

    section: Digits

    @property
    def shape(self) -> tuple[int, ...]:
        return 1, self.section.size, self.section.size

    def facts(self) -> Iterator[str]:
        yield DIGEST

    def listing(self, split: Split) -> Listing:
        """Raises `DataError` as `known` does."""
        values, labels = known()
        part = slice(TRAIN, None) if split == "test" else slice(0, TRAIN)
        return in_memory(enlarge(values[part], self.section.size)[:, None], labels[part], CLASSES)


def known() -> tuple[NDArray[np.uint8], Labels]:
    """The 1,797 images (N, 8, 8), values 0..16, and their labels (N,).

    Raises `DataError` if scikit-learn's digits are not the known ones.
    """
    from sklearn.datasets import load_digits

    table = load_digits()
    values = table.images.astype(np.uint8)
    labels = table.target.astype(np.int64)
    if hashlib.sha256(values.tobytes() + labels.astype(np.uint8).tobytes()).hexdigest() != DIGEST:
        raise DataError(
            "scikit-learn's digits are not the 1,797 known images",
            where="sklearn.datasets.load_digits()",
            remedy="Install scikit-learn afresh: pip install --force-reinstall scikit-learn",
        )
    return values, labels


def enlarge(values_NHW: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Scale values 0..16 to 0..255 and sides to `size`, bilinearly between pixel centres with borders repeated."""
    return np.rint(bilinear(values_NHW * (255 / 16), size)).astype(np.uint8)


def bilinear(planes: NDArray[Any], size: int) -> NDArray[np.float64]:
    """Planes (..., n, n) enlarged to (..., size, size) by linear interpolation between pixel centres."""
    old = planes.shape[-1]
    centre = np.clip((np.arange(size) + 0.5) * old / size - 0.5, 0, old - 1)
    weights = np.maximum(0.0, 1.0 - np.abs(centre[:, None] - np.arange(old)[None, :]))
    enlarged: NDArray[np.float64] = weights @ planes @ weights.T
    return enlarged
