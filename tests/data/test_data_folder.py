"""Class folders: pixels equal torchvision's Resize and CenterCrop; every wrong file or folder is named."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_data import write_pictures
from torchvision.transforms import CenterCrop, Compose, Resize

from sslrun.data.dataset import open_dataset
from sslrun.errors import DataError
from sslrun.recipe.schema import Folder

DATA = Folder(kind="folder", path="set", store=24)


def expected(image: Image.Image, side: int = 24) -> Any:
    square = Compose([Resize(side), CenterCrop(side)])(image.convert("RGB"))
    return np.asarray(square).transpose(2, 0, 1)


def test_pictures_of_all_sizes_become_squares_as_torchvisions(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    for split, folder in (("pretrain", "train"), ("train", "train"), ("test", "val")):
        found = open_dataset(DATA, tmp_path).images(split)  # type: ignore[arg-type]  # a loop over literals
        files = sorted((tmp_path / "set" / folder).rglob("*.png"))
        assert len(found) == len(files)
        assert found.class_names == ("cat", "dog", "fish")
        for image, label, path in zip(found.images.numpy(), found.labels.tolist(), files, strict=True):
            assert found.class_names[label] == path.parent.name
            assert np.array_equal(image, expected(Image.open(path)))


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "RGBA", "LA", "1"])
@pytest.mark.parametrize("size", [(31, 47), (60, 24), (9, 13)])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str, size: tuple[int, int]) -> None:
    write_pictures(tmp_path)
    pixels = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    picture = Image.fromarray(pixels).convert(mode)
    path = tmp_path / "set/train/cat" / ("0.tif" if mode == "CMYK" else "0.png")
    truth = expected(picture)
    if mode == "P":
        picture.info["transparency"] = b"\x00\x80"
    picture.save(path)
    if mode == "CMYK":
        path.with_suffix(".png").unlink()
    assert np.array_equal(open_dataset(DATA, tmp_path).images("train").images[0].numpy(), truth)


def test_exif_orientation_is_honoured(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    pixels = np.random.default_rng(2).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90° clockwise to see it upright
    Image.fromarray(pixels).save(tmp_path / "set/train/cat/0.png", exif=exif)
    upright = np.rot90(pixels, k=-1).transpose(2, 0, 1)
    assert np.array_equal(open_dataset(DATA, tmp_path).images("train").images[0].numpy(), upright)


def test_limit_decodes_only_what_it_takes(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    (tmp_path / "set/train/dog/4.png").write_bytes(b"damaged, but not among the first two of its class")
    done: list[tuple[int, int]] = []
    found = open_dataset(DATA.model_copy(update={"limit": 6}), tmp_path).images("train", lambda *at: done.append(at))
    assert found.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert done[-1] == (6, 6)


@pytest.mark.parametrize("damage", ["cut off", "text", "empty", "16 bits"])
def test_a_bad_picture_is_named(tmp_path: Path, damage: str) -> None:
    write_pictures(tmp_path)
    path = tmp_path / "set/train/dog/3.png"
    if damage == "cut off":
        path = path.rename(path.with_suffix(".jpg"))
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 50, 3), dtype=np.uint8)).save(path)
        os.truncate(path, path.stat().st_size // 2)
    elif damage == "16 bits":
        Image.fromarray(np.full((30, 30), 40_000, np.uint16)).save(path)
    else:
        path.write_bytes(b"" if damage == "empty" else b"<html>not found</html>")
    with pytest.raises(DataError) as error:
        open_dataset(DATA, tmp_path).images("train")
    assert error.value.where == str(path)
    assert len(open_dataset(DATA, tmp_path).images("test")) == 6  # of no concern to the other split


def test_litter_is_passed_over_and_foreign_files_are_named(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    for name in (".DS_Store", "Thumbs.db", "._0.png"):
        (tmp_path / "set/train/cat" / name).write_bytes(b"x")
    assert len(open_dataset(DATA, tmp_path).images("train")) == 15
    (tmp_path / "set/train/cat/notes.txt").write_text("mine")
    with pytest.raises(DataError, match=r"cat/notes\.txt: not a picture"):
        open_dataset(DATA, tmp_path).images("train")


def test_missing_folders_empty_classes_and_differing_classes_are_errors(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    with pytest.raises(DataError, match=r"nowhere/train: no such folder") as told:
        open_dataset(DATA.model_copy(update={"path": "nowhere"}), tmp_path).images("train")
    assert f"data.path (nowhere) is relative to --data, which is {tmp_path}" in str(told.value)
    with pytest.raises(DataError, match=r"nowhere/train: no such folder") as told:
        open_dataset(DATA.model_copy(update={"path": str(tmp_path / "nowhere")}), tmp_path).images("train")
    assert "relative" not in str(told.value)
    with pytest.raises(DataError, match=r"There are: train, val"):
        open_dataset(DATA.model_copy(update={"test": "test"}), tmp_path).images("train")
    (tmp_path / "set/train/fish").rename(tmp_path / "set/train/fisch")
    with pytest.raises(DataError, match="class 'fisch' is in train/ but not in val/"):
        open_dataset(DATA, tmp_path).images("train")
    (tmp_path / "set/val/fisch").mkdir()
    with pytest.raises(DataError, match="fisch: no pictures"):
        open_dataset(DATA, tmp_path).images("train")
