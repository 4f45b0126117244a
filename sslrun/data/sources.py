"""The former functions, until nobody calls them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sslrun.data.check import DataReport
from sslrun.data.check import check as look
from sslrun.data.dataset import open_dataset
from sslrun.data.listing import Labels, Listing, Progress, Split
from sslrun.recipe.schema import Data

if TYPE_CHECKING:
    from sslrun.data.images import ImageSet


def load(data: Data, root: Path, split: Split, progress: Progress | None = None) -> "ImageSet":
    return open_dataset(data, root).images(split, progress)


def chosen(data: Data, root: Path, split: Split) -> tuple[Listing, Labels]:
    return open_dataset(data, root).chosen(split)


def cache_key(data: Data, root: Path, split: Split) -> dict[str, Any] | None:
    return open_dataset(data, root).cache_key(split)


def fingerprint(data: Data, root: Path) -> str:
    return open_dataset(data, root).fingerprint


def download(data: Data, root: Path) -> None:
    open_dataset(data, root).download()


def check(data: Data, root: Path) -> DataReport:
    return look(open_dataset(data, root))
