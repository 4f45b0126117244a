"""The number of a step that is captured as a CUDA graph: there what follows a schedule must be read on the device.

`sslrun.training.capture` makes it; the target's momentum and the learning rates look for it.
"""

from torch import Tensor


class Iteration(int):
    """A step's number, and the same `on_device` (int64, no dimensions), where replays find another each time."""

    on_device: Tensor

    @classmethod
    def at(cls, number: int, on_device: Tensor) -> "Iteration":
        """The two together."""
        made = cls(number)
        made.on_device = on_device
        return made
