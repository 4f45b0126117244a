"""One cell exits hard, one hangs, one lacks memory, one is killed, one has NaN, one collapses: the rest goes on."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from faults import make_faulty

from sslrun.runs import load_runs

Start = Callable[..., "subprocess.Popen[str]"]

GRID = """\
base: base.yaml
axes:
  case:
    good: {}
    exits: {optimizer.network.momentum: 0.81}
    hangs: {optimizer.network.momentum: 0.82}
    memory: {optimizer.network.momentum: 0.83}
    killed: {optimizer.network.momentum: 0.84}
    nan: {optimizer.network.lr: 1.0e+30}
    collapses: {training.collapse.std: 2}
    fine: {optimizer.network.momentum: 0.7}
"""

REASONS = {
    "exits": ("crashed: exit code 7", 2),
    "hangs": ("hung: no heartbeat for", 2),
    "memory": ("out of memory: OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB.", 2),
    "killed": ("killed: signal 9 (killed)", 2),
    "nan": ("finite", 1),
}


def test_each_fault_costs_its_own_cell_and_is_named(
    tmp_path: Path, grid: Path, start: Start, sslrun: Callable[..., tuple[int, str, str]]
) -> None:
    path = grid.with_name("faulty.yaml")
    path.write_text(GRID)
    results = tmp_path / "results"
    process = start(path, results, "--hang-after", "6s", prepare=make_faulty)
    said, _ = process.communicate(timeout=250)
    assert process.returncode == 1, said
    assert "2 done · 1 complete collapse · 5 failed" in said, said
    assert "5 of 8 runs failed" in said

    sweep = json.loads((results / "sweeps" / "faulty.json").read_text())
    cases = {cell["identity"]: cell["labels"]["case"] for cell in sweep["cells"]}
    runs = load_runs(results)
    rows = {cases[row["identity"]]: row for row in runs.to_dict("records")}
    assert {case: row["status"] for case, row in rows.items()} == {
        "good": "done",
        "fine": "done",
        "collapses": "collapsed",
        **dict.fromkeys(REASONS, "failed"),
    }
    _, overview, _ = sslrun("status", results)
    assert "faulty   8 cells: 2 done · 1 complete collapse · 5 failed" in overview
    for case, (reason, tries) in REASONS.items():
        row = rows[case]
        assert reason in row["reason"], row["reason"]
        assert ("try 2 of 2" in row["reason"]) == (tries == 2)
        assert (results / row["folder"] / "log.txt").read_text().count("images, process") == tries
        assert any(row["folder"] in line and reason in line for line in overview.splitlines()), overview
    assert "about to exit" in overview  # the last lines of its log
    assert "alone on its device" in said

    plan = start(path, results, "--plan")
    said, _ = plan.communicate(timeout=100)
    assert "3 cached · 5 failed before   (--retry" in said and "nothing to do here" in said

    again = start(path, results, "--retry", "--only", "case=exits", "--only", "case=killed")
    said, _ = again.communicate(timeout=100)
    assert again.returncode == 0, said
    healed = {cases[row["identity"]]: row for row in load_runs(results).to_dict("records")}
    for case in ("exits", "killed"):
        assert healed[case]["status"] in ("done", "collapsed")
        assert not isinstance(healed[case]["reason"], str)
        assert healed[case]["knn"] > 0


def test_a_cell_whose_timing_dies_is_named_and_the_others_run(tmp_path: Path, grid: Path, start: Start) -> None:
    path = grid.with_name("dies.yaml")
    faulty = "dies: {optimizer.network.momentum: 0.85, training.batch_size: 32}"
    path.write_text(f"base: base.yaml\naxes:\n  case:\n    {faulty}\n    good: {{}}\n")
    process = start(path, tmp_path, prepare=make_faulty)
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 1, said
    assert "2 runs now" in said and "without 1 of unknown length" in said
    assert "without a time: case dies · seed 0 and its like. A few steps failed: signal 11 (segmentation fault)" in said
    assert "1 done · 1 failed" in said and "case dies · seed 0: crashed: signal 11" in said
