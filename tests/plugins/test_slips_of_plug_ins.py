"""Slips that plug-ins are written with: each is said at its line, in words of what was wanted."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from test_a_data_set_of_ones_own import EXAMPLE, RECIPE, write_arrays
from tiny import small

Run = Callable[..., tuple[int, str, str]]
Write = Callable[[str, str], Path]
SIGREG = (Path(__file__).parent / "sigreg.py").read_text()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("None", "LeJepa.step gave None"),
        ("loss.detach().expand(4)", r"LeJepa.step gave \(4,\)"),
        ("loss", r"LeJepa.step gave not detached, \(\)"),
        ("loss.item()", "LeJepa.step gave [0-9.]+"),
    ],
)
def test_a_step_gives_one_detached_number(written: Write, sslrun: Run, given: str, told: str) -> None:
    assert "return loss.detach()" in SIGREG
    path = written("sigreg", SIGREG.replace("return loss.detach()", f"return {given}"))
    changes = small("training.epochs=1", "method={kind: sigreg}", "evaluation={knn: null, linear: null}")
    code, _, err = sslrun("pretrain", "quickstart", "--import", "sigreg.py", *changes, "--results", "r")
    assert code == 1 and re.search(rf"{re.escape(str(path))}:\d+: {told}", err), err
    assert "one number, a tensor of shape (), detached" in err and "Traceback" not in err


GIVES = "in_memory(images[part], labels[part], names)"


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        (GIVES, "in_memory(images[part], labels[part][1:], names)", "ValueError: 48 images with 47 labels"),
        (GIVES, "in_memory(images[part], labels[part] + 1, names)", "labels run from 1 to 4, with 4 names"),
        (GIVES, "in_memory(images[part], labels[part] / 1, names)", "labels must be int64 (48,), not float64 (48,)"),
        (GIVES, "in_memory(images[part] / 255, labels[part], names)", "images are uint8 (N, C, H, W)"),
        ("return self.arrays[0].shape[1:]", "return (3, 12, 12)", "ArraysSet.shape is (3, 12, 12), and its images"),
    ],
)
def test_images_and_labels_of_a_data_set_fit_together(
    written: Write, tmp_path: Path, sslrun: Run, right: str, wrong: str, told: str
) -> None:
    source = EXAMPLE.read_text()
    assert source.count(right) == 1
    path = written("arrays", source.replace(right, wrong))
    (tmp_path / "mine.yaml").write_text(RECIPE)
    write_arrays(tmp_path)
    code, _, err = sslrun("pretrain", tmp_path / "mine.yaml", "--data", tmp_path, "--results", tmp_path / "r")
    assert code != 0 and told in err and "Traceback" not in err, err
    assert str(path) in err or "data.kind: arrays" in err
    assert not list((tmp_path / "r").glob("mine-*"))
