"""Real CIFAR-10 (re-encoded) and Imagenette, where SSLRUN_TEST_DATA names the folder of their archives."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torchvision

from sslrun.data.check import check
from sslrun.data.dataset import open_dataset
from sslrun.recipe.schema import Cifar, Folder

ARCHIVES = os.environ.get("SSLRUN_TEST_DATA")
pytestmark = pytest.mark.skipif(ARCHIVES is None, reason="SSLRUN_TEST_DATA is not set")


def unpack(name: str, root: Path) -> None:
    subprocess.run([sys.executable, f"{ARCHIVES}/unpack.py", name, str(root)], check=True, capture_output=True)


def test_cifar10_is_torchvisions(tmp_path: Path) -> None:
    class Unverified(torchvision.datasets.CIFAR10):  # type: ignore[misc]  # torchvision has no types
        def _check_integrity(self) -> bool:
            return True

    unpack("cifar10", tmp_path)
    data = Cifar(kind="cifar10", verify=False)
    for split, count in (("train", 50_000), ("test", 10_000)):
        found = open_dataset(data, tmp_path).images(split)  # type: ignore[arg-type]  # a loop over literals
        oracle = Unverified(str(tmp_path), train=split == "train")
        assert torch.equal(found.images, torch.from_numpy(oracle.data).permute(0, 3, 1, 2))
        assert found.labels.tolist() == oracle.targets
        assert torch.equal(found.labels.bincount(), torch.full((10,), count // 10))
        assert found.class_names == tuple(oracle.classes)


def test_imagenette_is_counted_and_decoded(tmp_path: Path) -> None:
    unpack("imagenette", tmp_path)
    data = Folder(kind="folder", path="imagenette", store=128, limit=200)
    assert check(open_dataset(data.model_copy(update={"limit": None}), tmp_path)).counts == {
        "train": 9_469,
        "test": 3_925,
    }
    found = open_dataset(data, tmp_path).images("pretrain")
    assert found.images.shape == (200, 3, 128, 128)
    assert torch.equal(found.labels.bincount(), torch.full((10,), 20))
    oracle = torchvision.datasets.ImageFolder(str(tmp_path / "imagenette/train"))
    firsts = [index for index, label in enumerate(oracle.targets) if label == 7][:20]
    for ours, index in zip(found.images[found.labels == 7], firsts, strict=True):
        assert torch.equal(ours, torchvision.transforms.functional.pil_to_tensor(oracle[index][0]))
