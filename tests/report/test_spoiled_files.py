"""A power cut or a copy that stopped half-way: what is left of a run's files never ends a command with a traceback."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from synthetic_runs import make_run

from sslrun.errors import SslrunError
from sslrun.report.collecting import collect
from sslrun.report.compare import compare
from sslrun.report.document import as_json, build
from sslrun.runs.cleaning import removals
from sslrun.runs.folder import RunFolder
from sslrun.runs.records import CellRecord, GridRecord
from sslrun.runs.status import overview

SPOILED = ["[1]\n", "[" * 100_000 + "\n"]
COMMANDS: dict[str, Callable[[Path, list[RunFolder]], Any]] = {
    "status": lambda results, _: [*overview(results).lines(), json.dumps(overview(results).as_json())],
    "report": lambda results, _: json.dumps(as_json(build(collect(results)))),
    "clean": lambda results, _: removals(results, failed=True, checkpoints=True),
    "compare": lambda _, runs: compare(*runs),
    "history": lambda _, runs: runs[0].history.read(),
}


def test_what_is_left_of_a_file_is_told_or_passed_over_and_the_other_run_is_shown(tmp_path: Path) -> None:
    runs = [make_run(tmp_path, seed, epochs=2) for seed in (0, 1)]
    cells = [
        CellRecord(
            labels={"a": "x"},
            seed=seed,
            identity=run.identity,
            evaluations={record.kind: record.identity for record in run.evaluations()},
        )
        for seed, run in enumerate(runs)
    ]
    GridRecord(grid="small", axes={"a": ("x",)}, cells=tuple(cells)).write(tmp_path)
    grid = tmp_path / "sweeps" / "small.json"
    files = [path for path in runs[0].path.rglob("*") if path.is_file()]
    assert len(files) == 7
    for path in (*files, grid, runs[0].path / "lease.json"):
        whole = path.read_text() if path.exists() else ""
        for text in SPOILED:
            path.write_text(text)
            folders = [RunFolder(run.path) for run in runs]
            for name, command in COMMANDS.items():
                try:
                    with suppress(SslrunError):
                        command(tmp_path, folders)
                except Exception as error:
                    pytest.fail(f"{name} with {path.name} {text[:20]!r}: {error!r}")
            assert runs[1].path.name in overview(tmp_path).runs
        path.write_text(whole)
