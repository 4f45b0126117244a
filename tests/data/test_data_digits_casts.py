"""Casts and lenses: a style that is amplitude and nothing else, so that one view's one amplitude undoes all of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sslrun.data.dataset import open_dataset
from sslrun.data.sets import digits
from sslrun.data.sets.digits_casts import cast
from sslrun.recipe.schema import DigitsCasts, DigitsLenses
from sslrun.views.style import standardize

VALUES, LABELS = digits.known()
VALUES = VALUES[::90]  # 20 of them
DOMAINS = np.arange(len(VALUES)) % 4
LENSES = pytest.mark.parametrize("lenses", [False, True])


def opened(lenses: bool, *held_out: Any) -> Any:
    kind = "digits_lenses" if lenses else "digits_casts"
    return open_dataset((DigitsLenses if lenses else DigitsCasts)(kind=kind, held_out=held_out), Path())  # type: ignore[arg-type]


def differences(images: torch.Tensor, styled: torch.Tensor, reference: int) -> torch.Tensor:
    """Of the styled images' amplitudes from the reference's, where an image has any amplitude, and so a phase."""
    own, new = torch.fft.rfft2(images).abs(), torch.fft.rfft2(styled).abs()
    has_phase = (own > 1e-9)[..., 1:-1]  # the outer columns mirror themselves
    assert has_phase.double().mean() > 0.9
    return (new - new[reference]).abs()[..., 1:-1][has_phase]


@LENSES
def test_no_value_is_clipped_and_every_domain_has_its_own_light(lenses: bool) -> None:
    images = torch.cat([opened(lenses, "plum").images(split).images for split in ("train", "validation", "test")])
    assert images.shape == (1797, 3, 16, 16)
    assert 10 < int(images.min()) < int(images.max()) < 245
    means = [opened(lenses, name).images("test").images.double().mean(dim=(0, 2, 3)) for name in DigitsCasts.DOMAINS]
    distances = torch.cdist(torch.stack(means), torch.stack(means))
    assert distances[~torch.eye(4, dtype=torch.bool)].min() > 20


@LENSES
def test_one_digit_under_any_light_becomes_one_image_when_amplitudes_are_made_equal(lenses: bool) -> None:
    """Exactly, before rounding to 8 bits: each image, and the same digit under another's light, among one view."""
    rolled = np.roll(DOMAINS, 1)
    own, other = cast(VALUES, DOMAINS, lenses), cast(VALUES, rolled, lenses)
    assert np.abs(own - other).max() > 0.1
    view = torch.from_numpy(np.concatenate([own, other]))
    styled = standardize(view, 1.0, 3, clamp=False)
    half = len(VALUES)
    has_phase = torch.fft.rfft2(view).abs()[:half] > 1e-9  # an amplitude of 0 has none
    apart = (torch.fft.rfft2(styled[:half]) - torch.fft.rfft2(styled[half:]))[has_phase]
    assert apart.abs().max() < 1e-6
    assert differences(view, styled, 3).max() < 1e-9


@LENSES
def test_after_rounding_to_8_bits_amplitudes_of_a_view_are_still_equal_up_to_it(lenses: bool) -> None:
    images = opened(lenses, "plum").images("train").images[:64].double() / 255
    styled = standardize(images, 1.0, 0, clamp=False)
    assert differences(images, styled, 0).max() < 1e-9
    unit = np.concatenate([cast(VALUES, DOMAINS, lenses), cast(VALUES, np.roll(DOMAINS, 1), lenses)])
    rounded = torch.from_numpy(np.rint(255 * unit) / 255)
    again = standardize(rounded, 1.0, 3, clamp=False)
    half = len(VALUES)
    apart = (again[:half] - again[half:]).std() / again.std()
    assert apart < 0.2  # 0.1 with casts: a phase whose amplitude is a few thousandths is rounding's own


@LENSES
def test_the_digit_is_seen_through_a_kernel_of_positive_transfer(lenses: bool) -> None:
    """Independently: in the plane of frequencies an image over its digit is real and positive, and 1 at the mean."""
    grey = torch.nn.functional.interpolate(torch.from_numpy(VALUES / 16)[:, None], (16, 16), mode="bilinear")
    image = torch.from_numpy(cast(VALUES, DOMAINS, lenses))
    digit, seen = torch.fft.fft2(grey), torch.fft.fft2(image)
    ratio = torch.where(digit.abs() > 1e-2, seen / digit, 0)[..., 1:, 1:]
    assert ratio.imag.abs().max() < 1e-9
    assert ratio.real.min() >= 0
    assert (ratio.real > 0).any(dim=(-2, -1)).all()
    channels = ratio.real[(ratio.real > 0).all(dim=1, keepdim=True).expand_as(ratio)].reshape(-1)
    assert channels.std() > 0.01  # the channels' blurs and gains differ
