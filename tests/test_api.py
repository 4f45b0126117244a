"""sslrun from Python: the same runs as the command line's."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from tiny import SMALL, small

import sslrun as api
from sslrun.errors import InputError, RecipeError, RunFailed
from sslrun.recipe import read_recipe
from sslrun.runs.folder import RunFolder
from sslrun.runs.records import State
from sslrun.sweeps.warming import without_script

KNN_ALONE = ("training.epochs=1", "evaluation.linear=null", "evaluation.baselines=[]")
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
    asked: dict[str, Any] = {"changes": [*SMALL, *KNN_ALONE], "results": tmp_path / "r", "jobs": 1}
    table = api.sweep(tmp_path / "two.yaml", **asked)
    assert sorted(table["method.predictor.kind"]) == ["directpred", "none"]
    assert table["knn"].between(0, 1).all()
    # Runs that were given up are not left out in silence, and are done again if one says so.
    (spoilt, _) = (RunFolder(path) for path in (tmp_path / "r").glob("two-*"))
    shutil.rmtree(spoilt.path / "evaluations")
    spoilt.update_status(state=State.FAILED, reason="it was dark")
    with pytest.raises(RunFailed, match=r"(?s)1 of 2 runs failed before.*predictor .* seed 0.*retry=True"):
        api.sweep(tmp_path / "two.yaml", **asked)
    assert api.sweep(tmp_path / "two.yaml", **asked, retry=True).equals(api.load_runs(tmp_path / "r"))


def test_a_grid_from_a_script_without_a_guard(tmp_path: Path) -> None:
    """Its processes don't run the script again, which need not be a file."""
    (tmp_path / "two.yaml").write_text(GRID)
    changes = [*SMALL, *KNN_ALONE]
    script = f"import sslrun\nprint('once')\nprint(len(sslrun.sweep('two.yaml', {changes!r}, jobs=2)))\n"
    done = subprocess.run(
        [sys.executable, "-"], input=script, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "once\n2\n"), done.stderr


def test_a_kind_that_was_typed_in_is_not_handed_to_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    script = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", script)

    class Typed:
        pass

    Typed.__module__, Typed.__qualname__ = "__main__", "Typed"
    script.Typed = Typed  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="a file of its own"), without_script([Typed()]):
        pass
    script.__file__ = __file__  # is run again
    with without_script([Typed()]):
        assert sys.modules["__main__"] is script
    with without_script(["other"]):
        assert sys.modules["__main__"] is not script
    assert sys.modules["__main__"] is script


def test_what_goes_wrong_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RecipeError, match="did you mean"):
        api.pretrain("quickstrat")
    with pytest.raises(TypeError, match="model_copy"):
        api.pretrain(read_recipe("quickstart"), ["seed=1"])
    with pytest.raises(InputError, match="no run"):
        api.load_encoder("gone", results=tmp_path)
    monkeypatch.setenv("SSLRUN_RESULTS", str(tmp_path))
    for find in (api.load_encoder, api.evaluate):
        with pytest.raises(InputError, match=f"in {tmp_path}"):
            find("gone")
    for changes in ("seed=1", {"seed": 1}, [1]):
        for call in (api.pretrain, api.sweep):
            with pytest.raises(TypeError, match=r'changes are a list of texts, \["key=value", ...\]'):
                call("quickstart", changes)
    with pytest.raises(TypeError, match="kinds are a list of texts"):
        api.evaluate("gone", "knn")
    with pytest.raises(TypeError, match="kinds are names of evaluations"):
        api.evaluate("gone", ["evaluation.knn.k=1"])
    for jobs in (0, -1, "2"):
        with pytest.raises(TypeError, match="jobs is a number of at least 1"):
            api.sweep("ablations_digits", jobs=jobs)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"(?s)is a search.*sslrun sweep --grid search_digits"):
        api.sweep("search_digits")
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
