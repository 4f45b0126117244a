"""Jobs and commands in forked processes: killed right before one of their file operations, or with other rights."""

import os
import sys
import traceback
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from sslrun.cli import main
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
    done = 0

    def operation(number: int) -> None:
        nonlocal done
        if number == kill_at:
            os._exit(number)
        done = number + 1

    code = 255
    try:
        before_each(operation)
        pretrain_job(recipe, places(recipe, results), fresh=fresh)
        code = done
    finally:
        os._exit(code)


def before_each(act: Callable[[int], None]) -> None:
    """Call `act` with its number right before each file operation of this process, from now on to its end."""
    numbers = count()

    def operation(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _CHANGES or (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
            act(next(numbers))

    sys.addaudithook(operation)


def on_its_own(prepare: Callable[[], None], *arguments: str | Path) -> int:
    """The exit code of a command in a forked process, in which `prepare` has first spoilt its streams."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 250
    try:
        prepare()
        sys.argv = ["sslrun", *map(str, arguments)]
        main()
        sys.stdout and sys.stdout.flush()  # as the interpreter does at its end
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)
