"""What is kept of runs: read as it was written, older files too; all else is an error that names the file."""

import json
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from sslrun.errors import InputError
from sslrun.runs.cells import CellName
from sslrun.runs.folder import RunFolder, by_identity, create
from sslrun.runs.lease import hold
from sslrun.runs.records import (
    FINISHED,
    CellRecord,
    EvaluationRecord,
    GridRecord,
    LeftOut,
    Record,
    RunRecord,
    State,
    Status,
    grid_records,
    read,
    state_now,
)
from sslrun.runs.status import overview, snapshot, state_of

RUN = RunRecord("ab" * 32, {"name": "quick", "views": None, "optimizer": {"lr": 1e-4}})
STATUS = Status(State.COLLAPSED, created="2026-01-01T00:00:00Z", seconds=3.5, evidence={"std": 0.01, "rank": None})
KNN = EvaluationRecord(
    kind="knn",
    at=100,
    identity="cd" * 32,
    settings={"k": 5},
    metrics={"accuracy": 0.9, "untrained.accuracy": 1, "converged": True, "held_out": {"0.1": 0.8}, "per_epoch": [0.5]},
    seconds=1.5,
)
GRID = GridRecord(
    grid="table1+small",
    notes="why",
    axes={"ema": ("none", "0.99")},
    seeds=(0, 1),
    baseline={"ema": "none"},
    cells=(CellRecord(labels={"ema": "none"}, seed=0, identity=RUN.identity, evaluations={"knn@100": KNN.identity}),),
)
STATES = [state for state in State if state not in (State.INTERRUPTED, State.MISSING)]


