"""What a data set holds, as one short string: part of a run's identity, the same on every machine. Needs no torch.

Folders are named by the sorted list of (relative name, size) of their pictures, which also fixes counts and classes,
and the lists of PACS and DomainNet moreover by which of them are held out; binary files and tables by their content.
The path never enters. What a recipe does with the images is the recipe's to hash.
"""

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from sslrun.data import cache, camelyon17, cifar, digits, digits_styles, domain_folders, domainnet, folder, pacs, stl10
from sslrun.data.source import naming_files, require
from sslrun.files import read_json, write_json
from sslrun.recipe.schema import (
    Camelyon17,
    Cifar,
    Data,
    Digits,
    DigitsStyles,
    DomainFolders,
    DomainNet,
    Folder,
    Gaussian,
    Pacs,
    Stl10,
)


@naming_files()
def fingerprint(data: Data, root: Path) -> str:
    """64 hex digits for the source that `data` names under the data folder `root`.

    Binary files are digested once; the digest is kept beside the image cache for as long as their size and time of
    change stay. Raises `DataError` for a missing file or folder.
    """
    content = hashlib.sha256(f"{data.kind}\n".encode())
    for line in _lines(data, root):
        content.update(os.fsencode(f"{line}\n"))
    return content.hexdigest()


def _lines(data: Data, root: Path) -> Iterator[str]:
    match data:
        case Digits():
            yield digits.DIGEST
        case Gaussian():
            return  # drawn: the recipe's own options say all
        case Folder():
            for role, pictures in folder.pictures(data, root).items():
                yield f"{role} {len(pictures)}"
                yield from (f"{picture.name}\0{picture.size}" for picture in pictures)
        case Stl10():
            yield from _digests(stl10.files(data, root), stl10.LAYOUT, "STL-10", root)
        case Cifar():
            layout = cifar.LAYOUTS[data.kind]
            yield from _digests(cifar.files(data, root), f"{layout.folder}/", layout.title, root)
        case DigitsStyles():
            yield digits_styles.DIGEST
        case Pacs() | DomainNet():
            found = pacs.pictures(data, root) if isinstance(data, Pacs) else domainnet.pictures(data, root)
            facts = zip(found.names, found.sizes, found.labels.tolist(), found.domains.validation, strict=True)
            for name, size, label, held_out in facts:  # labels are numbered by the lists
                yield f"{'validation' if held_out else 'train'} {label} {name}\0{size}"
        case DomainFolders():
            found = domain_folders.pictures(data, root)
            yield from (f"{name}\0{size}" for name, size in zip(found.names, found.sizes, strict=True))
        case Camelyon17():  # the table names every patch; half a million sizes would take their time
            path = camelyon17.metadata(data, root)
            yield f"{path.name}\0{path.stat().st_size}\0{file_digest(path, root)}"


def _digests(files: list[Path], layout: str, name: str, root: Path) -> Iterator[str]:
    require(files, layout, name)
    for path in files:
        yield f"{path.name}\0{path.stat().st_size}\0{file_digest(path, root)}"


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
