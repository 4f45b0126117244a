"""A data set from outside the package, one section and one file: checked, trained on, judged, told by name."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tiny import SMALL

from sslrun.data import open_dataset
from sslrun.recipe import read_recipe

EXAMPLE = Path(__file__).parent / "arrays.py"
RECIPE = """\
imports: [arrays]
data: {kind: arrays, path: digits.npz}
views: {flip: 0, blur: null, greyscale: 0, jitter: null, crop: {scale: [0.4, 1.0]}}
network: {backbone: {kind: small_resnet}}
method: {kind: byol}
training: {batch_size: 16}
evaluation: {linear: {}}
"""
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def recipe(written: Callable[[str, str], Path], tmp_path: Path) -> Path:
    written("arrays", EXAMPLE.read_text())
    path = tmp_path / "mine.yaml"
    path.write_text(RECIPE)
    return path


def write_arrays(root: Path) -> None:
    labels = np.arange(60, dtype=np.uint8) % 4
    images = np.random.default_rng(0).integers(0, 64, (60, 1, 12, 12), dtype=np.uint8)
    np.savez(root / "digits.npz", images=images + 48 * labels[:, None, None, None], labels=labels)


def test_it_is_checked_trained_on_and_judged(recipe: Path, tmp_path: Path, sslrun: Run) -> None:
    code, out, _ = sslrun("data", "check", recipe, "--data", tmp_path)
    assert code == 2 and "digits.npz: No such file" in out
    write_arrays(tmp_path)
    code, out, _ = sslrun("data", "check", recipe, "--data", tmp_path)
    assert code == 0 and "48 train, 12 test; 4 classes; 1 × 12×12" in out
    changes = [part for change in [*SMALL[1:], "training.batch_size=16"] for part in ("--set", change)]
    where = ["--data", tmp_path, "--results", tmp_path / "results"]
    code, out, err = sslrun("pretrain", recipe, *changes, *where)
    assert code == 0, err
    assert "digits.npz 12 px · 48 images" in out + err
    assert all(f"\n{row}" in out for row in ("this run", "untrained encoder", "raw pixels"))
    run = next((tmp_path / "results").glob("mine-*"))
    assert sslrun("pretrain", recipe, *changes, *where)[0] == 0
    code, out, err = sslrun("evaluate", run.name, "--knn", "--json", *where)
    assert code == 0, err
    assert 0 <= json.loads(out)["evaluations"][0]["metrics"]["accuracy"] <= 1
    assert len(list((tmp_path / "results").glob("mine-*"))) == 1
    assert sslrun("preview", recipe, "--data", tmp_path, "--out", tmp_path / "sheet.png")[0] == 0
    assert sslrun("doctor", recipe, "--data", tmp_path)[0] == 0


def test_its_place_is_not_its_content(recipe: Path, tmp_path: Path) -> None:
    write_arrays(tmp_path)
    plain = open_dataset(read_recipe(recipe).data, tmp_path)
    known = plain.fingerprint
    (tmp_path / "digits.npz").rename(tmp_path / "moved.npz")
    moved = open_dataset(
        read_recipe(recipe, ["data.path=moved.npz", "data.limit=8", "training.batch_size=8"]).data, tmp_path
    )
    assert moved.fingerprint == known
    assert sorted(moved.images("train").labels.tolist()) == sorted([0, 1, 2, 3] * 2)
    copy = pickle.loads(pickle.dumps(plain))
    assert type(copy) is type(plain) and copy.fingerprint == known
