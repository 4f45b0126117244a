"""Training steps of some runs go wrong: of which is told by their momentum, so that the product knows nothing of it."""

import os
import signal
import time
from typing import Any

import torch

from sslrun.training.pretrain import Trainer

_step = Trainer.step


def _faulty(self: Trainer, images_NCHW: torch.Tensor, iteration: int) -> Any:
    momentum = self.updates.optimizers[0].param_groups[0]["momentum"]
    if momentum == 0.85:
        os.kill(os.getpid(), signal.SIGSEGV)  # while it is timed too
    if iteration >= 5:
        if momentum == 0.81:
            print("about to exit", flush=True)
            os._exit(7)
        if momentum == 0.82:
            time.sleep(1000)
        if momentum == 0.83:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        if momentum == 0.84:
            os.kill(os.getpid(), 9)
    return _step(self, images_NCHW, iteration)


def make_faulty() -> None:
    Trainer.step = _faulty  # type: ignore[method-assign]  # that is the point
