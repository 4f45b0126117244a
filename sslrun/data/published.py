"""Sets of few large files, as they were published. Their fingerprint is of the files' content.

Each file is digested once: the digests are kept in the folder of the image cache.
"""

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from sslrun.data import cache
from sslrun.data.dataset import Dataset
from sslrun.errors import DataError
from sslrun.files import read_json, write_json


class PublishedSet(Dataset):
    """A set whose `files` lie in `root/folder`, and which torchvision has a downloader for."""

    folder: str
    downloads = True

    @property
    def place(self) -> str:
        return str(self.root / self.folder)

    def facts(self) -> Iterator[str]:
        """Name, size and digest of each file."""
        self.require_files()
        yield from (file_fact(path, self.root) for path in self.files)

    def download(self) -> None:
        """Fetch it with torchvision's class, which is called like the kind; files that are right are not fetched again.

        Raises `DataError` if that fails.
        """
        from torchvision import datasets

        self.root.mkdir(parents=True, exist_ok=True)
        try:
            getattr(datasets, self.section.kind.upper())(str(self.root), download=True)
        except (OSError, RuntimeError) as error:
            raise DataError(
                f"the download failed: {error}", where=str(self.root), remedy="Try again, or copy it there."
            ) from error


def file_fact(path: Path, root: Path) -> str:
    """The line of a fingerprint that stands for a file and its content."""
    return f"{path.name}\0{path.stat().st_size}\0{file_digest(path, root)}"


def file_digest(path: Path, root: Path) -> str:
    """sha256 of a file's content, remembered in the cache of `root` under the file's path, size and time of change."""
    state, place = path.stat(), str(path.resolve())
    key = {"path": place, "size": state.st_size, "mtime_ns": state.st_mtime_ns}
    name = f"{hashlib.sha256(os.fsencode(place)).hexdigest()[:16]}.json"
    notes = [folder / "digests" / name for folder in cache.places(root)]
    for note in notes:
        with suppress(OSError, ValueError, KeyError, TypeError):  # no note, or none that we can read
            known = read_json(note)
            if {field: known[field] for field in key} == key:
                return str(known["sha256"])
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    # A file changed a moment ago may change again within the clock's grain: don't vouch for it yet.
    if time.time() - state.st_mtime > 2:
        for note in notes:
            with suppress(OSError):  # it only saves time
                write_json(note, {**key, "sha256": digest})
                break
    return digest
