"""Tiny data sets of random pixels in the standard layouts, written as their publishers (or cameras) write them."""

import pickle
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

Bytes = NDArray[np.uint8]


class Written(NamedTuple):
    """A data folder and the truth about it: images (N, C, H, W) and labels by part."""

    root: Path
    images: dict[str, Bytes]
    labels: dict[str, NDArray[np.int64]]


def random_images(count: int, side: int, seed: int) -> Bytes:
    return np.random.default_rng(seed).integers(0, 256, (count, 3, side, side), dtype=np.uint8)


def write_stl10(root: Path) -> Written:
    folder = root / "stl10_binary"
    folder.mkdir()
    images = {name: random_images(n, 96, n) for name, n in (("train", 12), ("test", 5), ("unlabeled", 9))}
    labels = {name: np.random.default_rng(7).permutation(np.arange(len(images[name])) % 10) for name in images}
    labels["unlabeled"] = np.full(9, -1)
    for name, pixels in images.items():
        pixels.transpose(0, 1, 3, 2).tofile(folder / f"{name}_X.bin")  # column-major
        if name != "unlabeled":
            (labels[name] + 1).astype(np.uint8).tofile(folder / f"{name}_y.bin")
    return Written(root, images, labels)


def write_cifar10(root: Path, protocol: int = 2, per_batch: int = 6) -> Written:
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    images, labels = random_images(6 * per_batch, 32, 3), np.random.default_rng(3).integers(0, 10, 6 * per_batch)
    for at, name in enumerate(names):
        rows = slice(at * per_batch, (at + 1) * per_batch)
        batch: dict[str, Any] = {"data": images[rows].reshape(-1, 3072), "labels": labels[rows].tolist()}
        (folder / name).write_bytes(pickle.dumps(batch, protocol))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}, protocol))
    cut = 5 * per_batch
    return Written(root, {"train": images[:cut], "test": images[cut:]}, {"train": labels[:cut], "test": labels[cut:]})


def write_pictures(root: Path, per_class: int = 5, classes: tuple[str, ...] = ("cat", "dog", "fish")) -> Path:
    """PNG pictures of varying size as `root/set/{train,val}/CLASS/N.png`."""
    rng = np.random.default_rng(5)
    for split, count in (("train", per_class), ("val", 2)):
        for name in classes:
            folder = root / "set" / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                height, width = rng.integers(20, 60, 2)
                pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    return root


def later(monkeypatch: pytest.MonkeyPatch, seconds: float = 10.0) -> None:
    """Let the clock go on: what was written until now may be vouched for."""
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + seconds)
