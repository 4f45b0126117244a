import json
import math
import os
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from scipy import stats
from synthetic_runs import make_run, write_cell

from sslrun.errors import InputError
from sslrun.files import content_digest
from sslrun.grids import read_grid
from sslrun.report.collecting import Results, collect
from sslrun.report.document import as_json, build
from sslrun.report.tables import check_metrics, comparisons, default_metrics, read_baseline, summary
from sslrun.runs.folder import RunFolder
from sslrun.runs.records import CellRecord, GridRecord, State, grid_records
from sslrun.runs.status import overview
from sslrun.runs.table import load_runs

LINEAR, NONE, DIRECT = (f"method.predictor={{kind: {kind}}}" for kind in ("linear", "none", "directpred"))
NO_EMA = "method.ema={kind: none}"
KNN = {"direct": [0.95, 0.97, 0.96], "linear": [0.91, 0.94, 0.92]}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Two predictors × EMA on or off × three seeds; without EMA linear has a collapse and a failure."""
    for seed in range(3):
        make_run(tmp_path, seed, DIRECT, knn=KNN["direct"][seed])
        make_run(tmp_path, seed, LINEAR, knn=KNN["linear"][seed])
        make_run(tmp_path, seed, DIRECT, NO_EMA, knn=0.9 + seed / 100)
    make_run(tmp_path, 0, LINEAR, NO_EMA, knn=0.8)
    make_run(tmp_path, 1, LINEAR, NO_EMA, knn=0.2, state="collapsed", verdict="complete")
    make_run(tmp_path, 2, LINEAR, NO_EMA, state="failed", reason="out of memory\nlong trace")
    return tmp_path


def write_sweep(results: Path, cells: list[tuple[dict[str, str], RunFolder | str, int, dict[str, str]]]) -> None:
    (results / "sweeps").mkdir(exist_ok=True)
    listed = [
        {
            "labels": labels,
            "seed": seed,
            "identity": run if isinstance(run, str) else run.identity,
            "evaluations": evaluations,
        }
        for labels, run, seed, evaluations in cells
    ]
    axes: dict[str, list[str]] = {}
    for labels, *_ in cells:
        for axis, label in labels.items():
            axes.setdefault(axis, []).append(label)
    sweep = {"grid": "small", "axes": axes, "baseline": None, "cells": listed}
    (results / "sweeps" / "small.json").write_text(json.dumps(sweep))


def test_axes_are_the_options_that_differ_and_means_are_over_seeds(results: Path) -> None:
    found = collect(results)
    assert found.axes == ("predictor", "ema")
    assert found.order == {"predictor": ["directpred", "linear"], "ema": ["constant", "none"]}
    assert default_metrics(found) == ["knn", "linear"]
    table = summary(found, ["knn"]).set_index(["predictor", "ema"])
    row = table.loc[("directpred", "constant")]
    low, high = stats.t.interval(0.95, 2, loc=0.96, scale=stats.sem(KNN["direct"]))
    assert (row["n"], row["mean"], row["std"]) == (3, pytest.approx(0.96), pytest.approx(0.01))
    assert (row["low"], row["high"]) == pytest.approx((low, high))
    troubled = table.loc[("linear", "none")]
    assert (troubled["n"], troubled["mean"], troubled["runs"]) == (2, pytest.approx(0.5), 3)
    assert [troubled[name] for name in ("dimensional", "complete", "failed", "missing")] == [0, 1, 1, 0]
    without = summary(found, ["knn"], without_collapsed=True).set_index(["predictor", "ema"]).loc[("linear", "none")]
    assert (without["n"], without["mean"], without["complete"]) == (1, pytest.approx(0.8), 1)
    assert math.isnan(without["std"])


def test_comparisons_are_paired_and_otherwise_alike(results: Path) -> None:
    found = collect(results)
    table = comparisons(found, ["knn"], read_baseline(found, "predictor=linear")).set_index(["predictor", "ema"])
    assert list(table.index) == [("directpred", "constant"), ("directpred", "none")]
    row, theirs = table.loc[("directpred", "constant")], stats.ttest_rel(KNN["direct"], KNN["linear"])
    assert row["p"] == pytest.approx(theirs.pvalue)
    assert (row["low"], row["high"]) == pytest.approx(tuple(theirs.confidence_interval(0.95)))
    assert row["p_holm"] == pytest.approx(2 * theirs.pvalue)
    assert table.loc[("directpred", "none"), "n"] == 2
    for wrong in ("predictor", "predictor=linaer", "nothing=1"):
        with pytest.raises(InputError):
            read_baseline(found, wrong)


def test_what_is_said_of_comparisons_is_what_was_done(results: Path) -> None:
    def notes(baseline: str, metric: str = "knn") -> tuple[str, ...]:
        return build(collect(results), metrics=[metric], baseline=baseline).tables[1].notes

    first, second = notes("predictor=linear")
    assert "seed by seed from runs with predictor linear that are otherwise alike. Each" in first
    assert "(none: no two proportions" in second and "–" not in second
    assert "(none:" not in notes("predictor=linear", "std")[1]
    make_run(results, 0, "method.predictor={kind: mlp}", knn=0.5)
    first, second = notes("predictor=linear,ema=constant")
    assert "runs with predictor linear, ema constant, from which rows may differ in several axes at once. Each" in first
    assert "–: fewer than two pairs" in second


def test_conditions_that_have_no_baseline_are_counted(results: Path) -> None:
    def said() -> list[str]:
        notes = build(collect(results), baseline="predictor=linear").notes
        return [note for note in notes if "not compared" in note]

    assert said() == []
    make_run(results, 0, "method.ema.momentum=0.5", "training.batch_size=32")
    (note,) = said()
    assert note == "1 of 5 conditions is not compared: no condition with predictor linear is otherwise alike"


def test_one_axis_named_alone_never_mixes_the_other(results: Path) -> None:
    document = build(collect(results), rows=["predictor"], metrics=["knn"])
    titles = [table.title for table in document.tables]
    assert titles[:2] == ["Results; ema constant", "Results; ema none"]
    square = build(collect(results), columns=["ema"], metrics=["knn"]).tables[0]
    assert square.header == ("predictor", "constant", "none")
    texts = [[cell.text for cell in row] for row in square.rows]
    assert texts[0][1].startswith("0.960 ± 0.010 [0.935, 0.985] (3)")
    assert texts[1][2].endswith("(2, 1 complete collapse, 1 failed)")
    with pytest.raises(InputError, match="at once"):
        build(collect(results), rows=["ema"], columns=["ema"])
    with pytest.raises(InputError, match="no metric 'kn'"):
        build(collect(results), metrics=["kn"])


def test_failed_runs_and_what_was_left_out_are_told(results: Path) -> None:
    (results / "notes").mkdir()
    document = build(collect(results))
    failed = next(table for table in document.tables if table.title == "Runs that did not finish")
    assert [cell.text for cell in failed.rows[0]][1:] == ["linear", "none", "2", "failed", "out of memory"]
    assert [(Path(path).name, why) for path, why in document.results.left_out] == [
        ("notes", "not a run: no identity.json")
    ]


def test_a_grid_gives_labels_missing_cells_and_its_own_evaluations(tmp_path: Path) -> None:
    runs = [make_run(tmp_path, seed, knn=0.9) for seed in (0, 1)]
    other = make_run(tmp_path, 5, NO_EMA, knn=0.1)
    twenty = [write_cell(run, "knn", 0.7, {"k": 20, "temperature": 0.07}) for run in runs]
    five = [next(cell.identity for cell in run.evaluations() if cell.metrics["accuracy"] == 0.9) for run in runs]
    cells: list[tuple[dict[str, str], RunFolder | str, int, dict[str, str]]] = []
    for label, identities in (("few", five), ("many", twenty)):
        for seed in (0, 1):
            cells.append(({"neighbours": label}, runs[seed], seed, {"knn": identities[seed]}))
        cells.append(({"neighbours": label}, "ab" * 32, 2, {"knn": "cd" * 32}))
    cells.append(({"neighbours": "most"}, runs[0], 0, {"knn": "ef" * 32}))
    write_sweep(tmp_path, cells)
    found = collect(tmp_path, "small")
    assert found.grid == "small"
    assert len(found.runs) == 7
    table = summary(found, ["knn"]).set_index("neighbours")
    assert table["mean"].tolist()[:2] == pytest.approx([0.9, 0.7])
    assert table["n"].tolist() == [2, 2, 0]
    assert table["missing"].tolist() == [1, 1, 0]
    assert any("1 run here is not part of this grid" in note for note in found.notes)
    assert other.path.name not in found.runs["folder"].tolist()
    with pytest.raises(InputError, match="no grid 'smal'"):
        collect(tmp_path, "smal")


def test_a_cell_without_its_evaluation_is_not_done_whatever_its_run_is(tmp_path: Path) -> None:
    failed = make_run(tmp_path, 0, reason="the probe ran out of memory")
    halted, whole = make_run(tmp_path, 1), make_run(tmp_path, 2)
    knn = next(cell.identity for cell in whole.evaluations() if cell.kind == "knn")
    missing = {"linear": "cd" * 32}
    write_sweep(
        tmp_path,
        [({"a": "x"}, failed, 0, missing), ({"a": "x"}, halted, 1, missing), ({"a": "x"}, whole, 2, {"knn": knn})],
    )
    found = collect(tmp_path)
    assert found.runs["status"].tolist() == ["failed", "unjudged", "done"]
    assert overview(tmp_path).grids == {"small": {"done": 1, "unjudged": 1, "failed": 1}}
    troubles = next(table for table in build(found).tables if table.title == "Runs that did not finish")
    assert [row[-1].text for row in troubles.rows] == ["the probe ran out of memory"]


def test_a_run_that_ends_while_its_table_is_read_counts_as_unfinished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its verdict was not there yet: it is neither called well nor collapsed."""
    run = make_run(tmp_path, 0, state="running", verdict="complete")
    write_sweep(tmp_path, [({"a": "x"}, run, 0, {})])

    def read_and_end(folder: Path) -> pd.DataFrame:
        found = load_runs(folder)
        run.update_status(state=State.COLLAPSED, verdict="complete")
        return found

    monkeypatch.setattr("sslrun.report.collecting.load_runs", read_and_end)
    counts = summary(collect(tmp_path, "small"), ["std"]).iloc[0]
    assert (counts["unfinished"], counts["complete"], counts["runs"]) == (1, 0, 1)
    monkeypatch.undo()
    assert summary(collect(tmp_path, "small"), ["std"]).iloc[0]["complete"] == 1


