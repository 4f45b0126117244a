"""sslrun from Python: the same runs as the command line's."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny import SMALL, small

import sslrun as api
from sslrun.errors import InputError, RecipeError
from sslrun.recipe import read_recipe

GRID = "base: quickstart\naxes: {predictor: {ours: {}, none: {method.predictor: {kind: none}}}}\n"


def test_pretrain_evaluate_and_load(tmp_path: Path, sslrun: Callable[..., tuple[int, str, str]]) -> None:
    changes = [*SMALL, "training.epochs=1"]
    run = api.pretrain("quickstart", changes, results=tmp_path)
    assert run.verdict is not None
    assert 0 < run.metrics["knn"] <= 1
    assert {"untrained.knn", "pixels.linear", "knn.seconds"} <= run.metrics.keys()
    written = {path.name: path.stat().st_mtime_ns for path in run.path.iterdir()}
    assert api.pretrain(read_recipe("quickstart", changes), results=tmp_path) == run
    assert written == {path.name: path.stat().st_mtime_ns for path in run.path.iterdir()}
    code, out, _ = sslrun("pretrain", "quickstart", *small("training.epochs=1"), "--results", tmp_path, "--json")
    assert code == 0
    assert Path(json.loads(out)["folder"]).name == run.path.name

    judged = api.evaluate(run, ["knn"], ["evaluation.knn.k=3"])
    assert 0 < judged.metrics["knn[k=3]"] <= 1
    table = api.load_runs(tmp_path)
    assert list(table["folder"]) == [run.path.name]
    assert table["knn"][0] == run.metrics["knn"]
    assert table["knn[k=3]"][0] == judged.metrics["knn[k=3]"]

    encoder = api.load_encoder(run)
    assert not encoder.training
    x_NCHW = torch.rand(4, 1, 16, 16)
    same = api.load_encoder(run.path / "encoder.safetensors")
    by_name = api.load_encoder("quickstart", results=tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(encoder(x_NCHW), same(x_NCHW), rtol=0, atol=0)
        torch.testing.assert_close(encoder(x_NCHW), by_name(x_NCHW), rtol=0, atol=0)


def test_a_grid(tmp_path: Path) -> None:
    (tmp_path / "two.yaml").write_text(GRID)
    table = api.sweep(tmp_path / "two.yaml", [*SMALL, "training.epochs=1"], results=tmp_path / "r", jobs=1)
    assert sorted(table["method.predictor.kind"]) == ["directpred", "none"]
    assert table["knn"].between(0, 1).all()


def test_what_goes_wrong_is_raised(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="did you mean"):
        api.pretrain("quickstrat")
    with pytest.raises(TypeError, match="model_copy"):
        api.pretrain(read_recipe("quickstart"), ["seed=1"])
    with pytest.raises(InputError, match="no run"):
        api.load_encoder("gone", results=tmp_path)
    with pytest.raises(AttributeError):
        api.nothing  # noqa: B018


def test_a_second_grid_is_swept_too(tmp_path: Path) -> None:
    """The first call imports the room of sweeps, which must not take the function's name."""
    import sslrun.sweeps.session  # noqa: F401

    with pytest.raises(RecipeError):
        api.sweep(tmp_path / "gone.yaml")
    with pytest.raises(RecipeError):
        api.sweep(tmp_path / "gone.yaml")


def test_its_names_are_listed_before_they_are_imported() -> None:
    assert set(api.__all__) <= set(dir(api))
