"""Runs as event files of TensorBoard: scalars, pictures, and its own table of hyperparameters (`HPARAMS`).

Written by tensorboardX, which needs neither TensorBoard nor TensorFlow.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sslrun.runs.history import Row
from sslrun.runs.records import Status
from sslrun.trackers.told import Telling, Told, numbers, tracker

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class TensorBoard:
    """One event file in `<out>/<run>/` instead of those of before. Steps are epochs, times those of the run."""

    def __init__(self, told: Told, out: Path) -> None:
        from tensorboardX import SummaryWriter

        folder = out / told.name
        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
        self.began = told.began
        self.writer = SummaryWriter(str(folder))

    def tell(self, rows: Sequence[Row]) -> None:
        for row in rows:
            for name, value in numbers(row).items():
                self.writer.add_scalar(_tag(name), value, row["epoch"], self.began + (row.get("seconds") or 0.0))
        self.writer.flush()

    def picture(self, name: str, epoch: int, figure: "Figure") -> None:
        from sslrun.drawing import as_pixels

        self.writer.add_image(name, np.ascontiguousarray(as_pixels(figure)), epoch, self.began, dataformats="HWC")

    def end(self, told: Told, status: Status) -> None:
        from tensorboardX.summary import hparams

        outcome = {f"final/{name}": value for name, value in told.outcome().items()}
        table = {**told.table, "verdict": status.verdict or status.state.value}
        for summary in hparams(table, outcome):
            self.writer.file_writer.add_summary(summary)
        for name, value in outcome.items():
            self.writer.add_scalar(name, value, status.epoch)
        self.writer.close()


def _tag(name: str) -> str:
    """TensorBoard puts what stands before a slash into one group."""
    first, dot, rest = name.partition(".")
    group = "training" if name in ("loss", "lr", "images_per_second", "memory_share", "seconds") else "signals"
    return f"{first}/{rest}" if dot else f"{group}/{name}"


@tracker("tensorboard", package="tensorboardX")
def begin(told: Told, out: Path) -> Telling:
    """The event file of a run."""
    return TensorBoard(told, out)