def test_a_grid_shows_what_it_asks_for_and_says_what_else_there_is(tmp_path: Path) -> None:
    one = make_run(tmp_path, 0)
    knn = next(cell.identity for cell in one.evaluations() if cell.kind == "knn")
    grid = tmp_path / "small.yaml"
    grid.write_text("axes: {}\n")
    write_sweep(tmp_path, [({"a": "x"}, one, 0, {"knn": knn})])
    record = grid_records(tmp_path, [])["small"]
    replace(record, source=str(grid), digest=content_digest(grid)).write(tmp_path)
    found = build(collect(tmp_path))
    assert found.metrics == ("knn",)
    assert "not asked for by the grid, so shown with --metric alone: linear" in found.notes
    assert not any("has changed" in note for note in found.notes)
    assert not any("not asked for" in note for note in build(collect(tmp_path), metrics=["linear"]).notes)
    grid.write_text("axes: {}\nseeds: 2\n")
    said = f"{grid} has changed since it was swept here: these are the cells and baseline of then"
    assert said in collect(tmp_path).notes
    grid.unlink()
    assert said not in collect(tmp_path).notes


def test_labels_are_in_the_grids_order_and_empty_evaluations_choose_no_metric(tmp_path: Path) -> None:
    runs = [make_run(tmp_path, seed) for seed in (0, 1)]
    cells = [({"a": label}, run, 0, {}) for label, run in zip("yx", runs, strict=True)]
    write_sweep(tmp_path, cells)
    path = tmp_path / "sweeps" / "small.json"
    sweep = json.loads(path.read_text())
    sweep["cells"].reverse()
    for cell in sweep["cells"]:
        cell["evaluations"] = {"authors_probe": "cd" * 32}  # asked for, not there yet
    path.write_text(json.dumps(sweep))
    found = collect(tmp_path)
    assert found.order == {"a": ["y", "x"]}
    assert default_metrics(found) == ["knn", "linear"]


