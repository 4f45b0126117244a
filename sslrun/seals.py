"""Files that tell whether they are whole: a digest of all their bytes, kept within themselves and checked before use.

torch's reader does not look at the checksums in its archives, and safetensors has none. Both stay files that any other
program reads. Who seals: `training.checkpoint`, `networks.weights`.
"""

import hashlib
import re
import zipfile
from pathlib import Path

_DIGITS = 64
BLANK = "0" * _DIGITS
"""Stands in the header of a safetensors file until it is sealed."""
_WITHOUT = "its digest is not that of its content"
_END = b"PK\5\6"
_END_BYTES = 22  # of the last record of a zip archive; a comment may follow, whose length are the last two of them
_MARKS = (b"sslrun", b"sealed")
_SEAL = re.compile(rb"[0-9a-f]{%d,}" % (_DIGITS // 2))
"""One changed byte leaves at least half of a seal, and one of the two marks."""


def seal_archive(path: Path) -> None:
    """Make the digest of a zip archive without a comment its comment."""
    with path.open("rb+") as file:
        file.seek(-2, 2)
        file.write(_DIGITS.to_bytes(2, "little"))
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0, 2)
        file.write(digest.encode())


def check_archive(path: Path) -> None:
    """Raise `ValueError` if an archive is not as it was sealed, or if one without a seal fails its own checksums."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _END_BYTES))
        if file.read().startswith(_END):  # no comment: not ours, or of a version that did not seal
            _check_members(path)
            return
        file.seek(max(0, size - _DIGITS))
        seal = file.read().decode("latin-1")
        file.seek(0)
        digest = hashlib.sha256()
        left = size - _DIGITS
        while left > 0 and (block := file.read(min(left, 1 << 20))):
            digest.update(block)
            left -= len(block)
    if digest.hexdigest() != seal:
        raise ValueError(_WITHOUT)


def _check_members(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
    # A changed byte may name a compression that zipfile has not, or an encryption: NotImplementedError, RuntimeError.
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise ValueError(str(error)) from error
    if bad is not None:
        raise ValueError(f"the checksum of {bad} is not that of its content")


def sealed_safetensors(whole: bytes) -> bytes:
    """A safetensors file with its digest, `BLANK` taken as it is, in the place of `BLANK` in its header."""
    return whole.replace(BLANK.encode(), hashlib.sha256(whole).hexdigest().encode(), 1)


def check_safetensors(path: Path) -> None:
    """Raise `ValueError` if a safetensors file of ours is not as it was sealed; those of others have no seal."""
    header = _header(path)
    found = _SEAL.search(header)
    if found is None or not any(mark in header for mark in _MARKS):
        return
    seal = found[0].decode()
    digest = hashlib.sha256()
    with path.open("rb") as file:
        digest.update(file.read(8 + found.start()))
        digest.update(b"0" * len(file.read(len(seal))))
        while block := file.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() != seal:
        raise ValueError(_WITHOUT)


def _header(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(min(int.from_bytes(file.read(8), "little"), path.stat().st_size))
