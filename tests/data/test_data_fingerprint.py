"""Fingerprints: of content, never of place; changed by any change; instant the second time; without torch."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_data import Written, write_cifar10, write_pictures

from sslrun.data.fingerprint import fingerprint
from sslrun.errors import DataError
from sslrun.recipe.schema import Cifar, Digits, Folder, Stl10

PICTURES = Folder(kind="folder", path="set", store=16)
CIFAR10 = Cifar(kind="cifar10", verify=False)


def test_needs_no_torch(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    code = (
        "import sys; from pathlib import Path; from sslrun.recipe.schema import *; "
        "from sslrun.data.fingerprint import fingerprint; from sslrun.data.check import check; "
        "data = Folder(kind='folder', path='set', store=16); root = Path(sys.argv[1]); "
        "assert check(data, root).ok; print(fingerprint(data, root), fingerprint(Digits(kind='digits'), root)); "
        "assert 'torch' not in sys.modules"
    )
    answer = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == [fingerprint(PICTURES, tmp_path), fingerprint(Digits(kind="digits"), tmp_path)]


def test_the_place_does_not_matter_and_the_use_does_not_either(tmp_path: Path, stl10: Written) -> None:
    write_pictures(stl10.root)
    write_cifar10(stl10.root)
    other = tmp_path / "elsewhere"
    other.mkdir()
    for name in ("set", "stl10_binary", "cifar-10-batches-py"):
        shutil.copytree(stl10.root / name, other / name)
    prints = [fingerprint(data, stl10.root) for data in (PICTURES, Stl10(kind="stl10"), CIFAR10)]
    assert prints == [fingerprint(data, other) for data in (PICTURES, Stl10(kind="stl10"), CIFAR10)]
    assert len(set(prints)) == 3
    assert all(len(text) == 64 for text in prints)
    moved = PICTURES.model_copy(update={"path": str(other / "set"), "store": 32, "limit": 4})
    assert fingerprint(moved, stl10.root) == prints[0]
    assert fingerprint(Cifar(kind="cifar10"), other) == prints[2]


def test_any_change_of_a_picture_file_changes_it(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    prints = {fingerprint(PICTURES, tmp_path)}
    picture = tmp_path / "set/train/cat/0.png"
    picture.write_bytes(picture.read_bytes() + b"x")
    prints.add(fingerprint(PICTURES, tmp_path))
    picture.rename(picture.with_name("00.png"))
    prints.add(fingerprint(PICTURES, tmp_path))
    picture.with_name("00.png").unlink()
    prints.add(fingerprint(PICTURES, tmp_path))
    (tmp_path / "set/val/cat/1.png").unlink()
    prints.add(fingerprint(PICTURES, tmp_path))
    assert len(prints) == 5


def test_one_changed_byte_of_a_binary_file_changes_it(stl10: Written) -> None:
    path = stl10.root / "stl10_binary/unlabeled_X.bin"
    before = fingerprint(Stl10(kind="stl10"), stl10.root)
    only_train = fingerprint(Stl10(kind="stl10", pretrain="train"), stl10.root)
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    assert fingerprint(Stl10(kind="stl10"), stl10.root) != before
    assert fingerprint(Stl10(kind="stl10", pretrain="train"), stl10.root) == only_train != before


def test_a_binary_file_is_digested_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar10(tmp_path)
    for path in (tmp_path / "cifar-10-batches-py").iterdir():
        os.utime(path, (1e9, 1e9))
    first = fingerprint(CIFAR10, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("digested again"))
        assert fingerprint(CIFAR10, tmp_path) == first
    for note in (tmp_path / ".sslrun-cache/digests").iterdir():
        note.write_text("[]")
    assert fingerprint(CIFAR10, tmp_path) == first
    path = tmp_path / "cifar-10-batches-py/test_batch"
    path.write_bytes(path.read_bytes()[::-1])  # same size, later time
    assert fingerprint(CIFAR10, tmp_path) != first


def test_missing_files_are_named(tmp_path: Path) -> None:
    for data in (PICTURES, CIFAR10, Stl10(kind="stl10")):
        with pytest.raises(DataError, match="no such"):
            fingerprint(data, tmp_path)