def test_runs_judged_by_other_settings_are_not_pooled(tmp_path: Path) -> None:
    for seed, k in ((0, 5), (1, 5), (2, 200), (3, 200)):
        make_run(tmp_path, seed, f"evaluation.knn.k={k}")
    make_run(tmp_path, 4, "evaluation.every=2")  # judged as the first ones
    assert collect(tmp_path).order == {"k": ["5", "200"]}


def test_what_differs_beside_an_axis_is_an_axis_too_or_told_of(tmp_path: Path) -> None:
    """Rows must not blame one of two things that differ at once; each method with its own rate is no such thing."""
    make_run(tmp_path / "a", 0, "training.batch_size=32")
    make_run(tmp_path / "a", 0, "method.stop_gradient=false", NO_EMA, "method.predictor={kind: none}", "data.limit=90")
    document = build(collect(tmp_path / "a"), metrics=["knn"])
    assert document.results.axes == ("predictor", "ema", "limit", "stop_gradient")
    assert "also differ between rows, not shown: training.batch_size 32 | 64" in document.notes
    make_run(tmp_path / "b", 0)
    make_run(tmp_path / "b", 0, "method={kind: simclr}", "optimizer.network.lr=0.5")
    document = build(collect(tmp_path / "b"), metrics=["knn"])
    assert document.results.axes == ("method",)
    (note,) = (note for note in document.notes if note.startswith("also differ"))
    assert note == "also differ between rows, not shown: method.views apart | together, optimizer.network.lr 0.06 | 0.5"


