"""What systems and network drives leave in folders is passed over: beside classes and domains, in them, in lists."""

import shutil
from pathlib import Path

import pytest
from domain_trees import FOLDERS, PACS, write_folders, write_pacs
from tiny_data import write_pictures

from sslrun.data.check import check
from sslrun.data.dataset import open_dataset
from sslrun.recipe.schema import Folder

DATA = Folder(kind="folder", path="set", store=16)
FILES = (".DS_Store", "._0.png", "Thumbs.db", "Desktop.ini", "Icon\r", ".nfs0001", "0.png:Zone.Identifier")
FOLDERS_LEFT = ("@eaDir", "__MACOSX", "lost+found", "$RECYCLE.BIN", "System Volume Information", "#recycle", "@Recycle")


def leave(folder: Path, name: str, picture: Path) -> None:
    if name in FILES:
        (folder / name).write_bytes(b"x")
    else:
        thumbnail = folder / name / "0.png" / "SYNOPHOTO_THUMB_M.jpg"
        thumbnail.parent.mkdir(parents=True)
        shutil.copy(picture, thumbnail)


@pytest.mark.parametrize("name", [*FILES, *FOLDERS_LEFT])
def test_at_every_level_of_class_folders(tmp_path: Path, name: str) -> None:
    write_pictures(tmp_path)
    before = open_dataset(DATA, tmp_path).fingerprint
    for place in ("set", "set/train", "set/train/cat", "set/val/dog"):
        leave(tmp_path / place, name, tmp_path / "set/train/cat/0.png")
    data = open_dataset(DATA, tmp_path)
    assert data.fingerprint == before
    report = check(data)
    assert (report.counts, report.problems) == ({"train": 15, "test": 6}, [])


@pytest.mark.parametrize("name", ["@eaDir", "Thumbs.db", "__MACOSX"])
def test_beside_domains_and_in_them(tmp_path: Path, name: str) -> None:
    write_folders(tmp_path, per_class=2)
    before = open_dataset(FOLDERS, tmp_path).fingerprint
    for place in ("scenes", "scenes/fog", "scenes/fog/car"):
        leave(tmp_path / place, name, tmp_path / "scenes/fog/car/0.png")
    assert open_dataset(FOLDERS, tmp_path).fingerprint == before


def test_in_lists_which_may_have_a_byte_order_mark_too(tmp_path: Path) -> None:
    write_pacs(tmp_path)
    before = open_dataset(PACS, tmp_path).fingerprint
    path = tmp_path / "PACS/splits/sketch_train_kfold.txt"
    names = ("sketch/dog/Thumbs.db", "sketch/@eaDir/pic_0.jpg", "sketch/dog/.DS_Store")
    path.write_text(path.read_text() + "".join(f"{name} 1\n" for name in names), encoding="utf-8-sig")
    assert open_dataset(PACS, tmp_path).fingerprint == before
