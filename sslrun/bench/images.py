"""Views and styles in batches against the same made one picture at a time or as in the textbook; and images for it: a
recipe's own where they are there, else stand-ins of their shape.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from sslrun.bench.reference import as_pil_arrays, pil_view
from sslrun.bench.rows import Row
from sslrun.bench.timing import Settings, alternate
from sslrun.data import Dataset, open_dataset
from sslrun.data.images import ImageSet
from sslrun.errors import DataError, InputError
from sslrun.recipe.schema import Recipe
from sslrun.views import Views
from sslrun.views.style import standardize, standardize_textbook

BATCHES = 8  # an epoch's images, in batches: enough that gathering them is no cache hit
VIEW_BARS = {(96, 96): 3.3, (32, 32): 4.5, (128, 96): 2.0, (224, 224): 1.5}
"""On one core against PIL, by the side of stored images and of views."""
STYLE_BARS = {0.003: 10.0, 0.01: 10.0, 0.02: 10.0, 0.1: 5.0, 1.0: 2.0}
"""Area ratios that are measured, and what is asked of each on one core for images of `STYLE_SIZES`."""
STYLE_SIZES = (96, 224)
ERROR_BAR = 3e-5
"""The largest difference from the textbook form, images in [0, 1]."""
CHUNK = 16  # images at a time in float64, for the sake of memory


def stand_ins(n: int, channels: int, side: int) -> tuple[Tensor, Tensor]:
    """Random uint8 images (N, C, side, side), with the spectrum of photographs, roughly: the same contrast in every
    octave. And their labels, none."""
    generator = torch.Generator().manual_seed(0)
    total_NCHW = torch.zeros(n, channels, side, side)
    octave = 2
    while octave <= side:
        noise = torch.rand(n, channels, octave, octave, generator=generator) - 0.5
        total_NCHW += F.interpolate(noise, size=(side, side), mode="bilinear", align_corners=False)
        octave *= 2
    return (total_NCHW * 75 + 127.5).clamp_(0, 255).byte(), torch.full((n,), -1)


def recipe_images(data: Dataset, batch: int, *, own: bool) -> tuple[ImageSet, bool]:
    """Images of a data set, and whether they are its own: if these are wanted, and there.

    Of a set that is not in the cache yet only a part is decoded. Raises `InputError` for vectors.
    """
    section = data.section
    if section.HOLDS == "vectors":
        raise InputError("there are no images to measure on", where=f"data.kind: {section.kind}")
    if own:
        with suppress(DataError):
            if not data.decoded("pretrain"):
                few = min(BATCHES * batch, section.limit or BATCHES * batch)
                data = open_dataset(section.model_copy(update={"limit": few}), data.root)
            return data.images("pretrain"), True
    return ImageSet(*stand_ins(BATCHES * batch, data.shape[0], data.shape[-1])), False


def views_rows(recipe: Recipe, images: ImageSet, settings: Settings) -> list[Row]:
    """The recipe's views of a batch, drawing included."""
    batch_NCHW = images.images[: settings.batch]
    n, channels, _, stored = batch_NCHW.shape
    views = Views(recipe.views, channels=channels, stored=stored, channels_last=recipe.training.channels_last)
    pictures = as_pil_arrays(batch_NCHW)
    batch_NCHW = batch_NCHW.to(settings.device)
    draw = partial(views.draw, n, recipe.seed, 0)
    ours, pil = alternate(
        [lambda: views(batch_NCHW, draw()), lambda: [pil_view(pictures, draws, views) for draws in draw()]], settings
    )
    bar = VIEW_BARS.get((stored, views.size)) if settings.on_cpu else None
    what = f"{stored} → {views.size} px, {recipe.name} / PIL"
    return [Row("views", what, pil, ours, settings.clock, "views/s", units=views.count * n, bar=bar)]


def style_rows(recipe: Recipe, images: ImageSet, settings: Settings) -> list[Row]:
    """Batch styles standardization (BSS, arXiv 2303.06088) of a batch in the style of its first image, at all ratios,
    and how far it is from its textbook form, whose time hardly depends on the ratio: it is timed at the smallest."""
    x_NCHW = images.images[: settings.batch].to(settings.device).float() / 255
    barred = x_NCHW.shape[-1] in STYLE_SIZES
    contenders: list[Callable[[], Tensor]] = [partial(standardize, x_NCHW, ratio, 0) for ratio in STYLE_BARS]
    textbook, *taken = alternate([partial(standardize_textbook, x_NCHW, min(STYLE_BARS), 0), *contenders], settings)
    return [
        Row(
            "style",
            f"BSS {x_NCHW.shape[-1]} px, r = {ratio:g} / textbook",
            textbook,
            ours,
            settings.clock,
            "images/s",
            units=len(x_NCHW),
            bar=bar if barred and settings.on_cpu else None,
            error=largest_error(x_NCHW.cpu(), contender().cpu(), ratio),
            error_bar=ERROR_BAR if barred else None,
        )
        for (ratio, bar), contender, ours in zip(STYLE_BARS.items(), contenders, taken, strict=True)
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