def test_runs_on_other_data_are_rows_of_their_own(tmp_path: Path) -> None:
    """Those that kept no fingerprint stand with the only one there is, or alone where there are several."""
    runs = [make_run(tmp_path, seed, *change) for change in ((), ("run.threads=1",)) for seed in (0, 1)]
    for run, digit in zip(runs, "aa b", strict=True):
        run.environment.write_text(json.dumps({"data": digit * 64} if digit != " " else {}))
    found = collect(tmp_path)
    assert (found.axes, found.order) == (("data",), {"data": ["–", "aaaaaaaa", "bbbbbbbb"]})
    runs[3].environment.write_text("{}")
    found = collect(tmp_path)
    assert found.axes == () and found.runs["data"].notna().sum() == 2


def test_an_option_called_as_a_column_of_tables_keeps_more_of_its_name(tmp_path: Path) -> None:
    for seed, mean in ((0, 0.4), (1, 0.4), (2, 0.5)):
        make_run(tmp_path, seed, f"views.normalize={{mean: [{mean}], std: [0.25]}}")
    document = build(collect(tmp_path), metrics=["knn"])
    assert document.results.axes == ("normalize.mean",)
    assert document.summary["n"].tolist() == [2, 1]
    assert [row[0].text for row in document.tables[0].rows] == ["0.4", "0.5"]


