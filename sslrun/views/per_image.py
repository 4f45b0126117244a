"""Per-image parameters of the views: host tensors, drawn apart from the images they are applied to.

Every family of operations has its dataclass of draws (`CropDraws`, `JitterDraws`, ...). They stay on the host, so
that whatever decides the shape of the work (which rows, how many taps) is known there and no operation waits for
the device; only `on_device` carries a draw over. `fixed_shapes` turns that round. `pipeline.py` draws them.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Self

import torch
from torch import Tensor

CHUNK_VALUES = 450_000  # numbers that a CPU works on at a time: few enough for its cache, many enough for few calls

Rows = slice | list[int]

_FIXED = ContextVar("fixed", default=False)


@contextmanager
def fixed_shapes() -> Iterator[None]:
    """Within, draws lie where the images are, and no shape and no branch follows from them, as a CUDA graph needs.

    All images are changed and the chosen ones taken: the same views, up to the order of sums.
    """
    token = _FIXED.set(True)
    try:
        yield
    finally:
        _FIXED.reset(token)


def shapes_are_fixed() -> bool:
    """Whether this is within `fixed_shapes`."""
    return _FIXED.get()


class Draws:
    """Base of the dataclasses of draws: fields are host tensors with one row an image, other `Draws`, or what all
    images share: None or a number."""

    def part(self, rows: slice | Tensor) -> Self:
        """The draws of some of the images: a range of them, or an index vector."""

        def take(value: Tensor | Draws | float | None) -> Tensor | Draws | float | None:
            if isinstance(value, Draws):
                return value.part(rows)
            return value[rows] if isinstance(value, Tensor) else value

        return type(self)(**{name: take(value) for name, value in vars(self).items()})

    def each(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The same draws with every tensor changed, in a fixed order."""

        def changed(value: Tensor | Draws | float | None) -> Tensor | Draws | float | None:
            if isinstance(value, Draws):
                return value.each(change)
            return change(value) if isinstance(value, Tensor) else value

        return type(self)(**{name: changed(value) for name, value in vars(self).items()})


def on_device(draw: Tensor, device: torch.device) -> Tensor:
    """A small host tensor on `device`, copied without waiting for the device."""
    if draw.device == device:
        return draw
    if device.type == "cuda":
        return draw.pin_memory().to(device, non_blocking=True)
    return draw.to(device)


def uniform(shape: tuple[int, ...], bounds: tuple[float, float], generator: torch.Generator) -> Tensor:
    """Float64 numbers, uniform in `bounds`."""
    low, high = bounds
    return low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)


def chosen(n: int, probability: float, generator: torch.Generator) -> Tensor:
    """A boolean (n,) vector, true with `probability`."""
    return torch.rand(n, generator=generator, dtype=torch.float64) < probability


def change_chosen(x_NCHW: Tensor, chosen_N: Tensor, change: Callable[[Tensor, Rows], Tensor]) -> Tensor:
    """Replace the images `chosen_N` (bool) by `change(those images, which they are)`.

    Nothing is gathered where they lie side by side.
    """
    if shapes_are_fixed():
        return torch.where(chosen_N.view(-1, 1, 1, 1), change(x_NCHW, slice(None)), x_NCHW)
    rows = [row for row, is_chosen in enumerate(chosen_N.tolist()) if is_chosen]
    if not rows:
        return x_NCHW
    if len(rows) == len(x_NCHW):
        return change(x_NCHW, slice(None))
    first, end = rows[0], rows[-1] + 1
    if end - first == len(rows):
        changed = change(x_NCHW[first:end], slice(first, end))
        return torch.cat([x_NCHW[:first], changed, x_NCHW[end:]])
    place = on_device(torch.tensor(rows), x_NCHW.device)
    return x_NCHW.index_copy(0, place, change(x_NCHW.index_select(0, place), rows))


def cache_sized(n: int, values_per_image: int, device: torch.device) -> list[slice]:
    """Cut n images into equal parts that a CPU's cache holds; other devices take them in one."""
    parts = min(n, math.ceil(n * values_per_image / CHUNK_VALUES)) if device.type == "cpu" else 1
    return [slice(part * n // parts, (part + 1) * n // parts) for part in range(parts)]