@pytest.mark.parametrize("record", [RUN, STATUS, KNN, GRID], ids=lambda record: type(record).__name__)
def test_a_record_is_read_as_it_was_written_with_keys_of_later_versions(record: Any, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    for more in ({}, {"later": [1]}):
        path.write_text(json.dumps(asdict(record) | more))
        assert read(type(record), path) == record


def test_numbers_keep_their_kinds(tmp_path: Path) -> None:
    path = tmp_path / "knn.json"
    path.write_text(json.dumps(asdict(KNN)))
    kinds = {name: type(value) for name, value in read(EvaluationRecord, path).metrics.items()}
    assert kinds == {
        "accuracy": float,
        "untrained.accuracy": int,
        "converged": bool,
        "held_out": dict,
        "per_epoch": list,
    }


def test_a_grids_record_is_where_reports_look_for_it(tmp_path: Path) -> None:
    assert GRID.write(tmp_path) == GRID
    assert (tmp_path / "sweeps" / "table1+small.json").is_file()
    left_out: LeftOut = []
    assert grid_records(tmp_path, left_out) == {GRID.grid: GRID}
    assert left_out == []
    assert GRID.cells[0].asked == [(CellName("knn", 100), KNN.identity)]
    assert str(GRID.cells[0]) == "ema none · seed 0"


BROKEN: list[tuple[type[Record], str, str]] = [
    (Status, "", "damaged: "),
    (Status, '{"state": "done"', "damaged: "),
    (Status, "\0" * 100, "damaged: "),
    (Status, "[" * 100_000, "damaged: "),
    (Status, "null", "not a run's status: "),
    (Status, '{"state": "sleeping"}', "not a run's status: state: "),
    (Status, "{}", "not a run's status: state: "),
    (Status, '{"state": "done", "seconds": "3"}', "not a run's status: seconds: "),
    (RunRecord, '{"identity": "ab"}', "not a run's identity: recipe: "),
    (RunRecord, '{"identity": 3, "recipe": {}}', "not a run's identity: identity: "),
    (EvaluationRecord, "[]", "not an evaluation: "),
    (EvaluationRecord, json.dumps(asdict(KNN) | {"metrics": {"accuracy": "high"}}), "not an evaluation: metrics.acc"),
    (EvaluationRecord, json.dumps(asdict(KNN) | {"at": "100"}), "not an evaluation: at: "),
    (GridRecord, '{"grid": "g", "axes": {}}', "not a sweep: cells: "),
    (GridRecord, '{"grid": "g", "axes": {}, "cells": [{"labels": {}}]}', "not a sweep: cells.0.seed: "),
    (GridRecord, json.dumps(asdict(GRID) | {"axes": {"b": []}}), "not a sweep: a cell has no label of b"),
    (GridRecord, json.dumps(asdict(GRID)).replace("knn@100", "knn@last"), "not a sweep: .*'last'"),
]


@pytest.mark.parametrize(
    ("record", "text", "why"), BROKEN, ids=[f"{kind.__name__}{i}" for i, (kind, *_) in enumerate(BROKEN)]
)
def test_what_is_no_record_is_named_with_its_file(record: type[Record], text: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "sweeps" / "it.json"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(InputError, match=why) as raised:
        read(record, path)
    assert raised.value.where == str(path)
    assert raised.value.remedy == record.remedy
    if record is GridRecord:
        left_out: LeftOut = []
        assert grid_records(tmp_path, left_out) == {}
        assert left_out == [(str(path), raised.value.what)]


def test_what_is_not_there_or_cannot_be_read_is_named_too(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not a run: no identity\.json"):
        read(RunRecord, tmp_path / "identity.json")
    (tmp_path / "status.json").mkdir()
    with pytest.raises(InputError, match="can't be read"):
        read(Status, tmp_path / "status.json")


def test_the_state_of_a_run_at_this_moment() -> None:
    for kept, reason, held, complete in product(STATES, (None, "why"), (True, False), (True, False)):
        state = state_now(Status(kept, reason=reason), held=held, complete=complete)
        if kept in FINISHED and complete:
            expected = kept
        elif held:
            expected = State.RUNNING
        elif kept in FINISHED:
            expected = State.FAILED if reason else State.UNJUDGED
        else:
            expected = State.INTERRUPTED if kept == State.RUNNING else kept
        assert state == expected, (kept, reason, held, complete)


def test_a_finished_run_that_is_held_runs_for_whoever_waits_for_its_evaluations(tmp_path: Path) -> None:
    folder = create(tmp_path, "quick", RUN.identity, "name: quick\n")
    folder.write_status(replace(STATUS, state=State.DONE))
    asked = GRID.cells[0].asked
    GRID.write(tmp_path)
    assert state_of(None, asked) == State.MISSING
    assert (state_of(folder, []), state_of(folder, asked)) == (State.DONE, State.UNJUDGED)
    assert folder.lacking(asked) == [CellName("knn", 100)]
    with hold(folder):
        assert (state_of(folder, []), state_of(folder, asked)) == (State.DONE, State.RUNNING)
        assert snapshot(folder).state == State.RUNNING
        assert overview(tmp_path).grids == {GRID.grid: {"running": 1}}
    folder.write_evaluation(KNN)
    assert state_of(folder, asked) == snapshot(folder).state == State.DONE
    assert folder.lacking(asked) == []


def test_the_overview_names_runs_by_the_first_cell_that_they_are(tmp_path: Path) -> None:
    folder = create(tmp_path, "quick", RUN.identity, "name: quick\n")
    folder.write_status(Status(State.FAILED, reason="out of memory\nand more"))
    other = replace(GRID.cells[0], labels={"ema": "0.99"}, identity="ef" * 32)
    replace(GRID, cells=(*GRID.cells, other)).write(tmp_path)
    found = overview(tmp_path)
    assert found.grids == {GRID.grid: {"waiting": 1, "failed": 1}}
    assert list(found.lines()) == [
        "table1+small   2 cells: 1 waiting · 1 failed",
        f"{tmp_path}   1 run, all of these grids",
        f"failed        {folder.path.name}   out of memory   (ema none · seed 0)",
        "    and more",
    ]
    (run,) = found.as_json()["runs"]
    assert (run["run"], run["labels"], run["state"]) == (folder.path.name, "ema none · seed 0", "failed")


def test_runs_by_identity_are_those_that_say_which_they_are(tmp_path: Path) -> None:
    assert by_identity(tmp_path / "none") == {}
    folder, half = (create(tmp_path, "quick", digit * 64, "name: quick\n") for digit in "ab")
    (half.path / "identity.json").unlink()
    (tmp_path / "notes").mkdir()
    assert by_identity(tmp_path) == {"a" * 64: folder}
    assert create(tmp_path, "quick", "b" * 64, "name: quick\n") == RunFolder(half.path)
    assert list(by_identity(tmp_path)) == ["a" * 64, "b" * 64]