def test_a_mean_over_an_axis_is_taken_within_each_seed_that_has_all_its_labels(tmp_path: Path) -> None:
    cells: list[tuple[dict[str, str], RunFolder | str, int, dict[str, str]]] = []
    numbers = {("bss", "ink"): (0.5, 0.6, 0.9), ("bss", "neon"): (0.3, 0.2), ("none", "ink"): (0.4, 0.4, 0.4)}
    numbers |= {("none", "neon"): (0.1, 0.2, 0.3)}
    for number, ((style, unseen), found) in enumerate(numbers.items()):
        for seed, knn in enumerate(found):
            run = make_run(tmp_path, seed, f"optimizer.network.lr=0.{number + 1}", knn=knn)
            cells.append(({"style": style, "unseen": unseen}, run, seed, {}))
    cells.append(({"style": "bss", "unseen": "neon"}, "ab" * 32, 2, {}))
    write_sweep(tmp_path, cells)
    document = build(collect(tmp_path), mean=["unseen"], metrics=["knn"], baseline="style=none")
    means = document.summary.set_index("style")
    assert means.loc["bss", "n"] == 2 and means.loc["none", "n"] == 3
    assert means["mean"].tolist() == pytest.approx([0.4, 0.3])
    assert (means.loc["bss", "missing"], means.loc["bss", "runs"]) == (1, 6)
    (paired,) = document.comparisons.to_dict("records")
    assert (paired["style"], paired["n"], paired["mean"]) == ("bss", 2, pytest.approx((0.15 + 0.1) / 2))
    assert any("its mean over unseen (ink, neon)" in note for note in document.notes)
    with pytest.raises(InputError):
        build(collect(tmp_path), mean=["domain"])


def test_a_grid_whose_seeds_have_one_label_each_of_an_axis_has_a_mean_over_it(tmp_path: Path) -> None:
    numbers = {("bss", "ink", 0): 0.5, ("bss", "neon", 1): 0.3, ("none", "ink", 0): 0.4, ("none", "neon", 1): 0.1}
    cells: list[tuple[dict[str, str], RunFolder | str, int, dict[str, str]]] = [
        ({"style": style, "unseen": unseen}, make_run(tmp_path, 9 * number, knn=knn), seed, {})
        for number, ((style, unseen, seed), knn) in enumerate(numbers.items())
    ]
    write_sweep(tmp_path, cells)
    document = build(collect(tmp_path), mean=["unseen"], metrics=["knn"], baseline="style=none")
    assert document.summary.set_index("style")["n"].to_dict() == {"bss": 2, "none": 2}
    (paired,) = document.comparisons.to_dict("records")
    assert (paired["n"], paired["mean"]) == (2, pytest.approx((0.1 + 0.2) / 2))


def test_a_baseline_may_have_commas_in_its_label(tmp_path: Path) -> None:
    cells = [({"unseen": label, "b": "c"}, make_run(tmp_path, seed), 0, {}) for seed, label in enumerate(("x, y", "z"))]
    write_sweep(tmp_path, cells)
    assert read_baseline(collect(tmp_path), "unseen=x, y,b=c") == {"unseen": "x, y", "b": "c"}


def test_a_grid_of_which_nothing_has_run_yet_and_a_damaged_one(tmp_path: Path) -> None:
    write_sweep(tmp_path, [({"a": "x"}, "ab" * 32, 0, {"knn": "cd" * 32})])
    (tmp_path / "sweeps" / "broken.json").write_text('{"grid":')
    (tmp_path / "sweeps" / "foreign.json").write_text("[]")
    found = collect(tmp_path)
    assert found.runs["status"].tolist() == ["missing"]
    assert {Path(path).name for path, _ in found.left_out} == {"broken.json", "foreign.json"}
    assert build(found).tables[0].rows[0][-1].text == "1 missing"


def test_an_empty_folder_has_an_empty_report(tmp_path: Path) -> None:
    document = build(collect(tmp_path))
    assert document.notes[0].startswith("0 runs")
    assert as_json(document)["runs"] == []


def test_what_differs_between_equal_runs_is_kept_apart(results: Path) -> None:
    whole = as_json(build(collect(results)))
    timing = set(collect(results).timing)
    assert {"seconds", "created", "knn.seconds"} <= timing
    assert not timing & set(whole["runs"][0])
    assert timing | {"folder"} == set(whole["timing"][0])


