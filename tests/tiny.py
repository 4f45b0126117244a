"""The quickstart recipe made tiny, and a class folder: what tests that pretrain start from."""

from pathlib import Path

import numpy as np
from PIL import Image

SMALL = [
    "data.limit=256",
    "network.backbone.width=8",
    "network.projector={hidden: 32, out: 16}",
    "training={epochs: 2, batch_size: 64}",
    "evaluation.linear.decays=[0.01]",
    "run.threads=1",
    "run.device=cpu",
]


def small(*more: str) -> list[str]:
    """`--set` arguments that make the quickstart recipe a run of a second or two."""
    return [part for change in [*SMALL, *more] for part in ("--set", change)]


def class_folder(folder: Path, train: int = 8, val: int = 4) -> None:
    """Make `folder/{train,val}/{cat,dog}/N.png`: random pictures, so many a class."""
    rng = np.random.default_rng(0)
    for split, count in (("train", train), ("val", val)):
        for label in ("cat", "dog"):
            below = folder / split / label
            below.mkdir(parents=True)
            for at in range(count):
                Image.fromarray(rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)).save(below / f"{at}.png")
