"""Hundreds of runs of whose files one has been cut, emptied, zeroed or changed: no command ends with a traceback, and a
spoiled file costs its own row at most."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
from spoiling import files_of, spoilt
from synthetic_runs import make_run

from sslrun.errors import SslrunError
from sslrun.recipe import read_recipe
from sslrun.report import summary
from sslrun.report.collecting import collect
from sslrun.report.compare import compare
from sslrun.report.document import as_json, build
from sslrun.report.plots import plot_run
from sslrun.runs import load_runs
from sslrun.runs.cleaning import removals
from sslrun.runs.folder import RunFolder
from sslrun.runs.lease import hold
from sslrun.runs.records import CellRecord, GridRecord
from sslrun.runs.status import overview

RUNS, ROUNDS = 100, 4


def shown(folder: RunFolder) -> None:
    cells = folder.evaluations([])
    summary.as_json(folder, cells)
    summary.scores(cells, None)
    summary.unseen(cells, None)
    summary.closing(folder, cells, None)


def held(folder: RunFolder) -> None:
    with hold(folder):
        pass


Reader = Callable[[RunFolder, RunFolder], Any]
OF_ONE: dict[str, Reader] = {
    "shown": lambda folder, _: shown(folder),
    "logs": lambda folder, _: folder.last_lines(5),
    "held": lambda folder, _: held(folder),
}
SLOW: dict[str, Reader] = {"compared": compare, "plot": lambda folder, _: plot_run(folder)}
OF_ALL: dict[str, Callable[[Path], Any]] = {
    "status": lambda results: [*overview(results).lines(), json.dumps(overview(results).as_json())],
    "report": lambda results: json.dumps(as_json(build(collect(results, "small")))),
    "table": load_runs,
    "clean": lambda results: removals(results, failed=True, checkpoints=True),
}


@pytest.mark.parametrize("turn", range(ROUNDS))
def test_no_file_of_a_run_can_end_a_command_with_a_traceback(turn: int, tmp_path: Path) -> None:
    draw = Random(turn)
    runs = [make_run(tmp_path, seed, epochs=2) for seed in range(RUNS)]
    whole = make_run(tmp_path, RUNS, epochs=2)
    cells = [CellRecord(labels={"a": "x"}, seed=seed, identity=run.identity) for seed, run in enumerate([*runs, whole])]
    GridRecord(grid="small", axes={"a": ("x",)}, cells=tuple(cells)).write(tmp_path)
    spoiled: dict[str, tuple[str, bytes]] = {}
    for run in runs:
        (run.path / "lease.json").write_text(json.dumps({"pid": 1, "born": "2", "boot": "3", "host": "4"}))
        path = draw.choice(files_of(run.path))
        text = spoilt(path.read_bytes(), draw)
        path.write_bytes(text)
        spoiled[run.path.name] = path.name, text[:300]

    failures = []
    for name, reader in OF_ALL.items():
        try:
            reader(tmp_path)
        except Exception as error:
            failures.append((name, repr(error)))
    for number, run in enumerate(runs):
        readers = OF_ONE | (SLOW if number % 25 == turn % 25 else {})
        if spoiled[run.path.name][0] == "recipe.yaml":
            readers["read"] = lambda folder, _: read_recipe(folder.recipe)
        for name, reader_of_one in readers.items():
            try:
                with suppress(SslrunError):
                    reader_of_one(RunFolder(run.path), whole)
            except Exception as error:
                failures.append((name, repr(error), *spoiled[run.path.name]))
    assert failures == []
    seen = load_runs(tmp_path)
    lost = {Path(path).relative_to(tmp_path).parts[0] for path, _ in seen.attrs["left_out"]}
    assert {run.path.name for run in [*runs, whole]} == set(seen["folder"]) | lost
    assert whole.path.name in set(seen["folder"]) and whole.path.name in overview(tmp_path).runs
