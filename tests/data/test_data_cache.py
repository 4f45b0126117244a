"""The cache: made once, by one of several processes, whole or not at all, wherever there is room."""

import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_data import Written, write_pictures

from sslrun.data import cache
from sslrun.data.check import check
from sslrun.data.dataset import open_dataset
from sslrun.errors import DataError
from sslrun.recipe.schema import Folder, Stl10

DATA = Folder(kind="folder", path="set", store=16)

MAKER = """
import os, sys, time
from pathlib import Path
from sslrun.data import cache
from sslrun.data.check import check
from sslrun.data.dataset import open_dataset
from sslrun.errors import DataError
from sslrun.recipe.schema import Folder
root, act = Path(sys.argv[1]), sys.argv[2]
data = open_dataset(Folder(kind="folder", path="set", store=16), root)
made = []
def progress(done, total):
    if not total:
        return  # another process is at it
    made.append(done)
    if act == "die":
        os.kill(os.getpid(), 9)
    time.sleep(0.5)
key = data.cache_key("train")
try:
    entry = cache.find(root, key) or cache.make(root, key, data.shape, lambda: data.chosen("train"), progress)
    print(len(made), int(entry.images.sum()))
except DataError as error:
    print(error)
assert "torch" not in sys.modules
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    return write_pictures(tmp_path / "data")


def maker(root: Path, act: str = "", limit: int | None = None) -> subprocess.Popen[str]:
    def preexec() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.Popen(
        [sys.executable, "-c", MAKER, str(root), act], stdout=subprocess.PIPE, text=True, preexec_fn=preexec
    )


def entry_folder(root: Path) -> Path:
    [folder] = (root / ".sslrun-cache").glob("folder-*")
    return folder


def test_two_processes_make_one_cache(root: Path) -> None:
    both = [maker(root), maker(root)]
    answers = [process.communicate(timeout=60)[0].split() for process in both]
    assert sorted(made for made, _ in answers) == ["0", "1"]
    assert answers[0][1] == answers[1][1] == str(int(open_dataset(DATA, root).images("train").images.long().sum()))


def test_killed_while_making_it_is_made_again_whole(root: Path) -> None:
    process = maker(root, "die")
    process.communicate(timeout=60)
    assert process.returncode == -9
    assert {path.suffix for path in entry_folder(root).iterdir()} == {"", ".part"}  # the lock, a half-written file
    assert len(open_dataset(DATA, root).images("train")) == 15
    assert {path.name for path in entry_folder(root).iterdir()} == {"lock", "images.u8", "header.json"}


def test_a_file_that_may_not_grow_is_told_as_a_full_disk(root: Path) -> None:
    text, _ = maker(root, limit=4096).communicate(timeout=60)
    assert "no room for decoded images: 11.5 kB needed" in text  # 15 images of 3 × 16 × 16 bytes
    assert not list(entry_folder(root).glob("images.u8"))
    assert len(open_dataset(DATA, root).images("train")) == 15


def test_a_full_disk_is_told_before_decoding(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(root)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DataError, match=r"11\.5 kB needed, 1\.0 kB free"):
        open_dataset(DATA, root).images("train")


def test_it_is_reused_without_reading_pictures(root: Path) -> None:
    first = open_dataset(DATA, root).images("train")
    again = open_dataset(DATA, root).images("pretrain", lambda *at: pytest.fail("decoded again"))
    assert torch.equal(first.images, again.images)
    assert len(list((root / ".sslrun-cache").glob("folder-*"))) == 1


@pytest.mark.parametrize("damage", ["short", "long", "no header", "bad header", "header of another"])
def test_a_damaged_entry_is_made_again(root: Path, damage: str) -> None:
    good = open_dataset(DATA, root).images("train").images.clone()
    images, header = entry_folder(root) / "images.u8", entry_folder(root) / "header.json"
    if damage == "no header":
        header.unlink()
    elif damage.endswith("header"):
        header.write_text("{")
    elif damage == "header of another":
        header.write_text(header.read_text().replace('"side": 16', '"side": 17'))
    else:
        content = images.read_bytes()
        images.write_bytes(content[:-1] if damage == "short" else content + b"x")
    made: list[int] = []
    again = open_dataset(DATA, root).images("train", lambda done, total: made.append(done))
    assert made == [15]
    assert torch.equal(again.images, good)


def test_other_pictures_and_other_sides_have_entries_of_their_own(root: Path) -> None:
    small = open_dataset(DATA, root).images("train")
    large = open_dataset(DATA.model_copy(update={"store": 32}), root).images("train")
    (root / "set/train/cat/0.png").unlink()
    fewer = open_dataset(DATA, root).images("train")
    assert (small.images.shape[-1], large.images.shape[-1], len(fewer)) == (16, 32, 14)


def test_a_data_folder_that_cant_be_written_uses_the_users_cache(root: Path, tmp_path: Path) -> None:
    (root / ".sslrun-cache").write_text("in the way")
    assert cache.place(root) == tmp_path / "user/sslrun"
    assert len(open_dataset(DATA, root).images("train")) == 15
    key = open_dataset(DATA, root).cache_key("train")
    assert key is not None and cache.find(root, key) is not None
    assert cache.place(tmp_path / "absent") == tmp_path / "user/sslrun"
    assert not (tmp_path / "absent").exists()


def test_without_a_home_there_is_only_the_data_folder(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", nobody)
    data = open_dataset(DATA, root)
    assert check(data).ok
    assert len(data.images("train")) == 15
    (root / ".sslrun-cache").rename(root / "away")
    (root / ".sslrun-cache").write_text("in the way")
    with pytest.raises(DataError, match=r"\.sslrun-cache: no cache folder can be written"):
        open_dataset(DATA, root).images("train")


def test_the_map_of_stl10_is_the_images(stl10: Written) -> None:
    open_dataset(Stl10(kind="stl10"), stl10.root).images("pretrain")
    [path] = (stl10.root / ".sslrun-cache").glob("stl10-train+unlabeled-*/images.u8")
    both = np.concatenate([stl10.images["train"], stl10.images["unlabeled"]])
    assert np.array_equal(np.fromfile(path, np.uint8), both.ravel())
