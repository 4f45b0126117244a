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
from sslrun.errors import InputError
from sslrun.files import replacing
from sslrun.recipe.schema import Recipe
from sslrun.views.pipeline import Views

LEAST_CELL = 192  # pixels to which small images are enlarged
GAP, HEADER = 8, 28


def preview_sheet(recipe: Recipe, images: ImageSet, path: Path, count: int = 8) -> None:
    """Write a PNG with `count` images, spread over the set, and the views they get in the first step.

    Raises `InputError` for vectors.
    """
    if images.images.ndim != 4:
        raise InputError("vectors can't be shown as pictures", where=f"data.kind: {recipe.data.kind}")
    row_N = torch.linspace(0, len(images.images) - 1, min(count, len(images.images))).long()
    images_NCHW = images.images[row_N]
    views = Views(recipe.views, channels=images_NCHW.shape[1], stored=images_NCHW.shape[3])
    columns = {"raw": images_NCHW.float() / 255}
    for number, x_NCSS in enumerate(views(images_NCHW, views.draw(len(images_NCHW), recipe.seed, 0)), start=1):
        columns[f"view {number}"] = views.unnormalized(x_NCSS)
    write_sheet(path, columns)


def write_sheet(path: Path, columns: Mapping[str, Tensor]) -> None:
    """Write a PNG whose columns are float images in [0, 1], (N, C, H, W) with 1 or 3 channels; sizes may differ.

    All are shown at one size, small ones as blocks. Raises `OSError` where the file can't be written.
    """
    cell = max(LEAST_CELL, *(max(x_NCHW.shape[2:]) for x_NCHW in columns.values()))
    rows = len(next(iter(columns.values())))
    size = (len(columns) * (cell + GAP) + GAP, rows * (cell + GAP) + HEADER)
    sheet = Image.new("RGB", size, "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=14)
    for column, (label, x_NCHW) in enumerate(columns.items()):
        left = GAP + column * (cell + GAP)
        pen.text((left + cell / 2, HEADER / 2), label, fill="black", anchor="mm", font=font)
        for row, x_CHW in enumerate(x_NCHW):
            sheet.paste(_picture(x_CHW, cell), (left, HEADER + row * (cell + GAP)))
    with replacing(path) as part:
        sheet.save(part, format="PNG")


def _picture(x_CHW: Tensor, cell: int) -> Image.Image:
    levels_HWC = (x_CHW.detach().clamp(0, 1) * 255).round().to(torch.uint8).cpu().expand(3, -1, -1).permute(1, 2, 0)
    picture = Image.fromarray(np.ascontiguousarray(levels_HWC.numpy()))
    scale = cell / max(picture.size)
    size = (round(picture.width * scale), round(picture.height * scale))
    return picture.resize(size, Image.Resampling.NEAREST if scale >= 2 else Image.Resampling.BICUBIC)
