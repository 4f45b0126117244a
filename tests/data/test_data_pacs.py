"""PACS: the official lists decide, wrong ones are told by line; the counts of the real data."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from domain_trees import PACS, PACS_CLASSES, colour, write_pacs

from sslrun.data.check import check
from sslrun.data.dataset import open_dataset
from sslrun.errors import DataError
from sslrun.recipe.schema import Pacs

LIST = "PACS/splits/photo_train_kfold.txt"
LINE = "photo/dog/pic_0.jpg 1\n"


def test_the_lists_are_the_splits_sorted_by_name(tmp_path: Path) -> None:
    write_pacs(tmp_path)
    for split, places in (("train", range(3)), ("validation", range(3, 5)), ("test", range(5))):
        found = open_dataset(PACS, tmp_path).images(split)  # type: ignore[arg-type]  # a loop over literals
        domains = ("cartoon",) if split == "test" else ("art_painting", "photo", "sketch")
        expected = [(d, c, colour(f"{d}/{c}/pic_{at}.jpg")) for d in domains for c in PACS_CLASSES for at in places]
        assert found.domains is not None
        assert found.class_names == PACS_CLASSES
        assert [Pacs.DOMAINS[number] for number in found.domains] == [domain for domain, _, _ in expected]
        assert [PACS_CLASSES[label] for label in found.labels] == [name for _, name, _ in expected]
        assert [tuple(pixel) for pixel in found.images[:, :, 8, 8].tolist()] == [shade for _, _, shade in expected]


@pytest.mark.parametrize("below", ["kfold", "images"])  # as published, and as Dassl has it
def test_domains_in_a_folder_of_their_own_are_the_same_data(tmp_path: Path, below: str) -> None:
    write_pacs(tmp_path / "a")
    write_pacs(tmp_path / "b", images=f"PACS/{below}")
    for split in ("train", "test"):
        images = [open_dataset(PACS, tmp_path / name).images(split).images for name in "ab"]
        assert torch.equal(*images)
    assert open_dataset(PACS, tmp_path / "a").fingerprint == open_dataset(PACS, tmp_path / "b").fingerprint


def change(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (change("pic_0", "pic_9"), r":\d+: names no file: .*photo/\w+/pic_9.jpg"),
        (change(LINE, "photo/dog/pic_0.jpg 2\n"), r":21: 'dog' is not class 2 of PACS\n\(dog 1, elephant 2"),
        (change(LINE, "photo/cat/pic_0.jpg 1\n"), r":21: 'cat' is not class 1"),
        (change(LINE, "sketch/dog/pic_0.jpg 1\n"), r":21: 'sketch/dog/pic_0.jpg' is not of the domain photo"),
        (change(LINE, "photo/dog/pic_0.jpg\n"), r":21: expected 'domain/class/file number', not 'photo/dog/pic_0.jpg'"),
        (change(LINE, "photo/../../x.jpg 1\n"), r":21: expected 'domain/class/file"),
        (change(LINE, LINE + LINE), r"'photo/dog/pic_0.jpg' is listed twice, also at .*:21"),
        (change(LINE, LINE + "photo/dog/pic_3.jpg 1\n"), "is listed twice"),
        (lambda _: "<html>\n", r":1: expected"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, edit: Callable[[str], str], told: str) -> None:
    write_pacs(tmp_path)
    path = tmp_path / LIST
    path.write_text(edit(path.read_text()))
    with pytest.raises(DataError, match=told) as error:
        open_dataset(PACS, tmp_path).images("train")
    assert "_kfold.txt:" in str(error.value.where)


def test_blank_lines_matter_not_and_binary_lists_are_foreign(tmp_path: Path) -> None:
    write_pacs(tmp_path)
    before = open_dataset(PACS, tmp_path).fingerprint
    path = tmp_path / LIST
    path.write_text(path.read_text().replace("\n", "\r\n") + "\n\n")
    assert open_dataset(PACS, tmp_path).fingerprint == before
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"photo_train_kfold.txt: not a text file"):
        open_dataset(PACS, tmp_path).images("train")


def test_what_is_held_out_from_learning_is_part_of_the_fingerprint(tmp_path: Path) -> None:
    write_pacs(tmp_path)
    before = open_dataset(PACS, tmp_path).fingerprint
    train, held_out = (tmp_path / f"PACS/splits/photo_{role}_kfold.txt" for role in ("train", "crossval"))
    train.write_text(train.read_text().replace(LINE, ""))
    held_out.write_text(held_out.read_text() + LINE)
    assert open_dataset(PACS, tmp_path).fingerprint != before


def test_a_split_without_pictures_is_told(tmp_path: Path) -> None:
    write_pacs(tmp_path)
    for path in (tmp_path / "PACS/splits").glob("*_crossval_*"):
        path.write_text("")
    with pytest.raises(DataError, match="no images for validation with cartoon held out") as error:
        open_dataset(PACS, tmp_path).images("validation")
    assert error.value.where == str(tmp_path / "PACS")
    with pytest.raises(DataError, match="no images for test with no domain held out"):
        open_dataset(PACS.model_copy(update={"held_out": ()}), tmp_path).images("test")


def test_missing_lists_are_all_told(tmp_path: Path) -> None:
    write_pacs(tmp_path)
    for name in ("photo_train", "sketch_crossval"):
        (tmp_path / f"PACS/splits/{name}_kfold.txt").unlink()
    text = check(open_dataset(PACS, tmp_path)).text()
    assert "photo_train_kfold.txt: no such file" in text
    assert f"PACS is expected as {tmp_path}/PACS/DOMAIN/CLASS/* and {tmp_path}/PACS/splits/DOMAIN_{{train," in text
    assert "missing in all: photo_train_kfold.txt, sketch_crossval_kfold.txt" in text


@pytest.mark.skipif("SSLRUN_TEST_DATA" not in os.environ, reason="SSLRUN_TEST_DATA is not set")
def test_the_real_lists_have_the_known_counts(tmp_path: Path) -> None:
    archives = os.environ["SSLRUN_TEST_DATA"]
    command = [sys.executable, f"{archives}/unpack.py", "pacs", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    every = {"art_painting": (2048, 1840), "cartoon": (2344, 2107), "photo": (1670, 1499), "sketch": (3929, 3531)}
    unlabelled = {"photo": 7478, "art_painting": 7137, "cartoon": 6870, "sketch": 5446}
    per_class = {
        "art_painting": [379, 255, 285, 184, 201, 295, 449],
        "cartoon": [389, 457, 346, 135, 324, 288, 405],
        "photo": [189, 202, 182, 186, 199, 280, 432],
        "sketch": [772, 740, 753, 608, 816, 80, 160],
    }
    for target in Pacs.DOMAINS:
        data = Pacs(kind="pacs", held_out=(target,), store=16)
        whole, training = (open_dataset(data, tmp_path).chosen(split)[0] for split in ("test", "train"))
        assert torch.bincount(torch.from_numpy(whole.labels)).tolist() == per_class[target]
        assert len(training.labels) == unlabelled[target]
    for held_out in ((), ("sketch",), ("cartoon", "photo")):
        opened = open_dataset(Pacs(kind="pacs", held_out=held_out, store=16), tmp_path)
        published = opened.published()
        assert {split: len(opened.chosen(split)[0].labels) for split in published} == published
    report = check(open_dataset(data, tmp_path))
    for name, counts in report.domain_counts.items():
        all_of_it, learnt = every[name]
        expected = {"test": all_of_it} if name == target else {"train": learnt, "validation": all_of_it - learnt}
        assert counts == expected
    limited = Pacs(kind="pacs", held_out=("sketch",), store=16, limit=42)
    found = open_dataset(limited, tmp_path).images("pretrain")
    assert found.images.shape == (42, 3, 16, 16)
    assert found.domains is not None
    assert (found.domains * 7 + found.labels).bincount().tolist() == [2] * 21
    assert found.images.float().std() > 30  # pictures, not flat colours
