"""A picture of what the views do: a sheet with one image a row, and a labelled column for each kind of view.

`preview_sheet` shows a recipe's views; `write_sheet` draws any columns. The views come from `pipeline.py`.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from sslrun.data.images import ImageSet
from sslrun.files import replacing
from sslrun.recipe.schema import Recipe
from sslrun.views.pipeline import Views

CELL = 160  # pixels to which small images are at least enlarged
GAP, HEADER = 8, 28


def preview_sheet(recipe: Recipe, images: ImageSet, path: Path, count: int = 8) -> None:
    """Write a PNG with `count` images, spread over the set, and the views they get in the first step."""
    row_N = torch.linspace(0, len(images.images) - 1, min(count, len(images.images))).long()
    images_NCHW = images.images[row_N]
    views = Views(recipe.views, channels=images_NCHW.shape[1], stored=images_NCHW.shape[3])
    columns = {"raw": images_NCHW.float() / 255}
    for number, x_NCSS in enumerate(views(images_NCHW, views.draw(len(images_NCHW), recipe.seed, 0)), start=1):
        columns[f"view {number}"] = views.unnormalized(x_NCSS)
    write_sheet(path, columns)


def write_sheet(path: Path, columns: Mapping[str, Tensor]) -> None:
    """Write a PNG whose columns are float images in [0, 1], (N, C, H, W) with 1 or 3 channels; sizes may differ.

    Small images are enlarged by a whole factor, without smoothing. Raises `OSError` where the file can't be written.
    """
    factors = {label: max(1, round(CELL / x_NCHW.shape[3])) for label, x_NCHW in columns.items()}
    widths = {label: x_NCHW.shape[3] * factors[label] for label, x_NCHW in columns.items()}
    row_height = max(x_NCHW.shape[2] * factors[label] for label, x_NCHW in columns.items())
    rows = len(next(iter(columns.values())))

    size = (sum(widths.values()) + GAP * (len(columns) + 1), HEADER + rows * (row_height + GAP))
    sheet = Image.new("RGB", size, "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=14)
    left = GAP
    for label, x_NCHW in columns.items():
        pen.text((left + widths[label] / 2, HEADER / 2), label, fill="black", anchor="mm", font=font)
        for row, x_CHW in enumerate(x_NCHW):
            picture = _picture(x_CHW)
            enlarged = (picture.width * factors[label], picture.height * factors[label])
            sheet.paste(picture.resize(enlarged, Image.Resampling.NEAREST), (left, HEADER + row * (row_height + GAP)))
        left += widths[label] + GAP
    with replacing(path) as part:
        sheet.save(part, format="PNG")


def _picture(x_CHW: Tensor) -> Image.Image:
    levels_HWC = (x_CHW.detach().clamp(0, 1) * 255).round().to(torch.uint8).cpu().expand(3, -1, -1).permute(1, 2, 0)
    return Image.fromarray(np.ascontiguousarray(levels_HWC.numpy()))
