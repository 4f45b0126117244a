"""What a recipe makes of images, as a sheet: its views, and what its style does.

With a style, the whole images are shown as they are, under FA and under BSS, and so are their amplitudes' logarithms:
the frame holds what is another image's, and what is outside is their own. `sheet.py` draws.
Shapes: N images, C channels, S pixels of a view.
"""

from pathlib import Path
from typing import Literal

import matplotlib
import numpy as np
import torch
from torch import Tensor

from sslrun.data.images import ImageSet
from sslrun.data.listing import Labels
from sslrun.errors import InputError
from sslrun.recipe import schema
from sslrun.seeds import stream_seed
from sslrun.views.pipeline import Views
from sslrun.views.sheet import Box, Column, write_sheet
from sslrun.views.spectrum import Window, window_of
from sslrun.views.style import StyleDraws, draw_style

FAINTEST = 0.02  # part of the raw images' amplitudes that is shown black
WHOLE: Box = (0, 0, 1, 1)


def spread(labels: Labels, domains: Labels | None = None, count: int = 8) -> Labels:
    """The rows of at most `count` images that a sheet shows: equally far apart in the set."""
    return np.linspace(0, len(labels) - 1, min(count, len(labels))).astype(np.int64)


def preview_sheet(recipe: schema.Recipe, images: ImageSet, path: Path) -> None:
    """Write a PNG with some images, the views that they get in the first step, and the style.

    They are the whole batch here, so a style is one of theirs. Raises `InputError` for vectors.
    """
    if images.images.ndim != 4:
        raise InputError("vectors can't be shown as pictures", where=f"data.kind: {recipe.data.kind}")
    images_NCHW = images.images
    views = Views(recipe.views, channels=images_NCHW.shape[1], stored=images_NCHW.shape[3])
    columns = {"raw": Column(images_NCHW.float() / 255)}
    for number, x_NCSS in enumerate(views(images_NCHW, views.draw(len(images_NCHW), recipe.seed, 0)), start=1):
        columns[f"view {number}"] = Column(views.unnormalized(x_NCSS))
    style = recipe.views.style
    if style.kind == "none":
        write_sheet(path, {"": columns})
    else:
        x_NCSS = views.unnormalized(views.plain(images_NCHW))
        groups = _style_groups(views, style, x_NCSS, recipe.seed, _titles(images))
        write_sheet(path, {"Views of the first step": columns} | groups)


def _titles(images: ImageSet) -> list[str]:
    """A number for each image, from 1, and its domain if it has one."""
    domains = [] if images.domains is None else images.domains.tolist()
    names = [f", {images.domain_names[domain]}" for domain in domains] or [""] * len(images)
    return [f"{number}{name}" for number, name in enumerate(names, start=1)]


def _style_groups(
    views: Views, style: schema.FourierStyle | schema.BatchStyle, x_NCSS: Tensor, seed: int, titles: list[str]
) -> dict[str, dict[str, Column]]:
    """Whole images as they are, with a style each (FA), with one style for all in two views (BSS); and amplitudes.
    `titles` stand below the images as they are."""
    n, size = len(x_NCSS), x_NCSS.shape[-1]
    pictures = {"raw": Column(x_NCSS, titles)}
    spectra = {"raw": Column(_amplitudes(x_NCSS, x_NCSS))}

    def draw(kind: Literal["fa", "bss"], view: int) -> StyleDraws:
        generator = torch.Generator().manual_seed(stream_seed(seed, "style", 0, view))
        return draw_style(kind, n, style.ratio, 1.0, generator)

    each, one = draw("fa", 0), draw("bss", 0)
    others = (draw("bss", view) for view in range(1, 100))
    other = next(draws for draws in others if draws.reference != one.reference or n == 1)
    for label, draws in (("FA", each), ("BSS, one view", one), ("BSS, another view", other)):
        styled_NCSS = views.styled(x_NCSS, draws)
        references, ratios = (torch.as_tensor(drawn).expand(n).tolist() for drawn in (draws.reference, draws.ratio))
        if draws is each:
            whose = ["its own" if j == i else f"style of {j + 1}" for i, j in enumerate(references)]
            styles = [f"{one}, r = {ratio:.2f}" for one, ratio in zip(whose, ratios, strict=True)]
            pictures[label] = Column(styled_NCSS, styles)
        else:
            gives = [i == references[0] for i in range(n)]
            notes = [f"gives the style, r = {ratios[0]:.2f}" if it_does else None for it_does in gives]
            pictures[label] = Column(styled_NCSS, notes, [WHOLE if it_does else None for it_does in gives])
        boxes = [_box(window_of((size, size), ratio, style.window), size) for ratio in ratios]
        spectra[label] = Column(_amplitudes(styled_NCSS, x_NCSS), frames=boxes)
    return {
        "The style alone, on whole images": pictures,
        "Logarithm of their amplitudes, frequency zero in the centre; another image's inside the frame": spectra,
    }


def _amplitudes(x_NCHW: Tensor, raw_NCHW: Tensor) -> Tensor:
    """Colours for the logarithms of amplitudes, mean over channels, (N, 3, H, W); `raw_NCHW` sets their scale."""
    x_NHW, raw_NHW = (torch.fft.fft2(x).abs().mean(dim=1).clamp_min(1e-6).log() for x in (x_NCHW, raw_NCHW))
    low, high = raw_NHW.quantile(FAINTEST), raw_NHW.max()
    levels = torch.fft.fftshift((x_NHW - low) / (high - low), dim=(1, 2)).clamp(0, 1)
    return torch.from_numpy(matplotlib.colormaps["magma"](levels.numpy())[..., :3]).permute(0, 3, 1, 2)


def _box(window: Window, size: int) -> Box | None:
    rows, columns = window
    if not rows or not columns:
        return None
    top, bottom, left, right = (
        (size // 2 + edge) / size for edge in (rows.start, rows.stop, columns.start, columns.stop)
    )
    return left, top, right, bottom
