"""Digits, STL-10 and CIFAR: the pixels that were written come back; wrong files are refused by name."""

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from tiny_data import Written, write_cifar10

from sslrun.data.dataset import open_dataset
from sslrun.data.listing import evenly
from sslrun.errors import DataError
from sslrun.recipe.schema import Cifar, Digits, Folder, Stl10

CIFAR10 = Cifar(kind="cifar10", verify=False)
BATCH = "cifar-10-batches-py/data_batch_2"


@pytest.mark.parametrize("size", [8, 16, 21])
def test_digits_are_scikit_learns_enlarged_as_torch_does(size: int, tmp_path: Path) -> None:
    data = Digits(kind="digits", size=size)
    train, test = open_dataset(data, tmp_path).images("pretrain"), open_dataset(data, tmp_path).images("test")
    table = load_digits()
    values = torch.from_numpy(table.images)[:, None] * 255 / 16
    expected = torch.nn.functional.interpolate(values, (size, size), mode="bilinear", align_corners=False)
    ours = torch.cat([train.images, test.images]).double()
    assert (len(train), len(test)) == (1400, 397)
    assert (ours - expected).abs().max() <= 0.5 + 1e-9  # rounded to whole values
    assert torch.equal(torch.cat([train.labels, test.labels]), torch.from_numpy(table.target))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("pretrain", ["train", "unlabeled", "train+unlabeled"])
def test_stl10_reads_column_major_images(stl10: Written, pretrain: Any) -> None:
    data = Stl10(kind="stl10", pretrain=pretrain)
    for split, parts in (("pretrain", pretrain.split("+")), ("train", ["train"]), ("test", ["test"])):
        found = open_dataset(data, stl10.root).images(split)  # type: ignore[arg-type]  # a loop over literals
        assert np.array_equal(found.images.numpy(), np.concatenate([stl10.images[part] for part in parts]))
        assert np.array_equal(found.labels.numpy(), np.concatenate([stl10.labels[part] for part in parts]))
        assert found.class_names[:2] == ("airplane", "bird")


def test_stl10_without_unlabelled_images_suffices_to_pretrain_on_train(stl10: Written) -> None:
    (stl10.root / "stl10_binary/unlabeled_X.bin").unlink()
    assert len(open_dataset(Stl10(kind="stl10", pretrain="train"), stl10.root).images("pretrain")) == 12
    with pytest.raises(DataError, match=r"unlabeled_X\.bin: no such file"):
        open_dataset(Stl10(kind="stl10"), stl10.root).images("pretrain")


@pytest.mark.parametrize("name", ["train_X.bin", "train_y.bin"])
def test_a_cut_off_stl10_file_is_named(stl10: Written, name: str) -> None:
    path = stl10.root / "stl10_binary" / name
    os.truncate(path, path.stat().st_size - 1)
    with pytest.raises(DataError, match=name):
        open_dataset(Stl10(kind="stl10"), stl10.root).images("train")


def test_limit_takes_classes_in_turn_and_leaves_the_test_set_whole(stl10: Written) -> None:
    data = Stl10(kind="stl10", limit=11)
    found = open_dataset(data, stl10.root).images("pretrain")
    assert sorted(found.labels.tolist()) == list(range(-1, 10))  # one of each, the unlabelled as one class
    assert len(open_dataset(data, stl10.root).images("test")) == 5


@given(st.lists(st.integers(-1, 4), min_size=1, max_size=60), st.integers(2, 70))
def test_evenly_takes_the_first_of_each_class(numbers: list[int], limit: int) -> None:
    labels = np.array(numbers, dtype=np.int64)
    index = evenly(labels, limit)
    assert len(index) == min(limit, len(labels))
    assert np.all(np.diff(index) > 0)
    taken = {label: int((labels[index] == label).sum()) for label in set(numbers)}
    for label, count in taken.items():
        places = np.flatnonzero(labels == label)
        assert np.array_equal(index[labels[index] == label], places[:count])
        assert count == len(places) or count >= max(taken.values()) - 1  # behind only if it ran out


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_cifar10_reads_what_was_pickled(tmp_path: Path, protocol: int) -> None:
    written = write_cifar10(tmp_path, protocol)
    for split in ("train", "test"):
        found = open_dataset(CIFAR10, tmp_path).images(split)
        assert np.array_equal(found.images.numpy(), written.images[split])
        assert np.array_equal(found.labels.numpy(), written.labels[split])
        assert found.class_names == tuple("abcdefghij")


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize(
    "encode", [np.array, list, lambda labels: labels.astype(np.uint8), lambda labels: list(labels.astype(np.int32))]
)
def test_labels_of_re_encoded_copies_may_be_numpys(tmp_path: Path, protocol: int, encode: Any) -> None:
    written = write_cifar10(tmp_path, protocol)
    path = tmp_path / "cifar-10-batches-py/test_batch"
    batch = pickle.loads(path.read_bytes())
    path.write_bytes(pickle.dumps(batch | {"labels": encode(np.array(batch["labels"]))}, protocol))
    found = open_dataset(CIFAR10, tmp_path).images("test").labels
    assert found.tolist() == written.labels["test"].tolist()


