"""A job in a process of its own that is killed right before one of its file operations."""

import os
import sys
from pathlib import Path
from typing import Any

from sslrun.jobs import places, pretrain_job
from sslrun.recipe.schema import Recipe

BASE = """\
data: {kind: gaussian, count: 64, dim: 4}
views: {noise: 0.3, crop: null, flip: 0, jitter: null, greyscale: 0, blur: null}
network: {backbone: {kind: linear, width: 4}, projector: {kind: none}}
method: {kind: byol, loss: squared, predictor: {kind: linear}}
training: {epochs: 2, batch_size: 32, keep_encoder_at: [1]}
evaluation: {knn: null, linear: null, baselines: []}
run: {device: cpu, threads: 1, checkpoint_minutes: 0}
"""
"""A recipe that is done in a moment, with a checkpoint after every step and one encoder kept on the way."""
_CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "os.utime", "os.truncate", "fcntl.flock"}


def operations(recipe: Recipe, results: Path, kill_at: int | None = None, *, fresh: bool = False) -> int:
    """Do the recipe's job; how many file operations that took. Killed right before operation `kill_at`, if given."""
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

    code = 255
    try:
        sys.addaudithook(operation)
        pretrain_job(recipe, places(recipe, results), fresh=fresh)
        code = count
    finally:
        os._exit(code)
