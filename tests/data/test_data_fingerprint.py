"""Fingerprints: of content, never of place; changed by any change; instant the second time; without torch."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_data import Written, later, write_cifar10, write_pictures

from sslrun.data.dataset import open_dataset
from sslrun.errors import DataError
from sslrun.recipe.schema import Cifar, Digits, Folder, Stl10

PICTURES = Folder(kind="folder", path="set", store=16)
CIFAR10 = Cifar(kind="cifar10", verify=False)


def test_needs_no_torch(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    code = (
        "import sys; from pathlib import Path; from sslrun.recipe.schema import *; "
        "from sslrun.data.dataset import open_dataset; from sslrun.data.check import check; "
        "data = Folder(kind='folder', path='set', store=16); root = Path(sys.argv[1]); "
        "assert check(open_dataset(data, root)).ok; digits = open_dataset(Digits(kind='digits'), root); "
        "print(open_dataset(data, root).fingerprint, digits.fingerprint); "
        "assert 'torch' not in sys.modules"
    )
    answer = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == [
        open_dataset(PICTURES, tmp_path).fingerprint,
        open_dataset(Digits(kind="digits"), tmp_path).fingerprint,
    ]


def test_the_place_does_not_matter_and_the_use_does_not_either(tmp_path: Path, stl10: Written) -> None:
    write_pictures(stl10.root)
    write_cifar10(stl10.root)
    other = tmp_path / "elsewhere"
    other.mkdir()
    for name in ("set", "stl10_binary", "cifar-10-batches-py"):
        shutil.copytree(stl10.root / name, other / name)
    prints = [open_dataset(data, stl10.root).fingerprint for data in (PICTURES, Stl10(kind="stl10"), CIFAR10)]
    assert prints == [open_dataset(data, other).fingerprint for data in (PICTURES, Stl10(kind="stl10"), CIFAR10)]
    assert len(set(prints)) == 3
    assert all(len(text) == 64 for text in prints)
    moved = PICTURES.model_copy(update={"path": str(other / "set"), "store": 32, "limit": 4})
    assert open_dataset(moved, stl10.root).fingerprint == prints[0]
    assert open_dataset(Cifar(kind="cifar10"), other).fingerprint == prints[2]


def test_any_change_of_a_picture_file_changes_it(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    prints = {open_dataset(PICTURES, tmp_path).fingerprint}
    picture = tmp_path / "set/train/cat/0.png"
    picture.write_bytes(picture.read_bytes() + b"x")
    prints.add(open_dataset(PICTURES, tmp_path).fingerprint)
    picture.rename(picture.with_name("00.png"))
    prints.add(open_dataset(PICTURES, tmp_path).fingerprint)
    picture.with_name("00.png").unlink()
    prints.add(open_dataset(PICTURES, tmp_path).fingerprint)
    (tmp_path / "set/val/cat/1.png").unlink()
    prints.add(open_dataset(PICTURES, tmp_path).fingerprint)
    assert len(prints) == 5


def test_one_changed_byte_of_a_binary_file_changes_it(stl10: Written) -> None:
    path = stl10.root / "stl10_binary/unlabeled_X.bin"
    before = open_dataset(Stl10(kind="stl10"), stl10.root).fingerprint
    only_train = open_dataset(Stl10(kind="stl10", pretrain="train"), stl10.root).fingerprint
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    assert open_dataset(Stl10(kind="stl10"), stl10.root).fingerprint != before
    assert open_dataset(Stl10(kind="stl10", pretrain="train"), stl10.root).fingerprint == only_train != before


def test_a_binary_file_is_digested_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar10(tmp_path)
    later(monkeypatch)
    first = open_dataset(CIFAR10, tmp_path).fingerprint
    with monkeypatch.context() as patch:
        patch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("digested again"))
        assert open_dataset(CIFAR10, tmp_path).fingerprint == first
    for note in (tmp_path / ".sslrun-cache/digests").iterdir():
        note.write_text("[]")
    assert open_dataset(CIFAR10, tmp_path).fingerprint == first
    path = tmp_path / "cifar-10-batches-py/test_batch"
    path.write_bytes(path.read_bytes()[::-1])  # same size, later time
    assert open_dataset(CIFAR10, tmp_path).fingerprint != first


def test_missing_files_are_named(tmp_path: Path) -> None:
    for data in (PICTURES, CIFAR10, Stl10(kind="stl10")):
        with pytest.raises(DataError, match="no such"):
            assert open_dataset(data, tmp_path).fingerprint
