"""Runs for Trackio, in its own local database (`<out>`, or TRACKIO_DIR): `trackio show` opens them."""

import os
from collections.abc import Sequence
from contextlib import redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from sslrun.runs.history import Row
from sslrun.runs.records import Status
from sslrun.trackers.told import Telling, Told, numbers, tracker

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Trackio:
    """A run of Trackio under the name of ours; what was told of it before goes."""

    def __init__(self, told: Told, out: Path) -> None:
        os.environ.setdefault("TRACKIO_DIR", str(out.resolve()))  # read where it is imported
        import trackio

        with redirect_stdout(StringIO()):
            with suppress(ValueError):  # there is no such project yet
                for before in trackio.Api().runs(told.project):
                    if before.name == told.name:
                        before.delete()
            self.run = trackio.init(
                project=told.project,
                name=told.name,
                group=" · ".join(told.labels.values()) or None,
                config={**told.settings, **told.labels},
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )

    def tell(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self.run.log(numbers(row), step=row["epoch"])

    def picture(self, name: str, epoch: int, figure: "Figure") -> None:
        import trackio

        from sslrun.drawing import as_pixels

        self.run.log({name: trackio.Image(as_pixels(figure))}, step=epoch)

    def end(self, told: Told, status: Status) -> None:
        outcome = {f"final.{name}": value for name, value in told.outcome().items()}
        self.run.log({**outcome, "verdict": status.verdict or status.state.value}, step=status.epoch)
        with redirect_stdout(StringIO()):
            self.run.finish()


@tracker("trackio", package="trackio")
def begin(told: Told, out: Path) -> Telling:
    """A run of Trackio."""
    return Trackio(told, out)