@pytest.mark.parametrize("labels", [np.array([1.0] * 6), [np.float64(1)] * 6, np.ones((6, 1), int), [True] * 6])
def test_labels_that_are_no_whole_numbers_are_refused(tmp_path: Path, labels: Any) -> None:
    write_cifar10(tmp_path)
    path = tmp_path / "cifar-10-batches-py/test_batch"
    path.write_bytes(pickle.dumps(pickle.loads(path.read_bytes()) | {"labels": labels}))
    with pytest.raises(DataError, match=r"test_batch: (expected 'labels'|refused to read it)"):
        open_dataset(CIFAR10, tmp_path).images("test")


def test_cifar10_reads_pickles_with_numpys_old_names(tmp_path: Path) -> None:
    written = write_cifar10(tmp_path, protocol=2)
    for path in (tmp_path / "cifar-10-batches-py").iterdir():
        path.write_bytes(path.read_bytes().replace(b"numpy._core.", b"numpy.core."))
    assert np.array_equal(open_dataset(CIFAR10, tmp_path).images("train").images.numpy(), written.images["train"])


def test_cifar100_has_fine_labels(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    for name, count in (("train", 8), ("test", 3)):
        batch = {"data": np.ones((count, 3072), np.uint8), "fine_labels": [99] * count, "coarse_labels": [1] * count}
        (folder / name).write_bytes(pickle.dumps(batch))
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": [f"c{i}" for i in range(100)]}))
    found = open_dataset(Cifar(kind="cifar100", verify=False), tmp_path).images("pretrain")
    assert found.labels.tolist() == [99] * 8
    assert len(found.class_names) == 100


def test_verify_refuses_bytes_that_were_not_published(tmp_path: Path) -> None:
    write_cifar10(tmp_path)
    with pytest.raises(DataError, match="verify: false"):
        open_dataset(Cifar(kind="cifar10"), tmp_path).images("train")


class Evil:
    def __init__(self, call: Any, *arguments: Any) -> None:
        self.reduced = (call, arguments)

    def __reduce__(self) -> Any:
        return self.reduced


@pytest.mark.parametrize("call", [os.system, eval, getattr, np.fromfile])
def test_a_malicious_pickle_is_refused_before_it_acts(tmp_path: Path, call: Any) -> None:
    write_cifar10(tmp_path)
    mark = tmp_path / "mark"
    text = f"touch {mark}" if call is os.system else f"open({str(mark)!r}, 'w')"
    batch = {"data": Evil(call, text), "labels": []}
    (tmp_path / BATCH).write_bytes(pickle.dumps(batch))
    with pytest.raises(DataError, match=rf"data_batch_2: refused to read it: it asks for .*{call.__name__}"):
        open_dataset(CIFAR10, tmp_path).images("train")
    assert not mark.exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a pickle"),
        (b"<html>moved</html>", "not a pickle"),
        (pickle.dumps([1, 2]), "expected a dictionary"),
        (pickle.dumps({"data": 1}), "expected 'data'"),
        (pickle.dumps({"data": np.ones((2, 3072), np.uint8), "labels": [0]}), "expected 'labels', 2 numbers"),
        (pickle.dumps({"data": np.ones((2, 3072), np.uint8), "labels": [0, 10]}), "from 0 to 9"),
    ],
)
def test_a_foreign_cifar_file_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    write_cifar10(tmp_path)
    (tmp_path / BATCH).write_bytes(content)
    with pytest.raises(DataError, match=f"data_batch_2: .*{reason}"):
        open_dataset(CIFAR10, tmp_path).images("train")


def test_cut_off_and_missing_cifar_files_are_named(tmp_path: Path) -> None:
    write_cifar10(tmp_path)
    path = tmp_path / BATCH
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(DataError, match="data_batch_2: cut off"):
        open_dataset(CIFAR10, tmp_path).images("train")
    path.unlink()
    with pytest.raises(DataError, match="data_batch_2: no such file") as error:
        open_dataset(CIFAR10, tmp_path).images("train")
    assert "--download" in str(error.value)
    assert error.value.exit_code == 2


def test_what_the_file_system_refuses_is_told_by_name(tmp_path: Path) -> None:
    write_cifar10(tmp_path)
    long = tmp_path / ("x" * 300)
    with pytest.raises(DataError, match="xxx"):
        open_dataset(CIFAR10, long).images("train")
    with pytest.raises(DataError, match="File name too long") as error:
        open_dataset(Folder(kind="folder", path="x" * 300), tmp_path).images("train")
    assert "xxx" in str(error.value.where)
