"""Decoded images kept in one raw file that every process maps: made once, whole or not at all, safely by several.

An entry is a folder of `images.u8` (N·C·H·W bytes) and `header.json`, written last: without a header, or with a file
of another length, it is made again. All of it may be deleted at any time. `dataset` says what is cached.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sslrun.data.listing import Labels, Listing, Pixels, Progress
from sslrun.errors import DataError
from sslrun.files import FULL, locked, read_json, replacing, write_text

FORMAT = 1  # raise it when a fix changes decoded pixels


class Decoded(NamedTuple):
    """Images (N, C, H, W), a read-only map if cached, or vectors (N, D); labels and domains (N,), names of both."""

    images: Pixels
    labels: Labels
    class_names: tuple[str, ...]
    domains: Labels | None
    domain_names: tuple[str, ...]


def decoded(listing: Listing, index: Labels) -> Decoded:
    """The listed images at `index`, read into memory."""
    domains = None if listing.domains is None else listing.domains[index]
    images = np.concatenate(list(listing.blocks(index)))
    return Decoded(images, listing.labels[index], listing.class_names, domains, listing.domain_names)


def places(root: Path) -> list[Path]:
    """Where entries may lie: in the data folder, or in the user's cache where that can't be written. Not everybody
    has one: containers know no home."""
    places = [root / ".sslrun-cache"]
    with suppress(RuntimeError):
        places.append(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sslrun")
    return places


def place(root: Path) -> Path:
    """The first of `places` that can be written; makes it, but not the data folder. Raises `DataError` if none."""
    for folder in places(root):
        try:
            folder.mkdir(parents=folder.parent != root, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK | os.X_OK):
            return folder
    raise DataError(
        "no cache folder can be written",
        where=" and ".join(map(str, places(root))),
        remedy="Make one of them writable, or set XDG_CACHE_HOME.",
    )


def entry_name(key: dict[str, Any]) -> str:
    """The folder's name for the decoding described by `key`."""
    text = json.dumps({"format": FORMAT, **key}, sort_keys=True)
    return f"{key['kind']}-{key['part']}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def find(root: Path, key: dict[str, Any]) -> Decoded | None:
    """The whole, undamaged entry for `key`, or None."""
    for folder in places(root):
        if (entry := _open(folder / entry_name(key), key)) is not None:
            return entry
    return None


def make(
    root: Path,
    key: dict[str, Any],
    shape: tuple[int, ...],
    chosen: Callable[[], tuple[Listing, Labels]],
    progress: Progress | None = None,
) -> Decoded:
    """Decode the images of `shape` (C, H, W) that `chosen` lists and gives the index of; the entry for `key`.

    If another process is at it, waits (`progress(0, 0)` is called meanwhile) and takes its result. Raises `DataError`
    for a picture that can't be read, and for a full disk with the bytes needed.
    """
    folder = place(root) / entry_name(key)
    with locked(folder / "lock", (lambda: progress(0, 0)) if progress is not None else None):
        if (entry := _open(folder, key)) is not None:
            return entry
        for left in ("header.json", "images.u8", *(path.name for path in folder.glob(".*.part"))):
            (folder / left).unlink(missing_ok=True)  # of a damaged entry, or of a process that was killed
        listing, index = chosen()
        with _room(folder, len(index) * int(np.prod(shape))):
            _write(folder / "images.u8", listing, index, progress)
            header = {
                "format": FORMAT,
                "key": key,
                "shape": [len(index), *shape],
                "class_names": listing.class_names,
                "labels": listing.labels[index].tolist(),
            }
            if listing.domains is not None:
                header |= {"domain_names": listing.domain_names, "domains": listing.domains[index].tolist()}
            write_text(folder / "header.json", json.dumps(header))  # indented, labels would take a line each
        made = _open(folder, key)
    if made is None:
        raise DataError("the cache was changed while it was made", where=str(folder), remedy="Try again.")
    return made


def _write(path: Path, listing: Listing, index: Labels, progress: Progress | None) -> None:
    done = 0
    with replacing(path) as part, part.open("wb") as file:
        for block in listing.blocks(index):
            file.write(np.ascontiguousarray(block).data)
            done += len(block)
            if progress is not None:
                progress(done, len(index))


@contextmanager
def _room(folder: Path, need: int) -> Iterator[None]:
    """Refuse to start without `need` free bytes, and say how many are needed if the disk fills up on the way."""
    free = shutil.disk_usage(folder).free
    full = DataError(
        f"no room for decoded images: {size_text(need)} needed, {size_text(free)} free",
        where=str(folder),
        remedy="Free some space, store smaller images (data.store), or take fewer (data.limit).",
    )
    if free < need:
        raise full
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise full from error
        raise


def _open(folder: Path, key: dict[str, Any]) -> Decoded | None:
    try:
        header = read_json(folder / "header.json")
        if header["format"] != FORMAT or header["key"] != key:
            return None
        shape = tuple(header["shape"])
        path = folder / "images.u8"
        if path.stat().st_size != int(np.prod(shape)):
            return None
        images = np.memmap(path, np.uint8, "r", shape=shape)
        labels = np.array(header["labels"], dtype=np.int64)
        domains = np.array(header["domains"], dtype=np.int64) if "domains" in header else None
        return Decoded(images, labels, tuple(header["class_names"]), domains, tuple(header.get("domain_names", ())))
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not there, or damaged: it will be made (again)


def size_text(count: float) -> str:
    """A number of bytes for people: `2.6 GB`."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
