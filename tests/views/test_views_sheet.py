"""Sheets: what stands where, that pictures are enlarged without a change, and what a preview shows of a style."""

from pathlib import Path

import numpy as np
import pytest
import torch
from by_torchvision import pictures
from numpy.typing import NDArray
from PIL import Image

from sslrun.data.images import ImageSet
from sslrun.errors import InputError
from sslrun.recipe import read_recipe
from sslrun.seeds import stream_seed
from sslrun.views.preview import preview_sheet, spread
from sslrun.views.sheet import ACCENT, Column, write_sheet
from sslrun.views.style import draw_style, standardize_textbook

COLOUR = [int(ACCENT[i : i + 2], 16) for i in (1, 3, 5)]


def levels(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as sheet:
        return np.asarray(sheet)


def test_a_sheet_is_a_readable_picture(tmp_path: Path) -> None:
    x = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    columns = {"raw": Column(x), "view": Column(x.expand(-1, 3, -1, -1))}
    write_sheet(tmp_path / "sheet.png", {"": columns})
    sheet = levels(tmp_path / "sheet.png")
    assert sheet.shape == (2 * 200 + 28, 2 * 200 + 8, 3)
    enlarged = (x[0, 0] * 255).round().repeat_interleave(24, 0).repeat_interleave(24, 1)
    assert np.array_equal(sheet[28:220, 8:200, 0], enlarged.numpy())


def test_groups_are_titled_and_apart_and_pictures_have_frames_and_notes(tmp_path: Path) -> None:
    x = torch.full((2, 3, 8, 8), 0.5)
    marked = Column(x, notes=["here", None], frames=[None, (0.25, 0.0, 0.75, 1.0)])
    write_sheet(tmp_path / "sheet.png", {"One": {"plain": Column(x)}, "Two": {"marked": marked}})
    sheet = levels(tmp_path / "sheet.png")
    assert sheet.shape == (2 * 200 + 56, 2 * 200 + 8 + 32, 3)
    first, second = sheet[56:248, 240:432], sheet[256:448, 240:432]
    assert (first[:150] == 128).all() and (first == 255).any() and (first == 0).any()  # the note, in a corner
    framed = (second == COLOUR).all(-1)
    assert framed[:, 48:50].all() and framed[:, 142:144].all() and framed[0, 48:144].all()
    assert not framed[:, :48].any() and not framed[2:-2, 50:142].any() and not framed[:, 144:].any()
    assert (sheet[:28, 8:60] < 128).any() and (sheet[:28, 240:300] < 128).any()  # the titles


def test_a_preview_shows_the_images_and_their_views(tmp_path: Path) -> None:
    recipe = read_recipe("quickstart")
    images = ImageSet(pictures(20, 1, 16), torch.full((20,), -1))
    preview_sheet(
        recipe, images.subset(torch.from_numpy(spread(images.labels.numpy(), count=5))), tmp_path / "sheet.png"
    )
    sheet = levels(tmp_path / "sheet.png")
    assert sheet.shape[:2] == (5 * 200 + 28, 3 * 200 + 8)
    assert np.array_equal(sheet[28:220:12, 8:200:12, 0], images.images[0, 0].numpy())


@pytest.mark.parametrize("kind", ["fa", "bss"])
def test_a_preview_of_a_style_shows_both_styles_and_their_amplitudes(tmp_path: Path, kind: str) -> None:
    recipe = read_recipe("quickstart", [f"views.style.kind={kind}", "views.style.ratio=[0.1, 0.2]"])
    images = ImageSet(pictures(4, 1, 16), torch.full((4,), -1))
    preview_sheet(recipe, images, tmp_path / "sheet.png")
    sheet = levels(tmp_path / "sheet.png")
    assert sheet.shape[:2] == (4 * 200 + 56, 11 * 200 + 8 + 2 * 32)
    left = 8 + 3 * 200 + 32 + 2 * 200  # BSS, one view
    generator = torch.Generator().manual_seed(stream_seed(recipe.seed, "style", 0, 0))
    drawn = draw_style("bss", 4, (0.1, 0.2), 1.0, generator)
    expected = standardize_textbook(images.images.double() / 255, float(drawn.ratio), int(drawn.reference))
    for row in range(4):
        shown = sheet[56 + 200 * row + 6 : 56 + 200 * row + 150 : 12, left + 6 : left + 192 : 12, 0]
        assert np.abs(shown / 255 - expected[row, 0, :12].numpy()).max() < 0.51 / 255
        framed = (sheet[56 + 200 * row, left : left + 192] == COLOUR).all()
        assert framed == (row == drawn.reference)  # the image that gives the style
    spectrum = sheet[56:248, left + 4 * 200 + 32 :][:, :192]
    rows, columns = np.nonzero((spectrum == COLOUR).all(-1))
    reach = int(16 * float(drawn.ratio) ** 0.5 / 2)
    edges = (12 * (8 - reach), 12 * (8 + reach + 1) - 1)  # the window, in cells of 12 pixels
    assert (rows.min(), rows.max()) == edges and (columns.min(), columns.max()) == edges
    assert spectrum[96:108, 96:108].sum() == spectrum.reshape(16, 12, 16, 12, 3).sum((1, 3, 4)).max()  # frequency zero


def test_vectors_have_no_preview(tmp_path: Path) -> None:
    vectors = ImageSet(torch.zeros(4, 7), torch.full((4,), -1))
    with pytest.raises(InputError, match="vectors"):
        preview_sheet(read_recipe("linear_theory"), vectors, tmp_path / "sheet.png")
