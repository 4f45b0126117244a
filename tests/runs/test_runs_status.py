"""`sslrun status`: what it says of runs that wait, run, are evaluated, have failed or can't be read."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from sslrun.errors import InputError
from sslrun.runs.folder import RunFolder, create
from sslrun.runs.lease import hold
from sslrun.runs.records import CellRecord, EvaluationRecord, GridRecord, State, Status
from sslrun.runs.status import Snapshot, overview, snapshot


def run(results: Path, digit: str, status: Status, **row: float | None) -> RunFolder:
    folder = create(results, "quick", digit * 64, "name: quick\n")
    folder.write_status(status)
    if row:
        folder.history.append({"epoch": 4, "loss": None, "std": 0.5, **row})
    return folder


def test_a_run_under_way_has_its_last_signals_and_the_time_that_is_left(tmp_path: Path) -> None:
    status = Status(State.RUNNING, epochs=10)
    folder = run(tmp_path, "a", status, loss=-3.25, std=0.875, images_per_second=1234.5, seconds=80.0)
    found = snapshot(folder)
    expected = Snapshot(State.INTERRUPTED, None, 4, 10, -3.25, 0.875, 1234.5, 120.0, None)
    assert found == expected
    assert found.words() == ("4/10", "-3.250", "0.88", "1,234")
    with hold(folder):
        held = snapshot(folder)
        assert held == replace(expected, state=State.RUNNING, holder=held.holder)
        assert held.holder is not None
        assert list(overview(tmp_path).lines()) == [
            f"{tmp_path}   1 run: 1 running",
            f"running       {folder.path.name}   epoch 4/10  loss -3.250  std 0.88  1,234 img/s  2m 00s left",
        ]


def test_what_is_not_known_yet_is_left_out(tmp_path: Path) -> None:
    new, first = (
        run(tmp_path, "a", Status(State.QUEUED)),
        run(tmp_path, "b", Status(State.RUNNING), epoch=0, seconds=3.0),
    )
    last = run(tmp_path, "c", Status(State.RUNNING, epochs=10), epoch=0, seconds=0.0)
    assert snapshot(new) == Snapshot(State.QUEUED, None, 0, None, None, None, None, None, None)
    assert snapshot(new).words() == ("", "", "", "")
    assert (snapshot(first).seconds_left, snapshot(last).seconds_left) == (None, None)
    assert (snapshot(first).words(), snapshot(last).words()) == (("", "", "0.50", ""), ("0/10", "", "0.50", ""))
    with hold(new), hold(first):
        lines = list(overview(tmp_path).lines())
    assert lines[1:] == [
        f"running       {new.path.name}   starting",
        f"running       {first.path.name}   starting  std 0.50",
    ]
    assert lines[0].endswith("3 runs: 2 running · 1 interrupted")


def test_a_failed_run_gives_its_reason_and_the_end_of_its_log(tmp_path: Path) -> None:
    failed = run(tmp_path, "a", Status(State.FAILED, reason="not finite\nsecond line"))
    told = "2026-01-01T00:00:00+00:00 not finite\n2026-01-01T00:00:00+00:00 second line\n"
    failed.log.write_text("".join(f"line {number}\n" for number in range(9)) + told)  # as a failing run ends
    retried = run(tmp_path, "b", Status(State.FAILED, reason="crashed", epochs=3), epoch=3, seconds=6.0)
    half_judged = run(tmp_path, "c", Status(State.DONE, reason="the probe ran out of memory"))
    run(tmp_path, "d", Status(State.DONE))
    with hold(retried):
        lines = list(overview(tmp_path).lines())
    assert lines == [
        f"{tmp_path}   4 runs: 2 done · 1 running · 1 failed",
        f"running       {retried.path.name}   epoch 3/3  std 0.50  0s left",
        f"failed        {failed.path.name}   not finite",
        "    second line",
        "    line 8",
        f"done          {half_judged.path.name}   the probe ran out of memory",
    ]


def test_what_cannot_be_read_is_named_and_the_rest_is_shown(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such results folder"):
        overview(tmp_path / "none")
    assert list(overview(tmp_path).lines()) == [f"no runs in {tmp_path}"]
    good, bad, worse = (run(tmp_path, digit, Status(State.QUEUED), seconds=1.0) for digit in "abc")
    (bad.path / "status.json").write_text("")
    worse.history.path.write_text("[1]\n")
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "table1.json").write_text("{}")
    (run(tmp_path, "d", Status(State.DONE)).path / "identity.json").unlink()
    found = overview(tmp_path)
    assert list(found.runs) == [good.path.name]
    names = ["status.json", "history.jsonl", "identity.json", "table1.json"]
    assert [Path(path).name for path, _ in found.left_out] == names
    lines = list(found.lines())
    assert lines[0].endswith("1 run: 1 queued")
    assert all(line.startswith("left out      ") for line in lines[1:]) and len(lines) == 5
    assert found.as_json() == {
        "grids": {},
        "runs": [{"run": good.path.name, "labels": "", **asdict(snapshot(good))}],
        "left_out": [list(pair) for pair in found.left_out],
    }


def test_a_run_is_counted_once(tmp_path: Path) -> None:
    judged, half = (run(tmp_path, digit, Status(State.DONE)) for digit in "ab")
    record = EvaluationRecord(kind="knn", identity="e" * 64, settings={}, metrics={})
    judged.write_evaluation(record)
    cells = [
        CellRecord(labels={}, seed=seed, identity=one.identity, evaluations={"knn": "e" * 64})
        for seed, one in enumerate((judged, half))
    ]
    GridRecord(grid="one", axes={}, cells=tuple(cells)).write(tmp_path)
    found = overview(tmp_path)
    assert list(found.lines()) == [
        "one   2 cells: 1 done · 1 unjudged",
        f"{tmp_path}   2 runs, all of these grids",
    ]
    assert found.runs[half.path.name].state == State.UNJUDGED
    run(tmp_path, "c", Status(State.DONE))
    assert list(overview(tmp_path).lines())[1] == f"{tmp_path}   3 runs, 1 of no grid: 1 done"
