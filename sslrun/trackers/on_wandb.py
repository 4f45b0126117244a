"""Runs for Weights & Biases, offline unless WANDB_MODE says otherwise: `wandb sync` sends them when one wants to."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sslrun.runs.history import Row
from sslrun.runs.records import Status
from sslrun.trackers.told import Telling, Told, numbers, tracker

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Wandb:
    """A run of W&B with the same 16 digits. Told again it is another folder of the same run: sync one of them."""

    def __init__(self, told: Told, out: Path) -> None:
        import wandb

        out.mkdir(parents=True, exist_ok=True)
        self.run = wandb.init(
            project=told.project,
            name=told.name,
            id=told.folder.identity[:16],
            group=" · ".join(told.labels.values()) or None,
            config={**told.settings, **told.labels},
            dir=str(out),
            mode=os.environ.get("WANDB_MODE", "offline"),
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off", x_disable_stats=True, disable_git=True),
        )

    def tell(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self.run.log(numbers(row), step=row["epoch"])

    def picture(self, name: str, epoch: int, figure: "Figure") -> None:
        import wandb

        from sslrun.drawing import as_pixels

        self.run.log({name: wandb.Image(as_pixels(figure))}, step=epoch)

    def end(self, told: Told, status: Status) -> None:
        self.run.summary.update({**told.outcome(), "status": status.state.value, "verdict": status.verdict})
        self.run.finish()


@tracker("wandb", package="wandb")
def begin(told: Told, out: Path) -> Telling:
    """A run of W&B, in `<out>/wandb`."""
    return Wandb(told, out)
