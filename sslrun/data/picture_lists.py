"""Lists of pictures as PACS and DomainNet publish them: one text file for each domain and role, lines
`domain/class/file number`.

A `ListedSet` says which lists there are and what the numbers mean (`sets.pacs`, `sets.domainnet`).
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sslrun.data import pictures
from sslrun.data.domains import DomainSet
from sslrun.data.listing import FileState, Listing, Picture, Split
from sslrun.data.pictures import PictureSet
from sslrun.errors import DataError
from sslrun.files import litter


class Line(NamedTuple):
    """One picture of a list: its path below the domains' folder, class and number; `where` is list:line."""

    name: str
    label: str
    number: int
    where: str


class Listed(NamedTuple):
    """A picture, its domain's number, and whether it is held out from learning."""

    domain: int
    picture: Picture
    validation: bool


def of_lists(train: Mapping[str, int], held_out: Mapping[str, int], targets: Sequence[str]) -> dict[Split, int]:
    """How many pictures the splits have by the lengths of each domain's lists: sources to learn from and to choose by,
    the whole of the targets to test on; without a target, what one chooses by."""
    learning, choosing = (sum(of[name] for name in of if name not in targets) for of in (train, held_out))
    test = sum(train[name] + held_out[name] for name in targets) or choosing
    return {"pretrain": learning, "train": learning, "validation": choosing, "test": test}


class ListedSet(DomainSet, PictureSet):
    """A set whose lists say which pictures belong to it, and which of them are held out from learning."""

    section: Any

    @property
    @abstractmethod
    def lists(self) -> list[tuple[Path, Path]]:
        """The training list and the held-out list of each domain."""

    @property
    def files(self) -> list[Path]:
        return [path for both in self.lists for path in both]

    def facts(self) -> Iterator[str]:
        """Each picture with its content's digest, its number in the lists, and whether it is held out from learning."""
        whole = self.whole
        facts = self.picture_facts(whole.pictures, self.below)
        for fact, label, held_out in zip(facts, whole.labels.tolist(), whole.validation, strict=True):
            yield f"{'validation' if held_out else 'train'} {label} {fact}"

    def listed(self, wanted: Callable[[Line], bool]) -> list[Listed]:
        """The wanted pictures, by domain and name.

        Raises `DataError` for a list that is not there, a wrong line, one that names no file, and a picture that is
        listed twice.
        """
        self.require_files()
        images = self.folder / self.below
        found: list[Listed] = []
        for number, (domain, both) in enumerate(zip(self.section.DOMAINS, self.lists, strict=True)):
            seen: dict[str, str] = {}
            for validation, path in enumerate(both):
                for line in filter(wanted, read_list(path, domain)):
                    if line.name in seen:
                        raise DataError(f"'{line.name}' is listed twice, also at {seen[line.name]}", where=line.where)
                    seen[line.name] = line.where
                    found.append(Listed(number, _picture(images, line), bool(validation)))
        return sorted(found)

    def as_listing(self, found: Sequence[Listed], class_names: tuple[str, ...]) -> Listing:
        """What was found, with each picture's label as its class's place in `class_names`."""
        return pictures.listed(
            self.folder / self.below,
            [one.picture for one in found],
            class_names,
            self.section.store,
            domains=np.array([one.domain for one in found], dtype=np.int64),
            domain_names=self.section.DOMAINS,
            validation=np.array([one.validation for one in found], dtype=np.bool_),
        )


def read_list(path: Path, domain: str) -> Iterator[Line]:
    """The lines of one list. Raises `DataError` naming list and line for what is no such line, or of another domain."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors put a mark in front
    except UnicodeDecodeError as error:
        raise DataError("not a text file", where=str(path), remedy="Fetch the published list again.") from error
    for count, line in enumerate(text.splitlines(), 1):
        name, _, number = line.strip().rpartition(" ")
        parts = name.split("/")
        if len(parts) != 3 or not all(parts) or ".." in parts or not (number.isascii() and number.isdigit()):
            if not line.strip():
                continue
            raise DataError(f"expected 'domain/class/file number', not '{line[:80]}'", where=f"{path}:{count}")
        if any(map(litter, parts)):
            continue  # lists made from folders name what systems leave there too
        if parts[0] != domain:
            raise DataError(f"'{name}' is not of the domain {domain}", where=f"{path}:{count}")
        yield Line(name, parts[1], int(number), f"{path}:{count}")


def _picture(images: Path, line: Line) -> Picture:
    try:
        return Picture(line.name, line.label, FileState.of((images / line.name).stat()))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(
            f"names no file: {images / line.name}",
            where=line.where,
            remedy="Unpack the pictures of this domain there; all that are listed are needed.",
        ) from error
