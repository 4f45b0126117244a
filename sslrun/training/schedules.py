"""The learning rate as an array over iterations, computed before training starts and looked up in the step."""

import numpy as np
from numpy.typing import NDArray

from sslrun.recipe.schema import Optimizer, Schedule


def learning_rates(schedule: Schedule, steps_per_epoch: int, epochs: int) -> NDArray[np.float64]:
    """Factor of the peak learning rate at each of `steps_per_epoch * epochs` iterations, in [0, 1].

    Linear warm-up from `start` reaches 1 at its last iteration; the cosine then falls from 1 towards `end`, which it
    would reach one iteration after the last.
    """
    steps = steps_per_epoch * epochs
    warmup = min(round(schedule.warmup_epochs * steps_per_epoch), steps)
    factors = np.ones(steps)
    factors[:warmup] = schedule.start + (1 - schedule.start) * np.arange(1, warmup + 1) / max(warmup, 1)
    if schedule.kind == "cosine":
        factors[warmup:] = half_cosine(1.0, schedule.end, steps - warmup)
    return factors


def weight_decays(section: Optimizer, steps: int) -> NDArray[np.float64]:
    """The weight decay at each of `steps` iterations: constant, or from `weight_decay` towards `weight_decay_end`."""
    end = section.weight_decay if section.weight_decay_end is None else section.weight_decay_end
    return half_cosine(section.weight_decay, end, steps)


def half_cosine(start: float, end: float, steps: int) -> NDArray[np.float64]:
    """From `start`, at the first of `steps` iterations, towards `end`, which would be reached one after the last."""
    return end + (start - end) * (1 + np.cos(np.pi * np.arange(steps) / max(steps, 1))) / 2
