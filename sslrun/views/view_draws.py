"""Everything that is drawn for one view of a batch: on the host, from seeded streams, one for each family.

So switching one family on, or drawing it once for all images, changes nothing in what the others draw. The families'
own draws stand in `geometry`, `style`, `colour` and `blur`; `pipeline.py` applies them all to images.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sslrun.recipe import schema
from sslrun.seeds import stream_seed
from sslrun.views.blur import BlurDraws, draw_blur
from sslrun.views.colour import JitterDraws, draw_jitter
from sslrun.views.geometry import CropDraws, draw_crops, whole_images
from sslrun.views.per_image import Draws, chosen
from sslrun.views.style import DeviceStyle, StyleDraws, draw_style


@dataclass(frozen=True)
class ViewDraws(Draws):
    """One view of N images, `size` pixels a side; what the recipe leaves out is None. Flags are boolean, shape (N,)."""

    size: int
    crop: CropDraws
    flip_N: Tensor | None
    style: StyleDraws | DeviceStyle | None
    jitter: JitterDraws | None
    greyscale_N: Tensor | None
    blur: BlurDraws | None
    solarize_N: Tensor | None


def draw_view(recipe: schema.Views, stored: int, n: int, seed: int, step: int, view: int) -> ViewDraws:
    """Draw view number `view` of `n` images of `stored` pixels a side; it depends on nothing but these arguments.

    With `colours: batch_wise_after` everything about colours is drawn once: whether, in which order and by what factors
    they are jittered, and whether they are removed or solarised. Crops, flips and blur are always each image's own.
    """

    def stream(family: str) -> torch.Generator:
        return torch.Generator().manual_seed(stream_seed(seed, f"views.{family}", step, view))

    later, once = min(view, 1), recipe.colours == "batch_wise_after"
    small = recipe.small if view >= recipe.count else None
    colour, blur, solar = recipe.jitter, recipe.blur, recipe.solarize
    row_N = torch.zeros(n, dtype=torch.int64) if once else torch.arange(n)  # whose colours each image takes
    colours = 1 if once else n
    jitters = None
    if colour:
        strengths = (colour.brightness, colour.contrast, colour.saturation)
        jitters = draw_jitter(colours, colour.probability, strengths, colour.hue, stream("jitter")).part(row_N)
    return ViewDraws(
        size=small.size if small else recipe.size or stored,
        crop=_draw_crops(recipe.crop, small, stored, n, stream("crop")),
        flip_N=chosen(n, recipe.flip, stream("flip")) if recipe.flip else None,
        style=_draw_style(recipe.style, n, seed, step, view),
        jitter=jitters,
        greyscale_N=chosen(colours, recipe.greyscale, stream("greyscale"))[row_N] if recipe.greyscale else None,
        blur=draw_blur(n, blur.probability[later], blur.sigma, stream("blur")) if blur else None,
        solarize_N=chosen(colours, solar.probability[later], stream("solarize"))[row_N] if solar else None,
    )


def part_of(draws: ViewDraws, rows: slice) -> tuple[Tensor, ViewDraws]:
    """Which images of a batch are needed for the view of some of its `rows`, and the draws of these images: the rows,
    in order, then the images outside whose styles they take.
    """
    kept_M = torch.arange(rows.start, rows.stop)
    if not isinstance(draws.style, StyleDraws):
        return kept_M, draws.part(kept_M)
    kept_M, style = draws.style.of(kept_M)
    return kept_M, replace(draws.part(kept_M), style=style)


def _draw_crops(
    crop: schema.Crop | None, small: schema.SmallViews | None, side: int, n: int, generator: torch.Generator
) -> CropDraws:
    if small:
        return draw_crops(n, side, side, small.scale, (crop or schema.Crop()).ratio, generator)
    return draw_crops(n, side, side, crop.scale, crop.ratio, generator) if crop else whole_images(n, side, side)


def _draw_style(style: schema.Style, n: int, seed: int, step: int, view: int) -> StyleDraws | None:
    if style.kind == "none":
        return None
    generator = torch.Generator().manual_seed(stream_seed(seed, "style", step, view))
    several = style.styles if isinstance(style, schema.BatchStyle) else 1
    return draw_style(style.kind, n, style.ratio, style.probability, generator, several)
