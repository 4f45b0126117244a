"""Digests of files' content, kept in the folder of the image cache with each file's size and times of change.

Only what has changed is read again; fingerprints of data sets (`Dataset.facts`) are made of them.
"""

import hashlib
import os
import time
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sslrun import console
from sslrun.data import cache
from sslrun.data.listing import FileState
from sslrun.files import replacing
from sslrun.limits import cores

MANY_BYTES = 4e9  # so much to read takes long enough to be told
_AT_ONCE = 1024  # files that wait for a thread
_GRAIN = 2.0
"""Seconds: a file changed a moment ago may change again within the clock's grain, so we don't vouch for it yet."""

Named = tuple[str, FileState]
"""A file's path below a folder, with forward slashes, and its state when it was listed."""


class _Known(NamedTuple):
    """Files of one folder: their names, joined by NULs, their states (N, 3) and digests (N, 32)."""

    names: bytes
    states: NDArray[np.int64]
    digests: NDArray[np.uint8]

    def by_file(self) -> dict[tuple[str, FileState], bytes]:
        if not len(self.states):
            return {}
        names = os.fsdecode(self.names).split("\0")
        states = (FileState(*state) for state in self.states.tolist())
        return {(name, state): bytes(of) for name, state, of in zip(names, states, self.digests, strict=True)}


_NOTHING = _Known(b"", np.zeros((0, 3), np.int64), np.zeros((0, 32), np.uint8))


def facts(folder: Path, files: Sequence[Named], root: Path) -> Iterator[str]:
    """The line of a fingerprint for each of `files` below `folder`: name, size and sha256 of the content.

    `root` is the data folder, whose cache remembers what was read. Raises `OSError` for a file that can't be read.
    """
    parts: dict[str, list[int]] = {}
    for at, (name, _) in enumerate(files):
        parts.setdefault(name.partition("/")[0] if "/" in name else "", []).append(at)
    found = np.zeros((len(files), 32), np.uint8)
    for part, index in parts.items():  # each sub-folder's are kept apart, so that sets of some of them share
        found[index] = _digests(folder, [files[at] for at in index], cache.places(root), part)
    digits = found.tobytes().hex()
    for at, (name, state) in enumerate(files):
        yield f"{name}\0{state.size}\0{digits[64 * at : 64 * at + 64]}"


def _digests(folder: Path, files: Sequence[Named], places: Sequence[Path], part: str) -> NDArray[np.uint8]:
    name = hashlib.sha256(os.fsencode((folder / part).resolve())).hexdigest()[:16]
    notes = [place / "digests" / f"{name}.npz" for place in places]
    known = next((kept for kept in map(_read, notes) if kept is not None), _NOTHING)
    now = _Known(
        os.fsencode("\0".join(name for name, _ in files)),
        np.fromiter(chain.from_iterable(state for _, state in files), np.int64).reshape(-1, 3),
        np.zeros((len(files), 32), np.uint8),
    )
    if now.names == known.names and np.array_equal(now.states, known.states):
        return known.digests
    before = known.by_file()
    new = [at for at, file in enumerate(files) if file not in before]
    for at, file in enumerate(files):
        now.digests[at] = np.frombuffer(before.get(file, bytes(32)), np.uint8)
    size = sum(files[at][1].size for at in new)
    if size > MANY_BYTES:
        console.error(f"reading {len(new):,} files once, to know them again ({cache.size_text(size)}): {folder / part}")
    with ThreadPoolExecutor(cores()) as pool:  # hashing goes on outside Python's lock
        for start in range(0, len(new), _AT_ONCE):
            few = new[start : start + _AT_ONCE]
            for at, digest in zip(few, pool.map(_digest, [folder / files[at][0] for at in few]), strict=True):
                now.digests[at] = np.frombuffer(digest, np.uint8)
    settled = time.time() - now.states[:, 2] / 1e9 > _GRAIN
    if any(settled[at] for at in new):
        _write(notes, before, files, now, settled)
    return now.digests


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _read(note: Path) -> _Known | None:
    with suppress(OSError, ValueError, KeyError, zipfile.BadZipFile):  # no note, or none that we can read
        with np.load(note) as kept:
            known = _Known(kept["names"].tobytes(), kept["states"], kept["digests"])
        count = len(known.states)
        if known.states.shape == (count, 3) and known.digests.shape == (count, 32):
            return known if count == 0 or known.names.count(b"\0") == count - 1 else None
    return None


def _write(
    notes: Sequence[Path],
    before: dict[Named, bytes],
    files: Sequence[Named],
    now: _Known,
    settled: NDArray[np.bool_],
) -> None:
    """Keep what is known in the first place that takes it: it only saves time. Files that these leave out stay, since
    another set may have them."""
    these = {name for name, _ in files}
    rows = [(*files[at], now.digests[at].tobytes()) for at in np.flatnonzero(settled).tolist()]
    rows += [(name, state, digest) for (name, state), digest in before.items() if name not in these]
    names = np.frombuffer(os.fsencode("\0".join(name for name, _, _ in rows)), np.uint8)
    states = np.array([state for _, state, _ in rows], np.int64)
    content = np.frombuffer(b"".join(digest for *_, digest in rows), np.uint8).reshape(-1, 32)
    for note in notes:
        with suppress(OSError):
            note.parent.mkdir(parents=True, exist_ok=True)
            with replacing(note) as part, part.open("wb") as file:
                np.savez(file, names=names, states=states, digests=content)
            return
