"""`sslrun data check`: what is there, what is missing, how to get it; downloads only when asked."""

import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from domain_trees import FOLDERS, PACS, write_folders, write_pacs
from tiny_data import Written, write_cifar10, write_pictures
from torchvision import datasets

from sslrun.data.check import check
from sslrun.data.dataset import open_dataset
from sslrun.errors import DataError, InputError
from sslrun.folding import wrapped
from sslrun.recipe.schema import Cifar, Digits, Folder, Pictures, Stl10
from sslrun.recipe.shipped import shipped

PICTURES = Folder(kind="folder", path="set", store=20)


def test_counts_and_the_cache_before_and_after_it_is_made(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    report = check(open_dataset(PICTURES, tmp_path))
    assert report.ok
    assert report.counts == {"train": 15, "test": 6}
    assert report.class_names == ("cat", "dog", "fish")
    assert report.cache_bytes == report.cache_missing_bytes == 21 * 3 * 20 * 20
    assert not list((tmp_path / ".sslrun-cache").iterdir())
    open_dataset(PICTURES, tmp_path).images("train")
    assert check(open_dataset(PICTURES, tmp_path)).cache_missing_bytes == 6 * 3 * 20 * 20
    open_dataset(PICTURES, tmp_path).images("test")
    assert "made already" in check(open_dataset(PICTURES, tmp_path)).text()


def test_images_that_are_two_splits_are_counted_once(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    report = check(open_dataset(Pictures(kind="pictures", path="set", store=20), tmp_path))
    assert report.counts == {"train and test": 21}
    assert report.cache_bytes == report.cache_missing_bytes == 21 * 3 * 20 * 20
    write_folders(tmp_path)
    report = check(open_dataset(FOLDERS.model_copy(update={"held_out": ()}), tmp_path))
    assert report.counts == {"train": 48, "validation and test": 12}
    assert set(report.domain_counts) == {"fog", "night", "sun"}
    assert all(of == {"train": 16, "validation and test": 4} for of in report.domain_counts.values())
    assert report.cache_bytes == 60 * 3 * 16 * 16


def test_stl10_cifar_and_digits_are_counted(stl10: Written) -> None:
    assert check(open_dataset(Stl10(kind="stl10", limit=20), stl10.root)).counts == {
        "pretrain": 20,
        "train": 12,
        "test": 5,
    }
    write_cifar10(stl10.root)
    report = check(open_dataset(Cifar(kind="cifar10", verify=False), stl10.root))
    assert (report.counts, report.shape, report.cache_place) == ({"train": 30, "test": 6}, (3, 32, 32), None)
    assert "1,400 train, 397 test; 10 classes" in check(open_dataset(Digits(kind="digits"), stl10.root)).text()


def test_all_that_is_missing_is_told_with_the_way_to_get_it(stl10: Written) -> None:
    for name in ("test_X.bin", "unlabeled_X.bin"):
        (stl10.root / "stl10_binary" / name).unlink()
    report = check(open_dataset(Stl10(kind="stl10"), stl10.root))
    assert not report.ok
    assert "test_X.bin: no such file" in report.text()
    assert "missing in all: test_X.bin, unlabeled_X.bin" in report.text()
    assert report.text().count("--download") == report.text().count("is expected as") == 1
    assert "ready" not in report.text()


def test_the_way_to_get_it_is_a_command_to_copy(
    tmp_path: Path, sslrun: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "my data"
    (tmp_path / "mine.yaml").write_text("data: {kind: cifar100}\nmethod: {kind: simclr}\n")
    (tmp_path / "both.yaml").write_text("base: mine.yaml\naxes: {lr: {a: {}, b: {optimizer.network.lr: 0.1}}}\n")
    wanted = f"sslrun data check cifar100_directpred --data '{root}' --download"
    changed = ["--set", "training.epochs=3", "--data", root]
    for command in (["pretrain", tmp_path / "mine.yaml"], ["data", "check", tmp_path / "mine.yaml"]):
        code, *said = sslrun(*command, *changed)
        assert code == 2 and wanted in " ".join(said)
    _, plan, _ = sslrun("sweep", "--grid", tmp_path / "both.yaml", "--plan", *changed, "--results", tmp_path / "r")
    assert wanted in plan
    fetched: list[str] = []
    monkeypatch.setattr(datasets, "CIFAR100", lambda root, **_: fetched.append(root))
    sslrun(*shlex.split(wanted)[1:])
    assert fetched == [str(root)]
    for kind in ("stl10", "cifar10"):
        assert f"{kind}_directpred" in shipped()


def test_a_damaged_file_is_to_be_fetched_again_by_a_command_to_copy(tmp_path: Path, stl10: Written) -> None:
    write_cifar10(tmp_path)
    (tmp_path / "cifar-10-batches-py/test_batch").write_bytes(b"x")
    (stl10.root / "stl10_binary/test_X.bin").write_bytes(b"x")
    for section, root in ((Cifar(kind="cifar10"), tmp_path), (Stl10(kind="stl10"), stl10.root)):
        command = f"sslrun data check {section.kind}_directpred --data {root} --download"
        assert f"Delete it and fetch it again: {command}" in check(open_dataset(section, root)).text()


def test_a_wrong_file_is_a_problem_not_a_crash(tmp_path: Path) -> None:
    write_cifar10(tmp_path)
    (tmp_path / "cifar-10-batches-py/test_batch").write_bytes(b"x")
    report = check(open_dataset(Cifar(kind="cifar10", verify=False), tmp_path))
    assert report.counts == {"train": 30}
    assert "test_batch: cut off or not a pickle" in report.text()
    assert f"relative to --data, which is {tmp_path}" in check(open_dataset(PICTURES, tmp_path)).text()


@pytest.mark.parametrize(
    "data",
    [
        "{kind: folder, path: my set, store: 20, limit: 14}",
        "{kind: pictures, path: my set, store: 20}",
        "{kind: domains, path: my set, store: 20, held_out: [val]}",
    ],
)
def test_every_picture_is_decoded_and_all_bad_ones_are_listed_with_a_command_that_moves_them_away(
    data: str, tmp_path: Path, sslrun: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    place = write_pictures(tmp_path / "data").joinpath("set").rename("data/my set")
    bad = [place / f"{name}.png" for name in ("train/cat/0", "train/dog/1", "train/fish/2", "val/cat/1", "val/dog/0")]
    for path, content in zip(bad, (b"", b"text", bad[2].read_bytes()[:80], b"", b"\0"), strict=True):
        path.write_bytes(content)
    Path("mine.yaml").write_text(f"data: {data}\nviews: {{size: 16}}\nmethod: {{kind: simclr}}\n")
    command = ["data", "check", "mine.yaml", "--set", "training.batch_size=8", "--set", "evaluation.linear=null"]
    code, out, _ = sslrun(*command)
    assert code == 2 and "5 pictures can't be read" in out and "ready" not in out
    for path, why in zip(bad, ("an empty", "cannot identify", "truncated", "an empty", "cannot identify"), strict=True):
        assert any(f"{path}: " in line and why in line for line in out.splitlines()), (path, out)
    (move,) = [line for line in out.splitlines() if line.startswith("  (cd ")]
    assert wrapped(move, 40) == [move]
    subprocess.run(["sh", "-c", move], check=True)
    assert sum(path.is_file() for path in Path("data/my set-unreadable").rglob("*")) == len(bad)
    code, out, _ = sslrun(*command)
    assert code == 0 and "ready" in out.splitlines()
    assert not list(Path("data").glob(".sslrun-cache/*/images.u8"))


def test_pictures_that_a_list_names_are_not_to_be_moved_away(tmp_path: Path) -> None:
    bad = write_pacs(tmp_path, images="PACS/kfold") / "PACS/kfold/photo/dog/pic_0.jpg"
    bad.write_bytes(b"")
    text = check(open_dataset(PACS, tmp_path)).text()
    assert f"1 picture can't be read\n  {bad}: an empty file\n" in text
    assert "all that are listed are needed" in text and "mv" not in text
    with pytest.raises(DataError, match="an empty file") as early:
        open_dataset(PACS, tmp_path).images("train")
    assert early.value.where == str(bad)


def test_download_goes_through_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(datasets, "CIFAR100", lambda root, **options: asked.append((root, options)))
    open_dataset(Cifar(kind="cifar100"), tmp_path / "new").download()
    open_dataset(Digits(kind="digits"), tmp_path).download()
    assert asked == [(str(tmp_path / "new"), {"download": True})]
    with pytest.raises(InputError, match="class folders have no downloader"):
        open_dataset(PICTURES, tmp_path).download()

    def fail(root: str, download: bool) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(datasets, "STL10", fail)
    with pytest.raises(DataError, match="no route to host"):
        open_dataset(Stl10(kind="stl10"), tmp_path).download()
