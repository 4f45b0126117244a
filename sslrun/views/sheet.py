"""A picture for people: one image a row, and labelled columns, in groups where they show different things.

`preview.py` says what a recipe's sheet shows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from sslrun.files import replacing

LEAST_CELL = 192  # pixels to which small images are enlarged
GAP, HEADER, GROUP_GAP = 8, 28, 40
ACCENT = "#00C8FF"  # seen on pictures and on magma

Box = tuple[float, float, float, float]
"""Left, top, right and bottom as parts of a picture's sides."""


@dataclass(frozen=True)
class Column:
    """Float images in [0, 1], (N, C, H, W) with 1 or 3 channels; a note and a frame for each, or None."""

    x_NCHW: Tensor
    notes: Sequence[str | None] = ()
    frames: Sequence[Box | None] = ()


def write_sheet(path: Path, groups: Mapping[str, Mapping[str, Column]]) -> None:
    """Write a PNG of titled groups of labelled columns, all with the same number of images; sizes may differ.

    All are shown at one size, small ones as blocks. A single group needs no title: its own may be "". Raises `OSError`
    where the file can't be written.
    """
    columns = [column for group in groups.values() for column in group.values()]
    cell = max(LEAST_CELL, *(max(column.x_NCHW.shape[2:]) for column in columns))
    header = HEADER * (1 + any(groups))
    width = len(columns) * (cell + GAP) + GAP + (len(groups) - 1) * (GROUP_GAP - GAP)
    sheet = Image.new("RGB", (width, len(columns[0].x_NCHW) * (cell + GAP) + header), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=14)
    left = GAP
    for title, group in groups.items():
        pen.text((left, HEADER / 2), title, fill="black", anchor="lm", font=ImageFont.load_default(size=16))
        for label, column in group.items():
            pen.text((left + cell / 2, header - HEADER / 2), label, fill="black", anchor="mm", font=font)
            for row, x_CHW in enumerate(column.x_NCHW):
                corner = (left, header + row * (cell + GAP))
                sheet.paste(_picture(x_CHW, cell), corner)
                if column.frames:
                    _frame(pen, corner, cell, column.frames[row])
                if column.notes:
                    _note(pen, corner, cell, column.notes[row])
            left += cell + GAP
        left += GROUP_GAP - GAP
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        sheet.save(part, format="PNG")


def _picture(x_CHW: Tensor, cell: int) -> Image.Image:
    levels_HWC = (x_CHW.detach().clamp(0, 1) * 255).round().to(torch.uint8).cpu().expand(3, -1, -1).permute(1, 2, 0)
    picture = Image.fromarray(np.ascontiguousarray(levels_HWC.numpy()))
    scale = cell / max(picture.size)
    size = (round(picture.width * scale), round(picture.height * scale))
    return picture.resize(size, Image.Resampling.NEAREST if scale >= 2 else Image.Resampling.BICUBIC)


def _frame(pen: ImageDraw.ImageDraw, corner: tuple[int, int], cell: int, box: Box | None) -> None:
    if box is not None:
        x, y = corner
        left, top, right, bottom = (round(part * cell) for part in box)
        pen.rectangle((x + left, y + top, x + right - 1, y + bottom - 1), outline=ACCENT, width=2)


def _note(pen: ImageDraw.ImageDraw, corner: tuple[int, int], cell: int, text: str | None) -> None:
    """White on black in the lower left corner."""
    if text:
        place, font = (corner[0] + 6, corner[1] + cell - 6), ImageFont.load_default(size=12)
        left, top, right, bottom = pen.textbbox(place, text, anchor="lb", font=font)
        pen.rectangle((left - 4, top - 3, right + 4, bottom + 3), fill="black")
        pen.text(place, text, fill="white", anchor="lb", font=font)
