"""Runs as people speak of them: by bare names, with notes and tags, in a list, cited, and removed."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from report.synthetic_runs import make_run

from sslrun.cli.complete import recipe_or_run_names
from sslrun.recipe import read_recipe
from sslrun.report import citing
from sslrun.report.citing import bibtex
from sslrun.runs import load_runs
from sslrun.runs.folder import RunFolder
from sslrun.runs.notes import Notes, annotate, notes_of, take_along
from sslrun.runs.records import CellRecord, GridRecord, State
from sslrun.runs.resolving import resolve
from sslrun.sweeps.session import _note_finished

Run = Callable[..., tuple[int, str, str]]


def made(results: Path, day: int, *changes: str, name: str = "quickstart") -> RunFolder:
    folder = make_run(results, 0, *changes, name=name)
    folder.write_status(replace(folder.status, created=f"2026-01-{day:02}T00:00:00Z"))
    return folder


def test_a_bare_name_is_the_recipe_as_shipped_else_the_newest_and_says_which(tmp_path: Path) -> None:
    said: list[str] = []
    made(tmp_path, 1, "training.epochs=3")
    newest = made(tmp_path, 3, "training.epochs=4")
    assert resolve(tmp_path, "quickstart", say=said.append) == newest
    assert said.pop() == f"quickstart: {newest.path.name}, the newest of 2 runs of that name"
    shipped = made(tmp_path, 2)
    for name in ("quickstart", "quick"):
        assert resolve(tmp_path, name, say=said.append) == shipped
        assert said.pop() == f"{name}: {shipped.path.name}, the recipe as shipped, of 3 runs of that name"
    assert resolve(tmp_path, newest.path.name, say=said.append) == newest and not said
    newest.recipe.write_text("damaged: [")
    assert resolve(tmp_path, "quickstart", say=said.append) == shipped


def test_the_recipe_of_a_run_is_shown_as_it_was_run(
    tmp_path: Path, sslrun: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = made(tmp_path, 1, "training.epochs=3", name="mine")
    changed = made(tmp_path, 2, "training.epochs=4")
    for named in ("mine", run.path):
        code, out, _ = sslrun("show", named, "--results", tmp_path)
        assert code == 0 and "  epochs: 3\n" in out and out.endswith(f"# identity: {run.identity}\n")
    assert sslrun("note", run.path, "--note", "first try", "--tag", "paper")[0] == 0
    shown = sslrun("show", "mine", "--results", tmp_path)[1]
    assert "note: first try\n" in shown and "tags: [paper]\n" in shown and shown.endswith(out.splitlines()[-1] + "\n")
    assert "  epochs: 4\n" in sslrun("show", changed.path.name[:12], "--results", tmp_path)[1]
    assert "  epochs: 40\n" in sslrun("show", "quickstart", "--results", tmp_path)[1]
    assert "  epochs: 7\n" in sslrun("show", "mine", "--set", "training.epochs=7", "--results", tmp_path)[1]
    code, _, said = sslrun("show", "quickstrat", "--results", tmp_path)
    assert code == 2 and "did you mean 'quickstart'?" in said and f"no run 'quickstrat' in {tmp_path}" in said
    monkeypatch.setenv("SSLRUN_RESULTS", str(tmp_path))
    assert recipe_or_run_names("mi") == [run.path.name]
    assert {"quickstart", changed.path.name} <= set(recipe_or_run_names("quick"))


def test_runs_are_listed_with_their_numbers_and_found_by_tag(tmp_path: Path, sslrun: Run) -> None:
    first, second = made(tmp_path, 1, name="a"), made(tmp_path, 2, "training.epochs=3", name="b")
    assert sslrun("note", "b", "--note", "looks odd", "--tag", "paper", "--tag", "odd", "--results", tmp_path)[0] == 0
    out = sslrun("runs", tmp_path)[1]
    assert out.index(second.path.name) < out.index(first.path.name)
    assert "0.950" in out and "no collapse" in out and "looks odd" in out
    found = json.loads(sslrun("runs", tmp_path, "--tag", "paper", "--json")[1])
    assert [row[0] for row in found["rows"]] == [second.path.name]
    assert found["numbers"][0][found["header"].index("knn")] == load_runs(tmp_path)["knn"][1]
    assert load_runs(tmp_path)["tags"].tolist() == [(), ("paper", "odd")]
    assert first.path.name not in sslrun("status", tmp_path, "--tag", "paper", "--json")[1]
    assert "only runs tagged odd: 1 others are left out" in sslrun("report", tmp_path, "--tag", "odd")[1]
    assert sslrun("runs", tmp_path, "--tag", "misspelt")[1] == f"No run in {tmp_path} is tagged misspelt.\n"
    code, _, said = sslrun("runs", tmp_path, "--grid", "none")
    assert code == 2 and "no grid 'none' here" in said
    cell = CellRecord(labels={}, seed=1, identity=first.identity)
    GridRecord(grid="alone", axes={}, cells=(cell,)).write(tmp_path)
    listed = sslrun("runs", tmp_path, "--grid", "alone")[1]
    assert first.path.name in listed and second.path.name not in listed
    assert (
        sslrun("note", "b", "--note", "", "--untag", "odd", "--results", tmp_path)[1].splitlines()[1] == "tags   paper"
    )
    assert notes_of(second).note == ""
    code, _, said = sslrun("note", "b", "--untag", "papre", "--results", tmp_path)
    assert code == 2 and "--untag papre: " in said and "Its tags: paper." in said
    assert sslrun("note", "b", "--tag", "two words", "--results", tmp_path)[0] == 2
    (second.path / "notes.json").write_text("[]")
    assert notes_of(second).tags == ()


def test_runs_of_one_name_say_what_is_other_than_in_the_first(tmp_path: Path, sslrun: Run) -> None:
    made(tmp_path, 1)
    made(tmp_path, 2, "training.epochs=3", "method.stop_gradient=false", "method.ema={kind: none}")
    made(tmp_path, 3, "training.epochs=3", name="alone")
    made(tmp_path, 4, "method.predictor={kind: linear}")
    found = json.loads(sslrun("runs", tmp_path, "--json")[1])
    assert found["header"][-1] == "unlike the oldest"
    told = ["predictor linear", "", "ema none, stop_gradient false, epochs 3", ""]  # not what goes with the kind
    assert [row[-1] for row in found["rows"]] == told


def test_a_run_is_listed_as_it_ended_whatever_a_grid_asks_of_it(tmp_path: Path, sslrun: Run) -> None:
    first, second = made(tmp_path, 1), made(tmp_path, 2, "training.epochs=3")
    cells = [
        CellRecord(labels={}, seed=seed, identity=run.identity, evaluations=asked)
        for seed, (run, asked) in enumerate([(first, {"linear": "e" * 64}), (second, {})])
    ]
    GridRecord(grid="two", axes={}, cells=tuple(cells)).write(tmp_path)
    for asked in ([], ["--grid", "two"]):
        rows = json.loads(sslrun("runs", tmp_path, "--json", *asked)[1])["rows"]
        assert {row[0]: row[1] for row in rows} == dict.fromkeys((first.path.name, second.path.name), "no collapse")
    assert "two   2 cells: 1 done · 1 unjudged" in sslrun("status", tmp_path)[1]


def test_a_killed_runs_epoch_is_that_of_its_history(tmp_path: Path) -> None:
    """Its status may not know of the last ones."""
    made(tmp_path, 1).update_status(epoch=0, state=State.RUNNING)
    assert load_runs(tmp_path)["epoch"].tolist() == [10]


def test_a_finished_run_keeps_its_note_where_a_recipe_brings_another(tmp_path: Path) -> None:
    run = made(tmp_path, 1)
    assert not take_along(run, "first", ["a"]) and not take_along(run, "", [])
    assert take_along(run, "second", ["b"]) and notes_of(run) == Notes("first", ("a", "b"))
    run.update_status(state=State.RUNNING)
    assert not take_along(run, "second", []) and notes_of(run).note == "second"


def test_a_sweep_says_how_many_runs_keep_their_notes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [made(tmp_path, 1), made(tmp_path, 2, "training.epochs=3"), made(tmp_path, 3, "training.epochs=4")]
    for run in runs[:2]:
        annotate(run, "mine")
    cell = SimpleNamespace(recipe=read_recipe("quickstart", ["run.note=sweep", "run.tags=[s]"]))
    grid, jobs = SimpleNamespace(cells=[cell]), [SimpleNamespace(identity=run.identity) for run in runs]
    _note_finished(cast(Any, grid), cast(Any, jobs), tmp_path)
    assert capsys.readouterr().out.startswith("2 runs that were done before keep their notes: ")
    assert [(notes_of(run).note, notes_of(run).tags) for run in runs] == [
        (n, ("s",)) for n in ("mine", "mine", "sweep")
    ]


def test_a_run_without_a_log_says_so(tmp_path: Path, sslrun: Run) -> None:
    run = made(tmp_path, 1)
    assert f"{run.path.name} has no log" in sslrun("logs", run.path.name, "--results", tmp_path)[1]


def test_without_evaluations_std_is_listed_once(tmp_path: Path, sslrun: Run) -> None:
    make_run(tmp_path, 0, knn=None)
    header = json.loads(sslrun("runs", tmp_path, "--json")[1])["header"]
    assert header == ["run", "how it ended", "epoch", "std", "rank", "took", "started"]


def test_one_run_that_never_started_is_one_run_and_has_no_time(tmp_path: Path, sslrun: Run) -> None:
    failed = make_run(tmp_path, 0, state="failed", knn=None)
    assert f"{tmp_path}   1 run: 1 failed" in sslrun("status", tmp_path)[1]
    make_run(tmp_path, 1, knn=None).update_status(started="2026-01-02T03:04:05Z")
    failed.update_status(created="")
    rows = json.loads(sslrun("runs", tmp_path, "--json")[1])["rows"]
    assert sorted(row[-2] for row in rows) == ["2026-01-02 03:04", "–"]


def test_a_note_and_tags_make_no_other_run() -> None:
    plain, noted = read_recipe("quickstart"), read_recipe("quickstart", ["run.note=x", "run.tags=[a, b]"])
    assert noted.run.tags == ("a", "b")
    from sslrun.recipe.identity import identity

    assert identity(plain, "data") == identity(noted, "data")


def test_what_is_removed_is_one_run_and_asked_for(tmp_path: Path, sslrun: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, gone = made(tmp_path, 1), made(tmp_path, 2, "training.epochs=3")
    annotate(gone, "soon gone")
    code, _, said = sslrun("remove", "quickstart", "--yes", "--results", tmp_path)
    assert code == 2 and kept.path.name in said
    asked: list[str] = []
    monkeypatch.setattr("typer.confirm", asked.append)
    assert sslrun("remove", gone.path.name, "--results", tmp_path)[0] == 0 and gone.path.exists()
    assert asked == ["Remove this run?"]
    assert "removed 1 run\n" in sslrun("remove", gone.path.name, "--yes", "--results", tmp_path)[1]
    assert not gone.path.exists() and kept.path.exists()


def test_a_run_is_cited_by_what_it_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    first = bibtex(read_recipe("quickstart"))
    assert "instance-level discrimination" in first and "used for" not in first
    with monkeypatch.context() as unknown:
        unknown.setattr(citing, "_KNOWN", {})
        assert "used for knn; " in bibtex(read_recipe("quickstart"))
    assert "@software{sslrun," in first and "{2102.06810}" in first and "2303.06088" not in first
    styled = bibtex(read_recipe("bss/digits_styles"))
    assert "{2303.06088}" in styled and "{2002.05709}" in styled and "2102.06810" not in styled
    assert first.count("{") == first.count("}")
    assert "{2011.10566}" not in first
    assert "Chen, Xinlei and He, Kaiming" in bibtex(read_recipe("quickstart", ["method.kind=simsiam"]))


def test_a_recipe_is_cited_where_there_is_no_such_run(tmp_path: Path, sslrun: Run) -> None:
    shipped = sslrun("cite", "quickstart", "--results", tmp_path)[1]
    assert shipped == bibtex(read_recipe("quickstart")) + "\n" and "{1201.0490}" in shipped
    made(tmp_path, 1, "method.kind=simsiam")
    assert "{2011.10566}" in sslrun("cite", "quickstart", "--results", tmp_path)[1]
    code, _, said = sslrun("cite", "nosuch", "--results", tmp_path)
    assert code == 2 and "no run 'nosuch'" in said
