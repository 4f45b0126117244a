"""What makes an evaluation this one and no other."""

from pathlib import Path

import pytest

from sslrun.files import write_text
from sslrun.jobs import cell_identity
from sslrun.recipe import read_recipe
from sslrun.runs.cells import CellName

RECIPE = "data: {kind: digits}\nmethod: {kind: byol, predictor: {kind: linear}}\n"
RUN, OTHER = "ab" * 32, "cd" * 32


def identity(folder: Path, *changes: str, run: str = RUN, at: int | None = None) -> str:
    """That of `knn`, as the changed recipe asks for it."""
    write_text(folder / "digits.yaml", RECIPE)
    recipe = read_recipe(str(folder / "digits.yaml"), changes)
    assert recipe.evaluation.knn is not None
    return cell_identity(run, recipe, CellName("knn", at), recipe.evaluation.knn)


def test_run_epoch_options_and_baselines_make_an_evaluation(tmp_path: Path) -> None:
    found = [
        identity(tmp_path),
        identity(tmp_path, run=OTHER),
        identity(tmp_path, at=100),
        identity(tmp_path, at=20),
        identity(tmp_path, "evaluation.knn.k=7"),
        identity(tmp_path, "evaluation.knn.temperature=0.2"),
        identity(tmp_path, "evaluation.baselines=[]"),
        identity(tmp_path, "evaluation.baselines=[untrained]"),
        identity(tmp_path, "evaluation.baselines=[pixels]"),
    ]
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("change", ["name=x", "run.device=cpu", "evaluation.linear.iterations=7", "evaluation.every=2"])
def test_nothing_else_does(tmp_path: Path, change: str) -> None:
    assert identity(tmp_path, change) == identity(tmp_path)
    assert identity(tmp_path, "evaluation.knn.k=5") == identity(tmp_path)  # the default, said