def _many(results: Path, runs: int) -> Results:
    for seed in range(runs // 10):
        for rho in range(10):
            make_run(results, seed, f"method.predictor={{kind: directpred, rho: 0.{rho}}}", epochs=20)
    began = time.process_time()
    found = collect(results)
    build(found, baseline="rho=0.3")
    assert time.process_time() - began < 3 * runs / 1000
    return found


def test_a_thousand_runs_are_reported_in_time(tmp_path: Path) -> None:
    found = _many(tmp_path, 1000)
    assert found.axes == ("rho",)
    assert len(found.runs) == 1000


def test_other_runs_are_to_be_had_and_a_changed_grid_is_found(tmp_path: Path) -> None:
    run, other = make_run(tmp_path, 0), make_run(tmp_path, 5, NO_EMA)
    write_sweep(tmp_path, [({"neighbours": "few"}, run, 0, {})])
    sweeps = tmp_path / "sweeps"
    text = (sweeps / "small.json").read_text().replace('"small"', '"small+abc123"')
    (sweeps / "small.json").rename(sweeps / "small+abc123.json").write_text(text)
    found = collect(tmp_path, "small")
    assert found.grid == "small+abc123"
    assert collect(tmp_path, "grids/small.yaml").grid == "small+abc123"
    assert any("without --grid all are shown" in note for note in found.notes)
    every = collect(tmp_path)
    assert any("--grid small+abc123 (1)" in note for note in every.notes)
    assert set(every.runs["folder"]) == {run.path.name, other.path.name} and every.grid is None
    (sweeps / "small+def456.json").write_text(text.replace("abc123", "def456"))
    os.utime(sweeps / "small+abc123.json", (1, 1))
    last = collect(tmp_path, "small")
    assert last.grid == "small+def456"
    assert any("there are also small+abc123" in note for note in last.notes)


def test_a_grid_is_found_by_its_file_whatever_it_is_called(tmp_path: Path) -> None:
    files = [tmp_path / part / "my grid (2).yml" for part in ("a", "b")]
    for seed, file in enumerate(files):
        cells = (CellRecord(labels={}, seed=seed, identity=make_run(tmp_path, seed).identity),)
        file.parent.mkdir()
        file.write_text("base: quickstart\nseeds: 1\n")
        grid = read_grid(file)
        GridRecord(grid=grid.record_name, axes={}, cells=cells, source=grid.source).write(tmp_path)
    assert [collect(tmp_path, str(file)).grid for file in files] == ["my-grid-2-", "my-grid-2--2"]
    assert collect(tmp_path, "moved/my grid (2).yml").grid == collect(tmp_path, "my grid (2)").grid == "my-grid-2-"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, None),
        ({"torch": "1.13.0"}, "of 2 versions of torch (1.13.0, 2.9)"),
        ({"sslrun": "0.0.1"}, "of 2 versions of sslrun (0.0.1, 1.0)"),
        ({"cpu": "another"}, "on 2 kinds of processor (a <b>fast</b> one, another)"),
        ({"gpus": ["H100"], "torch": "1"}, "of 2 versions of torch (1, 2.9), on 2 kinds of processor"),
    ],
)
@pytest.mark.parametrize("mean", [False, True])
def test_runs_of_other_versions_and_processors_are_named(
    tmp_path: Path, changes: dict[str, object], said: str | None, mean: bool
) -> None:
    runs = [make_run(tmp_path, seed, *change) for change in ((), (NO_EMA,)) for seed in (0, 1)]
    for number, run in enumerate(runs):
        about = json.loads(run.environment.read_text()) | {"sslrun": "1.0"} | (changes if number == 3 else {})
        run.environment.write_text(json.dumps(about))
    notes = build(collect(tmp_path), mean=["ema"] * mean).notes
    notes = tuple(note for note in notes if note.startswith(("averaged", "compared")))
    assert len(notes) == (said is not None)
    assert said is None or f"averaged together are runs {said}" in notes[0]


