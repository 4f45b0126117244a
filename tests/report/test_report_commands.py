import html
import json
import shlex
from contextlib import chdir
from dataclasses import replace
from pathlib import Path

import pytest
from synthetic_runs import make_run
from typer.testing import CliRunner, Result

from sslrun.cli import app
from sslrun.errors import InputError
from sslrun.runs.folder import RunFolder


def sslrun(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=True)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for seed in range(2):
        make_run(tmp_path, seed, knn=0.95 + seed / 100)
        make_run(tmp_path, seed, "method.predictor={kind: linear}", knn=0.9)
    return tmp_path


def test_report_prints_and_writes(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    printed = sslrun("report", results, "--rows", "predictor", "--metric", "knn,std", "--baseline", "predictor=linear")
    assert printed.exit_code == 0
    assert "directpred   0.9550 ± 0.0071" in printed.stdout
    assert "knn against predictor linear" in printed.stdout
    for suffix in ("html", "md", "tex", "csv", "json", "txt"):
        path = results / f"report.{suffix}"
        assert sslrun("report", results, "--out", path).exit_code == 0
        assert len(path.read_text()) > 300
    drawn = sslrun("report", results, "--metric", "knn", "--out", results / "report.png")
    assert drawn.stderr == "" and "drawn to" in drawn.stdout
    assert (results / "report.png").read_bytes().startswith(b"\x89PNG")
    nothing = sslrun("report", results, "--tag", "none", "--out", results / "nothing.svg")
    assert isinstance(nothing.exception, InputError) and not (results / "nothing.svg").exists()
    monkeypatch.setenv("SSLRUN_RESULTS", str(results))
    assert json.loads(sslrun("report", "--json").stdout)["axes"] == ["predictor"]
    assert isinstance(sslrun("report", "--baseline", "predictor=x").exception, InputError)


def test_a_picture_names_the_conditions_that_it_can_not_show(results: Path) -> None:
    make_run(results, 0, "method.predictor={kind: mlp}", state="failed", reason="out of memory")
    drawn = sslrun("report", results, "--metric", "knn", "--out", results / "report.png")
    assert drawn.exit_code == 0 and drawn.stderr == "not drawn, as no run has knn: mlp\n"


@pytest.mark.parametrize("way", [("--format", "csv"), ("--out", "means.csv")])
def test_csv_says_that_it_leaves_the_comparisons_out(results: Path, way: tuple[str, str]) -> None:
    with chdir(results):
        alone, compared = (sslrun("report", results, *more, *way) for more in ((), ("--baseline", "predictor=linear")))
    assert alone.exit_code == compared.exit_code == 0 and alone.stderr == ""
    assert "the means alone" in compared.stderr and "json, markdown, latex, html" in compared.stderr
    assert compared.stdout == alone.stdout


@pytest.mark.parametrize("command", ["report", "runs", "status"])
def test_the_results_folder_is_an_argument_or_an_option(results: Path, command: str) -> None:
    named, given = sslrun(command, results, "--json"), sslrun(command, "--results", results, "--json")
    assert named.exit_code == 0 and named.stdout == given.stdout
    assert isinstance(sslrun(command, results, "--results", results / "other").exception, InputError)


def test_plot_and_compare(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(results)
    a, b = sorted(path.name for path in results.iterdir())[:2]
    assert "drawn to" in sslrun("plot", a, "--results", results).stdout
    assert (results / f"{a}.png").read_bytes().startswith(b"\x89PNG")
    both = sslrun("compare", a, b, "--results", results, "--out", results / "both.svg")
    assert both.exit_code == 0
    assert "Settings that differ" in both.stdout
    assert (results / "both.svg").exists()
    assert "more number" not in both.stdout and "\nNone." not in both.stdout
    assert "none" not in both.stdout and both.stdout.count("no collapse") == 2
    failed = make_run(results, 7, state="failed").path.name
    alike = sslrun("compare", failed, failed, "--results", results).stdout
    assert "\nNone." in alike and alike.count("none yet") == 2
    folder = RunFolder(results / a)
    (knn,) = (found for found in folder.evaluations() if found.kind == "knn")
    folder.write_evaluation(replace(knn, metrics={**knn.metrics, "standard_error": 0.0111}))
    shown = sslrun("compare", a, b, "--results", results).stdout
    assert "1 more number of" in shown and "0.0111" not in shown
    last = json.loads(sslrun("compare", a, b, "--results", results, "--json").stdout)[-1]
    assert last["title"] == "What came of it"
    assert ["knn.standard_error", "0.0111", "–", ""] in last["rows"]
    assert isinstance(sslrun("export", a, "--to", "timm", "--results", results).exception, InputError)


@pytest.mark.parametrize("where", [("--out", "x.png"), ("--out", "x.csv"), ("--format", "csv")])
def test_effects_that_nothing_would_show_are_refused(results: Path, where: tuple[str, str]) -> None:
    told = sslrun("report", results, "--effects", *where)
    assert isinstance(told.exception, InputError) and "has no effects in it" in str(told.exception)


def test_a_report_in_a_file_says_what_prints_it_again(results: Path) -> None:
    """As it was asked for, quoted for a shell; and `verify` reads it there."""
    asked = ("--metric", "knn,std", "--baseline", "predictor=linear", "--without-collapsed")
    said = shlex.join(["sslrun", "report", str(results), *asked])
    for suffix in ("md", "tex", "html", "txt", "json"):
        out = results / f"r.{suffix}"
        assert sslrun("report", results, *asked, "--out", out).exit_code == 0
        text = json.loads(out.read_text())["command"] if suffix == "json" else html.unescape(out.read_text())
        assert said in text
    assert said not in sslrun("report", results, *asked).stdout
    again = sslrun("verify", results / "r.md", "--no-runs", "--results", results)
    assert again.exit_code == 0 and "numbers the same" in again.stdout


def test_a_report_of_some_labels_is_as_if_there_were_no_others(
    results: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """An axis of which one label is left is none any more; with two of them it stays."""
    for seed in range(2):
        make_run(results, seed, "method.predictor={kind: linear}", "optimizer.network.lr=0.5", knn=0.8)
    alone = tmp_path_factory.mktemp("alone")
    for seed in range(2):
        make_run(alone, seed, knn=0.95 + seed / 100)
    asked = ("--metric", "knn", "--where")
    few = json.loads(sslrun("report", results, *asked, "predictor=directpred", "--json").stdout)
    theirs = json.loads(sslrun("report", alone, "--metric", "knn", "--json").stdout)
    assert few["axes"] == ["lr"] and [row["n"] for row in few["conditions"]] == [2]
    assert few["conditions"][0]["mean"] == theirs["conditions"][0]["mean"] and few["runs"] != []
    assert {run["method.predictor.kind"] for run in few["runs"]} == {"directpred"}
    assert "only predictor directpred: p is adjusted for what is left alone" in few["notes"]
    both = json.loads(
        sslrun("report", results, *asked, "predictor=directpred", "--where", "predictor=linear", "--json").stdout
    )
    assert both["axes"] == ["predictor", "lr"] and len(both["conditions"]) == 3
    narrow = json.loads(sslrun("report", results, *asked, "predictor=linear,lr=0.5", "--json").stdout)
    assert narrow["axes"] == [] and [row["mean"] for row in narrow["conditions"]] == [pytest.approx(0.8)]
    for wrong, what in (("predictor", "names no label"), ("predictor=x", "no label of predictor"), ("ema=x", "axis")):
        told = sslrun("report", results, "--where", wrong).exception
        assert isinstance(told, InputError) and what in str(told)
