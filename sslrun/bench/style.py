"""Batch styles standardization (BSS, arXiv 2303.06088) against its textbook form, and how far the two differ."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from sslrun.bench.rows import Row, clock_of, on_cpu
from sslrun.bench.timing import Settings, alternate
from sslrun.views.style import standardize, standardize_textbook

SIZES = (96, 224)
BARS = {0.003: 10.0, 0.01: 10.0, 0.02: 10.0, 0.1: 5.0, 1.0: 2.0}
"""Area ratios that are measured, and what is asked of each on one core for images of these sizes."""
ERROR_BAR = 3e-5
"""The largest difference from the textbook form, images in [0, 1]."""
CHUNK = 16  # images at a time in float64, for the sake of memory


def style_rows(images_NCHW: Tensor, settings: Settings) -> list[Row]:
    """All ratios on uint8 images, which all take the style of the first.

    The textbook form, whose time hardly depends on the ratio, is timed at the smallest.
    """
    x_NCHW = images_NCHW.to(settings.device).float() / 255
    barred = x_NCHW.shape[-1] in SIZES
    contenders = {ratio: partial(standardize, x_NCHW, ratio, 0) for ratio in BARS}
    calls: dict[str, Callable[[], object]] = {f"{ratio:g}": call for ratio, call in contenders.items()}
    taken = alternate({"textbook": partial(standardize_textbook, x_NCHW, min(BARS), 0), **calls}, settings)
    return [
        Row(
            "style",
            f"BSS {x_NCHW.shape[-1]} px, r = {ratio:g} / textbook",
            taken["textbook"],
            taken[f"{ratio:g}"],
            clock_of(settings),
            "images/s",
            units=len(x_NCHW),
            bar=on_cpu(settings, bar) if barred else None,
            error=largest_error(x_NCHW.cpu(), contenders[ratio]().cpu(), ratio),
            error_bar=ERROR_BAR if barred else None,
        )
        for ratio, bar in BARS.items()
    ]


def largest_error(x_NCHW: Tensor, styled_NCHW: Tensor, ratio: float) -> float:
    """The largest difference of `styled_NCHW` from the textbook form in float64.

    In float32 its own rounding would count as ours: a bin near zero has next to no phase.
    """
    first_1CHW = x_NCHW[:1].double()
    largest = 0.0
    for rows in range(0, len(x_NCHW), CHUNK):
        part = torch.cat((first_1CHW, x_NCHW[rows : rows + CHUNK].double()))
        exact_NCHW = standardize_textbook(part, ratio, 0)[1:]
        largest = max(largest, float((styled_NCHW[rows : rows + CHUNK] - exact_NCHW).abs().max()))
    return largest