def test_compared_runs_of_other_versions_are_named_too(tmp_path: Path) -> None:
    for changes, torch in (((), "2.9"), ((NO_EMA,), "1.13.0")):
        for seed in (0, 1):
            run = make_run(tmp_path, seed, *changes)
            run.environment.write_text(json.dumps({"torch": torch}))
    assert "compared are runs of 2 versions of torch (1.13.0, 2.9)" in build(collect(tmp_path)).notes


@pytest.mark.parametrize("plugins", [(), ("rule",)])
def test_runs_of_one_seed_that_no_axis_tells_apart_are_named(tmp_path: Path, plugins: tuple[str, ...]) -> None:
    runs = [make_run(tmp_path, 0, knn=0.5), make_run(tmp_path, 0, "run.threads=1", knn=0.6), make_run(tmp_path, 1)]
    assert {*build(collect(tmp_path)).summary["n"]} == {2}
    for run in runs:
        kept = json.loads((run.path / "identity.json").read_text())
        kept["recipe"]["imports"] = plugins
        (run.path / "identity.json").write_text(json.dumps(kept))
    said = [note for note in build(collect(tmp_path)).notes if note.startswith("averaged as if they were one")]
    what = "the source of the plug-in rule or the files that they read" if plugins else "the files that they read"
    assert len(said) == 1 and f"of the same seed that differ in {what}: " in said[0]
    assert [run.path.name in said[0] for run in runs] == [True, True, False]


def test_runs_by_two_sources_of_a_plug_in_are_two_rows(tmp_path: Path) -> None:
    for seed, threads, source, knn in ((0, 1, "aa" * 32, 0.5), (1, 1, "aa" * 32, 0.6), (0, 2, "bb" * 32, 0.8)):
        run = make_run(tmp_path, seed, f"run.threads={threads}", knn=knn)
        about = {"data": "00" * 32, "plugins": {"rule": source}}
        run.environment.write_text(json.dumps(json.loads(run.environment.read_text()) | about))
    found = collect(tmp_path)
    assert found.axes == ("plugins",) and found.order["plugins"] == ["rule aaaaaaaa", "rule bbbbbbbb"]
    linear = build(found).summary[lambda table: table["metric"] == "linear"]  # 0.01 more than kNN
    means = {row["plugins"]: (row["n"], row["mean"]) for row in linear.to_dict("records")}
    assert means["rule aaaaaaaa"] == (2, pytest.approx(0.56)) and means["rule bbbbbbbb"] == (1, pytest.approx(0.81))
    assert not any("as if they were one" in note for note in build(found).notes)


def test_runs_without_evaluations_have_std_and_rank_though_others_have_more(tmp_path: Path) -> None:
    make_run(tmp_path, 0)
    for seed, change in enumerate(((), (NO_EMA,))):
        run = make_run(tmp_path, seed, *change, "run.tags=[alone]", knn=None)
        (run.path / "notes.json").write_text(json.dumps({"tags": ["alone"]}))
    found = collect(tmp_path, tags=["alone"])
    assert default_metrics(found) == ["std", "rank"]
    assert {*build(found).summary["n"]} == {1}
    assert not any("nothing is compared" in note for note in build(found).notes)  # one has seed 0, the other 1
    make_run(tmp_path, 1)
    assert "nothing is compared: --baseline ema=constant would" in build(collect(tmp_path), metrics=["std"]).notes


def test_a_difference_that_no_proportions_have_could_not_be_seen(tmp_path: Path) -> None:
    for seed in range(2):
        make_run(tmp_path, seed, DIRECT, knn=0.9 - 0.3 * seed)
        make_run(tmp_path, seed, LINEAR, knn=0.5 + 0.3 * seed)
    document = build(collect(tmp_path), metrics=["knn"], baseline="predictor=linear")
    assert document.comparisons["could_see"].tolist() == [math.inf]
    table = next(table for table in document.tables if "could see" in table.header)
    assert table.rows[0][table.header.index("could see")].text == "none"
    assert "(none: no two proportions" in table.notes[1] and "–" not in table.notes[1]
    assert as_json(document)["comparisons"][0]["could_see"] is None


