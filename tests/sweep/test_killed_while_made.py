"""A kill at any file operation while a run's folder is made leaves something that the next command takes up."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sslrun.grids import read_grid
from sslrun.jobs import places, pretrain_job
from sslrun.recipe.schema import Recipe
from sslrun.runs import load_runs

Start = Callable[..., "subprocess.Popen[str]"]

BASE = """\
data: {kind: gaussian, count: 64, dim: 4}
views: {noise: 0.3, crop: null, flip: 0, jitter: null, greyscale: 0, blur: null}
network: {backbone: {kind: linear, width: 4}, projector: {kind: none}}
method: {kind: byol, loss: squared, predictor: {kind: linear}}
training: {epochs: 1, batch_size: 32}
evaluation: {knn: null, linear: null, baselines: []}
run: {device: cpu, threads: 1}
"""
_CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "os.utime", "os.truncate", "fcntl.flock"}


def grid(folder: Path, seeds: int) -> Path:
    (folder / "base.yaml").write_text(BASE)
    (folder / "tiny.yaml").write_text(f"base: base.yaml\nseeds: {seeds}\naxes: {{rate: {{usual: {{}}}}}}\n")
    return folder / "tiny.yaml"


def operations(recipe: Recipe, results: Path, kill_at: int | None = None) -> int:
    """Make the recipe's run, up to its first step, in a process of its own; how many file operations that took.

    Killed right before operation `kill_at`, if given.
    """
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    count = 0

    def operation(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event in _CHANGES or (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
            if count == kill_at:
                os._exit(count)
            count += 1

    try:
        sys.addaudithook(operation)
        pretrain_job(recipe, places(recipe, results), watch=lambda _: os._exit(count))  # shown the untrained network
    finally:
        os._exit(255)


def test_what_a_kill_leaves_is_taken_up(tmp_path: Path, start: Start) -> None:
    (one,) = read_grid(grid(tmp_path, 1)).cells
    count = operations(one.recipe, tmp_path / "counted")
    assert 15 < count < 255
    swept, pretrained = tmp_path / "swept", tmp_path / "pretrained"
    recipes = [cell.recipe for cell in read_grid(grid(tmp_path, count)).cells]
    for number, recipe in enumerate(recipes):
        assert operations(recipe, swept, number) == number
    shutil.copytree(swept, pretrained)

    process = start(tmp_path / "tiny.yaml", swept)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    for recipe in recipes:
        folder, _ = pretrain_job(recipe, places(recipe, pretrained))
        assert folder.status.finished_well
    for results in (swept, pretrained):
        runs = load_runs(results)
        assert runs.attrs["left_out"] == []
        assert sorted(runs["seed"]) == list(range(count))
        assert set(runs["status"]) <= {"done", "collapsed"}
