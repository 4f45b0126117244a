"""A kill at any file operation of a run leaves something that a sweep takes up; its other cells don't wait for that."""

import subprocess
from collections.abc import Callable
from pathlib import Path

from killed import BASE, operations

from sslrun.grids import read_grid
from sslrun.runs import load_runs
from sslrun.runs.folder import run_folders

Start = Callable[..., "subprocess.Popen[str]"]
_MAKING = 24
"""The first operations, which make a run's folder, are tried one by one, the many later ones now and then."""


def grid(folder: Path, seeds: int) -> Path:
    (folder / "base.yaml").write_text(BASE)
    (folder / "tiny.yaml").write_text(f"base: base.yaml\nseeds: {seeds}\naxes: {{rate: {{usual: {{}}}}}}\n")
    return folder / "tiny.yaml"


def test_what_a_kill_leaves_is_taken_up(tmp_path: Path, start: Start) -> None:
    (one,) = read_grid(grid(tmp_path, 1)).cells
    count = operations(one.recipe, tmp_path / "counted")
    assert 3 * _MAKING < count < 255
    killed_at = [*range(_MAKING), *range(_MAKING, count, 16)]
    cells = read_grid(grid(tmp_path, len(killed_at) + 1)).cells
    swept = tmp_path / "swept"
    for number, cell in zip(killed_at, cells, strict=False):
        assert operations(cell.recipe, swept, number) == number

    process = start(tmp_path / "tiny.yaml", swept)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    runs = load_runs(swept)
    assert runs.attrs["left_out"] == []
    assert sorted(runs["seed"]) == list(range(len(cells)))
    assert set(runs["status"]) <= {"done", "collapsed"}
    assert not [path for folder in run_folders(swept) for path in folder.path.glob(".*.part")]
