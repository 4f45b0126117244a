"""Where a run stands, from its folder alone: for the live table of a sweep, and for `sslrun status` from anywhere."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from sslrun.errors import InputError
from sslrun.runs.cells import CellName
from sslrun.runs.folder import RunFolder
from sslrun.runs.lease import Holder, holder

StandingState = Literal["queued", "running", "interrupted", "pruned", "done", "collapsed", "failed"]


@dataclass(frozen=True)
class Standing:
    """A run at this moment. Signals are the last epoch's; none before there is one."""

    state: StandingState
    """As in its status, except that a run without a live process is not `running` but `interrupted`."""
    holder: Holder | None
    epoch: int
    epochs: int | None
    loss: float | None
    std: float | None
    images_per_second: float | None
    seconds_left: float | None
    """Of training, at the mean pace of its epochs so far."""
    reason: str | None


def standing(folder: RunFolder) -> Standing:
    """Read it. Raises `InputError` for a folder without a readable status."""
    status, held_by = folder.status, holder(folder)
    try:
        row = folder.history.last() or {}
    except ValueError as error:
        raise InputError(f"damaged: {error}", where=str(folder.history.path)) from error
    epoch, state = row.get("epoch", 0), status.state
    pace = row["seconds"] / epoch if epoch and row.get("seconds") else None
    return Standing(
        state="running" if held_by else "interrupted" if state == "running" else state,
        holder=held_by,
        epoch=epoch,
        epochs=status.epochs,
        loss=row.get("loss"),
        std=row.get("std"),
        images_per_second=row.get("images_per_second"),
        seconds_left=pace * (status.epochs - epoch) if pace is not None and status.epochs else None,
        reason=status.reason,
    )


def cell_state(folder: RunFolder, state: str, reason: str | None, evaluations: Mapping[CellName, str]) -> str:
    """The state of a grid's cell whose run is in `state`: a finished run that lacks one of the cell's `evaluations`
    (identities by name) is not done, but at work, failed if it left a `reason`, or interrupted.
    """
    if state not in ("done", "collapsed"):
        return state
    if all(folder.evaluation_path(name, identity).exists() for name, identity in evaluations.items()):
        return state
    return "running" if holder(folder) else "failed" if reason else "interrupted"


def last_lines(folder: RunFolder, count: int) -> list[str]:
    """The last lines of a run's log; none without a log."""
    try:
        with folder.log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - 400 * count))
            return file.read().decode("utf-8", "replace").splitlines()[-count:]
    except FileNotFoundError:
        return []


def follow_log(folder: RunFolder) -> Iterator[str]:
    """What is written to a run's log from now on, as it comes, without end."""
    folder.log.touch()
    with folder.log.open(encoding="utf-8", errors="replace") as file:
        file.seek(0, 2)
        while True:
            if text := file.read():
                yield text
            else:
                time.sleep(0.5)
