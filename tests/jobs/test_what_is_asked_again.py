"""A run knows its images and where they lay; messages name what was typed; a grid is no recipe, a recipe no grid."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageOps
from tiny import class_folder, small

from sslrun.recipe.shipped import shipped, shipped_grids
from sslrun.runs.folder import RunFolder

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A data folder with the pictures `toy/{train,val}/{cat,dog}/N.png`, 8 and 4 a class."""
    class_folder(tmp_path / "d/toy")
    return tmp_path / "d"


def test_evaluate_asks_nothing_again_that_the_run_knows(
    sslrun: Run, toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "results"
    pictures = "data={kind: folder, path: toy, store: 16}"
    changes = [*small("training={epochs: 1, batch_size: 8}", "evaluation.linear=null")[2:], "--set", pictures]
    code, _, err = sslrun("pretrain", "quickstart", *changes, "--results", results, "--data", toy)
    assert code == 0, err
    run = RunFolder(next(results.glob("quickstart-*")))
    assert run.status.data == str(toy.resolve())
    asked = ("evaluate", run.path.name, "--results", results, "--knn")
    assert sslrun(*asked, "--set", "evaluation.knn.k=3")[0] == 0
    assert len(run.evaluations()) == 2
    code, _, err = sslrun(*asked, "--set", "evaluation.knn.k=17")
    assert code == 2 and "evaluation.knn.k: 17 neighbours of 16 labelled training images" in err
    toy.rename(tmp_path / "moved")
    code, _, err = sslrun(*asked, "--set", "evaluation.knn.k=4")
    assert code == 2 and "no such folder" in err
    monkeypatch.setenv("SSLRUN_DATA", str(tmp_path / "moved"))
    assert sslrun(*asked, "--set", "evaluation.knn.k=4")[0] == 0

    code, _, err = sslrun("evaluate", run.path.name, "--results", results, "--analyses")
    assert code == 2 and err.startswith("--analyses: evaluation.analyses: folder images have no domains")
    code, _, err = sslrun("analyse", run.path.name, "--results", results)
    assert code == 2 and err.startswith("sslrun analyse: evaluation.analyses: folder images have no domains")


@pytest.mark.parametrize("by", ["name", "file"])
@pytest.mark.parametrize(("name", "is_grid"), [("ablations_digits", True), ("quickstart", False)])
def test_a_grid_is_no_recipe_and_a_recipe_no_grid(sslrun: Run, by: str, name: str, is_grid: bool) -> None:
    given = name if by == "name" else str({**shipped(), **shipped_grids()}[name])
    wrong = ("pretrain", given) if is_grid else ("sweep", "--plan", "--grid", given)
    code, _, err = sslrun(*wrong)
    kind, other, right = ("grid", "recipe", "sweep --grid") if is_grid else ("recipe", "grid", "pretrain")
    assert (code, err) == (2, f"{given}: is a {kind}, not a {other}\nsslrun {right} {given}\n")


def test_replaced_pictures_are_another_run(sslrun: Run, toy: Path, tmp_path: Path) -> None:
    results, pictures = tmp_path / "results", "data={kind: folder, path: toy, store: 16}"
    changes = [*small("training={epochs: 1, batch_size: 8}", "evaluation={knn: null, linear: null}")[2:]]
    command = ("pretrain", "quickstart", *changes, "--set", pictures, "--results", results, "--data", toy)
    for path in toy.rglob("*.png"):
        Image.open(path).save(path.with_suffix(".bmp"))
        path.unlink()
    assert sslrun(*command)[0] == 0
    assert "already done" in sslrun(*command)[1]
    for path in toy.rglob("*.bmp"):
        size = path.stat().st_size
        ImageOps.invert(Image.open(path)).save(path)
        assert path.stat().st_size == size
    code, out, _ = sslrun(*command)
    assert code == 0 and "already done" not in out
    assert len(list(results.glob("quickstart-*"))) == 2
