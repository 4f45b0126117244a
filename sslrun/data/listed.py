"""Lists of pictures as PACS and DomainNet publish them: one text file for each domain and role, lines
`domain/class/file number`.

`pacs` and `domainnet` say which lists there are and what the numbers mean.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sslrun.data.domains import DomainPictures, Domains
from sslrun.errors import DataError


class Line(NamedTuple):
    """One picture of a list: its path below the domains' folder, class and number; `where` is list:line."""

    name: str
    label: str
    number: int
    where: str


class Listed(NamedTuple):
    """A line, its domain's number, whether it is held out from learning, and its picture's size in bytes."""

    domain: int
    line: Line
    validation: bool
    size: int


def read_list(path: Path, domain: str) -> Iterator[Line]:
    """The lines of one list. Raises `DataError` naming list and line for what is no such line, or of another domain."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError("not a text file", where=str(path), remedy="Fetch the published list again.") from error
    for count, line in enumerate(text.splitlines(), 1):
        name, _, number = line.strip().rpartition(" ")
        parts = name.split("/")
        if len(parts) != 3 or not all(parts) or ".." in parts or not (number.isascii() and number.isdigit()):
            if not line.strip():
                continue
            raise DataError(f"expected 'domain/class/file number', not '{line[:80]}'", where=f"{path}:{count}")
        if parts[0] != domain:
            raise DataError(f"'{name}' is not of the domain {domain}", where=f"{path}:{count}")
        yield Line(name, parts[1], int(number), f"{path}:{count}")


def listed(
    lists: Sequence[tuple[Path, Path]], domains: Sequence[str], images: Path, wanted: Callable[[Line], bool]
) -> list[Listed]:
    """The wanted pictures of all domains, by domain and name; `lists` are a training and a held-out list for each.

    Raises `DataError` for a wrong line, one that names no file below `images`, and a picture that is listed twice.
    """
    found: list[Listed] = []
    for number, (domain, both) in enumerate(zip(domains, lists, strict=True)):
        seen: dict[str, str] = {}
        for validation, path in enumerate(both):
            for line in filter(wanted, read_list(path, domain)):
                if line.name in seen:
                    raise DataError(f"'{line.name}' is listed twice, also at {seen[line.name]}", where=line.where)
                seen[line.name] = line.where
                found.append(Listed(number, line, bool(validation), _size(images, line)))
    return sorted(found)


def _size(images: Path, line: Line) -> int:
    try:
        return (images / line.name).stat().st_size
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(
            f"names no file: {images / line.name}",
            where=line.where,
            remedy="Unpack the pictures of this domain there; all that are listed are needed.",
        ) from error


def as_pictures(
    found: Sequence[Listed], images: Path, class_names: tuple[str, ...], domain_names: tuple[str, ...]
) -> DomainPictures:
    """What was listed, with each picture's label as its class's place in `class_names`."""
    number = {name: at for at, name in enumerate(class_names)}
    return DomainPictures(
        images,
        [one.line.name for one in found],
        np.array([number[one.line.label] for one in found], dtype=np.int64),
        class_names,
        Domains(
            np.array([one.domain for one in found], dtype=np.int64),
            domain_names,
            np.array([one.validation for one in found], dtype=np.bool_),
        ),
        [one.size for one in found],
    )
