"""CIFAR-10 and CIFAR-100 in their original Python layout: pickles, which are read without trusting them.

The unpickler builds NumPy arrays and Python's own containers and refuses everything else before it is called.
"""

import hashlib
import io
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sslrun.data.dataset import open_dataset
from sslrun.data.listing import Listing, Split, in_memory
from sslrun.data.published import PublishedSet
from sslrun.errors import DataError
from sslrun.recipe.schema import Cifar


@dataclass(frozen=True)
class Layout:
    """Names and keys of one of the two sets, and the published md5 sum of each file; `test` and `meta` are two of them,
    the others are for training."""

    folder: str
    test: str
    meta: str
    labels: str
    names: str
    classes: int
    md5: dict[str, str]


LAYOUTS = {
    "cifar10": Layout(
        "cifar-10-batches-py",
        *("test_batch", "batches.meta", "labels", "label_names", 10),
        {
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
            "test_batch": "40351d587109b95175f43aff81a1287e",
            "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
        },
    ),
    "cifar100": Layout(
        "cifar-100-python",
        *("test", "meta", "fine_labels", "fine_label_names", 100),
        {
            "train": "16019d7e3df5f24257cddd939b257f8d",
            "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
            "meta": "7973b15100ade9c7d40fb424638fde48",
        },
    ),
}


@open_dataset.register(Cifar)
class CifarSet(PublishedSet):
    """Colour images with fine labels."""

    section: Cifar
    shape = (3, 32, 32)
    download_bytes = 170_000_000

    def published(self) -> dict[Split, int]:
        """50,000 images to train on, 10,000 to test on."""
        return {"pretrain": 50_000, "train": 50_000, "test": 10_000}

    def __init__(self, section: Cifar, root: Path, fingerprint: str | None = None) -> None:
        super().__init__(section, root, fingerprint)
        self._layout = LAYOUTS[section.kind]
        self.folder, self.title = self._layout.folder, section.kind.replace("cifar", "CIFAR-")
        self.layout = f"{self.folder}/ with {', '.join(self._layout.md5)}"

    @property
    def files(self) -> list[Path]:
        return [self.root / self.folder / name for name in self._layout.md5]

    def listing(self, split: Split) -> Listing:
        """Raises `DataError` for a file that is missing or foreign."""
        self.require_files()
        layout = self._layout
        meta_path, meta = self._content(layout.meta)
        names = meta.get(layout.names)
        if not isinstance(names, list) or len(names) != layout.classes:
            raise self._foreign(meta_path, f"expected '{layout.names}', {layout.classes} names")

        images, labels = [], []
        train = [name for name in layout.md5 if name not in (layout.test, layout.meta)]
        for name in [layout.test] if split == "test" else train:
            path, batch = self._content(name)
            pixels, numbers = batch.get("data"), batch.get(layout.labels)
            if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape[1:] != (3 * 32 * 32,):
                raise self._foreign(path, "expected 'data', bytes of N rows of 3,072")
            if not _are_labels(numbers, len(pixels), layout.classes):
                what = f"{len(pixels):,} numbers from 0 to {layout.classes - 1}"
                raise self._foreign(path, f"expected '{layout.labels}', {what}")
            images.append(pixels.reshape(-1, 3, 32, 32))
            labels.append(np.array(numbers, dtype=np.int64))
        return in_memory(np.concatenate(images), np.concatenate(labels), tuple(map(str, names)))

    def _content(self, name: str) -> tuple[Path, dict[str, Any]]:
        path = self.root / self.folder / name
        try:
            return path, unpickle(path, self._layout.md5[name] if self.section.verify else None)
        except DataError as error:
            remedy = "\n".join(filter(None, [self.again, error.remedy]))
            raise DataError(error.what, where=error.where, remedy=remedy) from error

    def _foreign(self, path: Path, what: str) -> DataError:
        return DataError(what, where=str(path), remedy=self.again)


def _are_labels(numbers: Any, count: int, classes: int) -> bool:
    """Whether these are whole numbers as a list or an array, as re-encoded copies have them."""
    if isinstance(numbers, np.ndarray):
        numbers = list(numbers) if numbers.ndim == 1 else None
    return (
        isinstance(numbers, list)
        and len(numbers) == count
        and all(type(number) is int or isinstance(number, np.integer) for number in numbers)
        and all(0 <= number < classes for number in numbers)
    )


def unpickle(path: Path, md5: str | None = None) -> dict[str, Any]:
    """The dictionary pickled in `path`, if it holds only NumPy arrays and Python's own containers.

    Raises `DataError` for anything else, and where `md5` is given and differs.
    """
    content = path.read_bytes()
    if md5 is not None and hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
        raise DataError(
            f"its {len(content):,} bytes are not those that were published (md5 {md5}): cut off, or another file",
            where=str(path),
            remedy="If it is a re-encoded copy on purpose, set data.verify: false",
        )
    try:
        value = _Unpickler(io.BytesIO(content), encoding="latin1").load()
    except _Refused as error:
        what = f"refused to read it: it asks for {error}, which no CIFAR file needs"
        raise DataError(what, where=str(path)) from error
    except Exception as error:  # damaged pickles raise nearly anything
        raise DataError(f"cut off or not a pickle ({error or type(error).__name__})", where=str(path)) from error
    if not isinstance(value, dict):
        raise DataError(f"expected a dictionary, found {type(value).__name__}", where=str(path))
    return value


class _Refused(pickle.UnpicklingError):
    """The pickle asks for something that reading images does not need."""


def _latin1(text: str, encoding: str) -> bytes:
    """What `_codecs.encode` does in pickles of arrays written by Python 3 with protocol 2; other codecs refused."""
    if encoding != "latin1":
        raise _Refused(f"the codec {encoding!r}")
    return text.encode("latin1")


def _scalar(kind: Any, content: Any = b"") -> Any:
    """A whole number of NumPy's; of others, which CIFAR has no use for, some hold objects."""
    if not isinstance(kind, np.dtype) or kind.kind not in "iu":
        raise _Refused(f"a NumPy value of type {kind}")
    return np.frombuffer(content.encode("latin1") if isinstance(content, str) else content, kind)[0]


_KNOWN = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _latin1,
    # NumPy keeps these two private and moves them; its own pickling names them.
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy.core.multiarray", "_reconstruct"): np.zeros(0).__reduce__()[0],
    ("numpy.core.numeric", "_frombuffer"): np.zeros(1).__reduce_ex__(5)[0],
}


class _Unpickler(pickle.Unpickler):
    """Knows how arrays are rebuilt, under their NumPy 1 and NumPy 2 names, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        known = _KNOWN.get((module.replace("numpy._core.", "numpy.core.", 1), name))
        if known is None:
            raise _Refused(f"{module}.{name}")
        return known