def test_intervals_are_cut_where_values_can_not_be_and_say_so(tmp_path: Path) -> None:
    for seed, (one, other) in enumerate(((0.1, 0.95), (0.9, 0.99))):
        make_run(tmp_path, seed, DIRECT, knn=one)
        make_run(tmp_path, seed, LINEAR, knn=other)
    results = collect(tmp_path)
    means = summary(results, ["knn", "std"]).set_index(["predictor", "metric"])
    assert (means.loc[("directpred", "knn")][["low", "high"]] == [0, 1]).all()
    assert means.loc[("directpred", "std")]["high"] != 1
    paired = comparisons(results, ["knn"], {"predictor": "linear"})
    assert paired["low"].min() == -1 and paired["p"].notna().all()
    assert "cut where no value can be" in build(results, metrics=["knn"]).tables[0].notes[0]
    assert "are cut" not in build(results, metrics=["std"]).tables[0].notes[0]
    results.runs["rank"], results.runs["plateau"] = [0.0, 4.0] * 2, [2.0, 80.0] * 2
    means = summary(results, ["rank", "plateau", "loss"]).set_index("metric")
    assert (means.loc["rank"]["low"] == 0).all() and (means.loc["rank"]["high"] > 4).all()
    assert (means.loc["plateau"]["low"] == 1).all() and (means.loc["loss"]["low"] < 0).all()
    assert "cut where no value can be" in build(results, metrics=["rank"]).tables[0].notes[0]


def test_what_labels_set_beside_what_they_say_is_said(tmp_path: Path) -> None:
    """A rate that goes with the predictor; neither the kind nor a number that is its own label."""
    chosen = {"linear": (LINEAR, "optimizer.network.lr=0.3"), "directpred": (DIRECT, "optimizer.network.lr=0.1")}
    cells = []
    for label, changes in chosen.items():
        for decay in ("0", "4e-4"):
            decayed = f"optimizer.network.weight_decay={decay}"
            run = make_run(tmp_path, 0, *changes, decayed)
            labels = {"predictor": label, "decay": decay}
            cells.append(CellRecord(labels=labels, seed=0, identity=run.identity, evaluations={}))
    axes = {"predictor": tuple(chosen), "decay": ("0", "4e-4")}
    GridRecord(grid="rates", axes=axes, cells=tuple(cells)).write(tmp_path)
    notes = build(collect(tmp_path, "rates")).notes
    assert "predictor sets optimizer.network.lr: 0.1 directpred; 0.3 linear" in notes
    assert not any(" sets " in note and ("weight_decay" in note or "kind" in note) for note in notes)


def test_what_training_started_from_stands_below_the_means(tmp_path: Path) -> None:
    for seed in (0, 1):
        make_run(tmp_path, seed, knn=0.9)
    results = collect(tmp_path)
    assert "the untrained encoder, mean over conditions and seeds: knn 0.800" in build(results, metrics=["knn"]).notes
    alone = build(results, metrics=["std", "untrained.knn"]).notes
    assert not any("untrained encoder" in note for note in alone)


def test_a_metric_by_other_settings_may_go_without_saying_these(tmp_path: Path) -> None:
    run = make_run(tmp_path, 0)
    asked = run.record.recipe["evaluation"]["knn"]
    write_cell(run, "knn", 0.7, asked | {"k": 9})
    assert check_metrics(collect(tmp_path), ["knn", "knn[k=9]"]) == ["knn", "knn[k=9]"]
    for path in run.path.glob("evaluations/knn-*"):
        if json.loads(path.read_text())["settings"]["k"] != 9:
            path.unlink()
    assert check_metrics(collect(tmp_path), ["knn"]) == ["knn[k=9]"]
    write_cell(run, "knn", 0.6, asked | {"k": 11})
    with pytest.raises(InputError, match=r"'knn' could be any of knn\[k=(9|11)\], knn\[k=(9|11)\]"):
        check_metrics(collect(tmp_path), ["knn"])
