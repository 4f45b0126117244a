"""The learning rate as an array over iterations, computed before training starts and looked up in the step."""

import numpy as np
from numpy.typing import NDArray

from sslrun.recipe.schema import Schedule


def learning_rates(schedule: Schedule, steps_per_epoch: int, epochs: int) -> NDArray[np.float64]:
    """Factor of the peak learning rate at each of `steps_per_epoch * epochs` iterations, in [0, 1].

    Linear warm-up reaches 1 at its last iteration; the cosine then falls from 1 towards 0, which it would reach
    one iteration after the last.
    """
    steps = steps_per_epoch * epochs
    warmup = min(round(schedule.warmup_epochs * steps_per_epoch), steps)
    factors = np.ones(steps)
    factors[:warmup] = np.arange(1, warmup + 1) / max(warmup, 1)
    if schedule.kind == "cosine":
        progress = np.arange(steps - warmup) / max(steps - warmup, 1)
        factors[warmup:] = (1 + np.cos(np.pi * progress)) / 2
    return factors
