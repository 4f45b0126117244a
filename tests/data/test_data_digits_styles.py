"""Digits in styles: every digit in one style, the same bytes everywhere, and styles that differ as they say."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from sslrun.data.dataset import open_dataset
from sslrun.data.sets.digits_styles import draw
from sslrun.data.sets.drawn_digits import assign
from sslrun.recipe.schema import DigitsStyles

NAMES = ("chalk", "halftone", "ink", "neon")
TABLE = load_digits()
VALUES, LABELS = TABLE.images.astype(np.uint8), TABLE.target.astype(np.int64)


def strokes(values: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The digits enlarged by torch (N, 32, 32)."""
    planes = torch.from_numpy(values.astype(np.float64))[:, None]
    larger: NDArray[np.float64] = torch.nn.functional.interpolate(planes, (32, 32), mode="bilinear")[:, 0].numpy()
    return larger


def unit(planes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Planes (N, H, W) as centred vectors (N, HW) of length 1."""
    flat = planes.reshape(len(planes), -1)
    centred = flat - flat.mean(axis=1, keepdims=True)
    result: NDArray[np.float64] = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    return result


def test_styles_are_class_balanced_quarters_split_four_to_one() -> None:
    styles, validation = assign(LABELS, 4)
    assert DigitsStyles.DOMAINS == NAMES
    for label in range(10):
        quarters = np.bincount(styles[label == LABELS], minlength=4)
        assert quarters.max() - quarters.min() <= 1
        for style in range(4):
            held_out = validation[(label == LABELS) & (styles == style)]
            assert held_out.sum() == len(held_out) // 5


def test_every_digit_is_in_exactly_one_style_and_can_be_told_from_all_others(tmp_path: Path) -> None:
    (styles, _), candidates = assign(LABELS, 4), unit(strokes(VALUES))
    counted = 0
    for style, name in enumerate(NAMES):
        found = open_dataset(DigitsStyles(kind="digits_styles", held_out=(name,)), tmp_path).images("test")  # type: ignore[arg-type]
        own = np.flatnonzero(styles == style)
        assert np.array_equal(found.labels.numpy(), LABELS[own])
        assert set(found.domains.tolist() if found.domains is not None else ()) == {style}
        counted += len(found)
        grey = unit(found.images.double().mean(dim=1).numpy())
        if name != "neon":  # an outline is no multiple of its stroke
            likeness = np.abs(grey @ candidates.T).argmax(axis=1)
            assert np.mean(likeness == own) > 0.9
    assert counted == len(VALUES) == 1797


def test_the_bytes_are_the_same_whatever_is_held_out(tmp_path: Path) -> None:
    def images(split: Any, *held_out: Any) -> torch.Tensor:
        return open_dataset(DigitsStyles(kind="digits_styles", held_out=held_out), tmp_path).images(split).images

    ink = images("test", "ink")
    others = images("test", "chalk", "halftone", "neon")
    assert ink.shape[1:] == (3, 32, 32)
    sources = torch.cat([images("train", "ink"), images("validation", "ink")])
    assert {image.numpy().tobytes() for image in sources} == {image.numpy().tobytes() for image in others}
    assert list(tmp_path.iterdir()) == []


def test_styles_differ_in_colour_and_background_and_images_of_a_style_in_background() -> None:
    blank = np.zeros((40, 8, 8), np.uint8)
    means = []
    for style in range(4):
        images = draw(blank, np.full(40, style)).astype(float)
        means.append(images.mean(axis=(0, 2, 3)))
        spectrum = np.abs(np.fft.fft2(images - images.mean(axis=(2, 3), keepdims=True))) ** 2
        frequency = np.abs(np.fft.fftfreq(32, 1 / 32))
        low = spectrum[..., np.maximum(frequency[:, None], frequency) <= 4].sum()
        assert low / spectrum.sum() > 0.9
        assert images.mean(axis=(2, 3)).std(axis=0).max() > 2
    distances = np.linalg.norm(np.array(means)[:, None] - np.array(means), axis=-1)
    assert distances[~np.eye(4, dtype=bool)].min() > 30


@pytest.mark.parametrize(("name", "stated"), [("halftone", 0.88), ("ink", -0.91), ("neon", 0.26)])
def test_amplitude_alone_undoes_halftone_but_neither_ink_nor_neon(name: str, stated: float) -> None:
    chalk, other = (draw(VALUES, np.full(len(VALUES), NAMES.index(style))).mean(axis=1) for style in ("chalk", name))
    phase = np.exp(1j * np.angle(np.fft.fft2(other)))
    swapped = np.fft.ifft2(np.abs(np.fft.fft2(chalk)) * phase).real
    likeness = (unit(swapped) * unit(strokes(VALUES))).sum(axis=1).mean()
    assert likeness == pytest.approx(stated, abs=0.005)  # as the module's docstring has it
