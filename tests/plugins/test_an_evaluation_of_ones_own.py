"""An evaluation from outside the package: computed, kept, shown, told in tables, searched by."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from sklearn.neighbors import NearestCentroid
from tiny import small

from sslrun.errors import RecipeError, RunFailed
from sslrun.evaluation import evaluate
from sslrun.evaluation.judge import Judge
from sslrun.evaluation.problem import problem
from sslrun.grids import read_grid
from sslrun.recipe import read_recipe
from sslrun.runs import load_runs
from sslrun.runs.cells import Number

PROTOTYPES = Path(__file__).parent / "prototypes.py"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _here(written: Callable[[str, str], Path]) -> None:
    written("prototypes", PROTOTYPES.read_text())


def test_it_is_computed_by_its_own_function() -> None:
    recipe = read_recipe("quickstart", ["evaluation.prototypes={}"], imports=["prototypes"])
    generator = torch.Generator().manual_seed(0)
    y_N = torch.randint(0, 3, (90,), generator=generator)
    h_ND = torch.randn(90, 4, generator=generator) + torch.nn.functional.one_hot(y_N, 4)
    subject = SimpleNamespace(problem=problem(h_ND[:60], y_N[:60], h_ND[60:], y_N[60:], 3))
    found = evaluate(recipe.evaluation.asked()["prototypes"], subject)  # type: ignore[arg-type]
    theirs = NearestCentroid().fit(h_ND[:60].numpy(), y_N[:60].numpy())
    assert found == {"accuracy": pytest.approx(theirs.score(h_ND[60:].numpy(), y_N[60:].numpy()))}


def test_it_is_a_cell_of_a_run_like_any_other(sslrun: Run) -> None:
    changes = small("training.epochs=2", "evaluation={linear: null, prototypes: {}, every: 1}")
    code, out, err = sslrun("pretrain", "quickstart", "--import", "prototypes.py", *changes, "--results", "r")
    assert code == 0, err
    assert "prototypes" in out
    (run,) = Path("r").glob("quickstart-*")
    (cell,) = run.glob("evaluations/prototypes-*.json")
    metrics = json.loads(cell.read_text())["metrics"]
    assert list(metrics) == ["accuracy", "untrained.accuracy", "pixels.accuracy"]
    last = json.loads((run / "history.jsonl").read_text().splitlines()[-1])
    assert last[Number("prototypes").signal] == metrics["accuracy"]
    table = load_runs(Path("r"))
    assert table["prototypes"].tolist() == [metrics["accuracy"]]
    assert Number(**table.attrs["numbers"]["untrained.prototypes"]) == Number("prototypes", baseline="untrained")

    code, out, err = sslrun("evaluate", run, "--set", "evaluation.prototypes.shrink=0.5", "--json")
    assert code == 0, err
    kinds = {told["kind"]: told["settings"] for told in json.loads(out)["evaluations"]}
    assert kinds["prototypes"]["shrink"] == 0.5
    assert len(list(run.glob("evaluations/prototypes-*.json"))) == 2
    code, out, err = sslrun("evaluate", run, "--prototypes")  # known by now
    assert code == 0 and "kNN" not in out, err
    code, out, err = sslrun("report", "r", "--format", "csv", "--metric", "prototypes")
    assert code == 0, err
    code, out, err = sslrun("plot", run, "--out", "run.svg")
    assert code == 0, err


@pytest.mark.parametrize(
    ("gives", "said"),
    [
        ('{"accuracy": torch.ones(1)[0]}', "gives 'accuracy' as tensor(1.)"),
        ('{"accuracy": float("nan")}', "gives 'accuracy' as nan"),
        ("0.5", "gives 'all' as 0.5"),
        ('{"per": {"a": [1.0, None, torch.ones(1)]}}', "gives 'per' as {"),
        ('{"per": {"a": [1.0]}}', "gives 'per' as {'a': [1.0]}"),
        ("{3: 0.5}", "gives 3 as 0.5"),
    ],
)
def test_what_can_not_be_kept_is_named_with_its_function(
    sslrun: Run, written: Callable[[str, str], Path], gives: str, said: str
) -> None:
    head, _, _ = (
        PROTOTYPES.read_text().replace("prototypes", "odd").replace("Prototypes", "Odd").partition("    problem =")
    )
    path = written("odd", f"{head}    return {gives}\n")
    line = head.splitlines().index("@evaluate.register") + 1
    recipe = read_recipe("quickstart", ["evaluation.odd={}"], imports=["odd"])
    judge = SimpleNamespace(beat=lambda: None)
    with pytest.raises(RunFailed) as told:
        Judge.metrics(cast(Any, judge), recipe.evaluation.asked()["odd"], cast(Any, None))
    assert str(told.value).startswith(f"{path}:{line}: the evaluation 'odd' {said}")


def test_an_evaluation_that_is_not_known_here_may_be_a_plug_ins() -> None:
    with pytest.raises(
        RecipeError, match=r"no such option in evaluation(.|\n)*one of your own is loaded with --import"
    ):
        read_recipe("quickstart", ["evaluation.unheard={}"])


def test_what_it_returns_is_shown_where_it_has_no_accuracy(sslrun: Run, written: Callable[[str, str], Path]) -> None:
    own = PROTOTYPES.read_text().replace("prototypes", "margin").replace("Prototypes", "Margin")
    written("margin", own.replace('"accuracy"', '"margin"'))
    code, _, err = sslrun("pretrain", "quickstart", *small("training.epochs=1", "evaluation.linear=null"))
    assert code == 0, err
    code, out, err = sslrun("evaluate", "quickstart", "--import", "margin.py", "--margin")
    assert code == 0, err
    (cell,) = Path("results").glob("quickstart-*/evaluations/margin-*.json")
    value = json.loads(cell.read_text())["metrics"]["margin"]
    table = [line.split() for line in out.splitlines()]
    assert ["margin"] in table and ["this", "run", f"{value:.3f}"] in table
    assert load_runs(Path("results"))["margin.margin"].tolist() == [value]
    code, out, err = sslrun("metrics", "margin", "--import", "margin")
    assert code == 0 and "if it does" in out and "margin.*" in out, err


def test_a_search_may_choose_by_it() -> None:
    fields = "fields: {optimizer.network.lr: {low: 0.01, high: 0.1}}"
    search = f"search: {{trials: 2, {fields}, objectives: {{prototypes: maximise}}}}"
    Path("g.yaml").write_text(f"base: quickstart\nimports: [prototypes]\n{search}\n")
    grid = read_grid("g.yaml", ["evaluation.prototypes={}"])
    assert grid.space is not None and list(grid.space.search.objectives) == ["prototypes"]


def test_it_is_answered_when_misspelt(sslrun: Run) -> None:
    asked = ("show", "quickstart", "--import", "prototypes.py", "--set")
    code, _, err = sslrun(*asked, "evaluation.prototypes.shrnk=0.5")
    assert code == 2 and "did you mean 'shrink'?" in err
    code, _, err = sslrun(*asked, "evaluation.prototypse={}")
    assert code == 2 and "did you mean 'prototypes'?" in err
    code, _, err = sslrun("show", "quickstart", "--set", "evaluation.prototypes={}")
    assert code == 2 and "prototypes" in err


def test_a_section_that_nothing_computes_is_refused(sslrun: Run, written: Callable[[str, str], Path]) -> None:
    section = "class Lonely(EvaluationSection):\n    NAME = 'lonely'\n"
    written("lonely", f"from sslrun.extend import EvaluationSection\n\n\n{section}")
    code, _, err = sslrun("show", "quickstart", "--import", "lonely.py")
    assert code == 2 and "nothing builds 'lonely'" in err and "lonely.py:4" in err and "@evaluate.register" in err


def test_it_judges_a_run_that_never_named_it(sslrun: Run) -> None:
    """The pretraining stays what it was; the evaluation's identity has the plug-in's source in it."""
    code, _, err = sslrun(
        "pretrain", "quickstart", *small("training.epochs=1", "evaluation.linear=null"), "--results", "r"
    )
    assert code == 0, err
    (run,) = Path("r").glob("quickstart-*")
    before = (run / "encoder.safetensors").read_bytes()
    code, _, err = sslrun("evaluate", run, "--import", "prototypes.py", "--set", "evaluation.prototypes={}", "--json")
    assert code == 0, err
    (cell,) = run.glob("evaluations/prototypes-*.json")
    assert len(json.loads(cell.read_text())["settings"]["plugin"]) == 64
    assert (run / "encoder.safetensors").read_bytes() == before
    mixed = Path(__file__).parent / "mixed.py"  # one that could have trained it, and did not
    code, _, err = sslrun("evaluate", run, "--import", mixed, "--knn", "--json")
    assert code == 0, err
    code, _, err = sslrun("evaluate", run, "--import", "prototypes.py", "--set", "method.symmetric=false")
    assert code == 2 and "this changes what was pretrained" in err


def test_a_recipe_without_evaluations_of_its_own_is_read_with_it_too() -> None:
    Path("r.yaml").write_text("imports: [prototypes]\ndata: {kind: digits}\nmethod: {kind: byol}\n")
    recipe = read_recipe("r.yaml")
    assert list(recipe.evaluation.asked()) == ["knn", "linear"]
    assert recipe.evaluation.model_copy().asked() == recipe.evaluation.asked()


def test_a_mended_one_judges_again_and_trains_nothing_again(sslrun: Run, written: Callable[[str, str], Path]) -> None:
    """A plug-in that only judges has no part in what a run is, even where its recipe names it."""
    named = ("imports=[prototypes]", "evaluation={prototypes: {}}")
    asked = ("pretrain", "quickstart", *small("training.epochs=1", *named), "--results", "r")
    plain = small("training.epochs=1", "evaluation.linear=null")
    code, _, err = sslrun("pretrain", "quickstart", *plain, "--results", "r")
    assert code == 0, err
    (run,) = Path("r").glob("quickstart-*")
    before = (run / "encoder.safetensors").stat().st_mtime_ns
    anew = [sys.executable, "-m", "sslrun", *asked]
    subprocess.run(anew, check=True, capture_output=True)
    assert list(Path("r").glob("quickstart-*")) == [run]
    written("prototypes", PROTOTYPES.read_text() + "# mended\n")
    subprocess.run(anew, check=True, capture_output=True)
    assert list(Path("r").glob("quickstart-*")) == [run]
    assert (run / "encoder.safetensors").stat().st_mtime_ns == before
    assert len(list(run.glob("evaluations/prototypes-*.json"))) == 2
    # Numbers of two sources are not of one column, be they of one run or of two.
    other = ["pretrain", "quickstart", *small("training.epochs=1", "seed=1", *named), "--results", "r"]
    subprocess.run([sys.executable, "-m", "sslrun", *other], check=True, capture_output=True)
    (second,) = set(Path("r").glob("quickstart-*")) - {run}

    def by_source(one: Path) -> dict[str, Path]:
        paths = one.glob("evaluations/prototypes-*.json")
        return {json.loads(path.read_text())["settings"]["plugin"][:8]: path for path in paths}

    (new,) = by_source(second)
    (old,) = by_source(run).keys() - {new}
    for kept, columns in ((old, {f"prototypes[plugin={old}]", f"prototypes[plugin={new}]"}), (new, {"prototypes"})):
        for source, path in by_source(run).items():
            path.rename(path.with_suffix(".json" if source == kept else ".aside"))
        table = load_runs("r")
        assert {name for name in table if re.fullmatch(r"prototypes(\[.*\])?", name)} == columns
        assert table[list(columns)].notna().sum().sum() == 2
        for path in run.glob("evaluations/*.aside"):
            path.rename(path.with_suffix(".json"))
