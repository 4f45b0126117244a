"""Sets of few large files, as they were published. Their fingerprint is of the files' content."""

import shlex
from collections.abc import Iterator
from pathlib import Path

from sslrun.data.dataset import Dataset
from sslrun.data.digests import facts
from sslrun.data.listing import FileState
from sslrun.errors import DataError
from sslrun.recipe.schema import Data


class PublishedSet(Dataset):
    """A set whose `files` lie in `root/folder`, and which torchvision has a downloader for."""

    folder: str

    def __init__(self, section: Data, root: Path, fingerprint: str | None = None) -> None:
        super().__init__(section, root, fingerprint)
        # The files are the same for every recipe of this kind: any that is shipped will do.
        self.fetch = f"sslrun data check {section.kind}_directpred --data {shlex.quote(str(root))} --download"
        self.again = f"Delete it and fetch it again: {self.fetch}"

    @property
    def place(self) -> str:
        return str(self.root / self.folder)

    def facts(self) -> Iterator[str]:
        """Name, size and digest of each file."""
        self.require_files()
        folder = self.root / self.folder
        return facts(folder, [(path.name, FileState.of(path.stat())) for path in self.files], self.root)

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
