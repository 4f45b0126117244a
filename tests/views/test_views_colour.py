"""Changes of colour: each equals torchvision's on single images, and draws are distributed as torchvision's."""

import colorsys
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor
from torchvision.transforms import ColorJitter
from torchvision.transforms import functional as TF

from sslrun.views.colour import (
    BRIGHTNESS,
    CONTRAST,
    HUE,
    SATURATION,
    adjust_hue,
    draw_jitter,
    grey,
    greyscale,
    jitter,
    jitter_draws,
    normalize,
    solarize,
)

ADJUST = {
    BRIGHTNESS: TF.adjust_brightness,
    CONTRAST: TF.adjust_contrast,
    SATURATION: TF.adjust_saturation,
    HUE: TF.adjust_hue,
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(n: int, channels: int, side: int) -> Tensor:
    """Noise, smooth images, and one that has no colour."""
    x = torch.rand(n, channels, side, side, generator=generator(side))
    smooth = torch.nn.functional.interpolate(x[:, :, :4, :4], size=side, mode="bilinear")
    x[n // 2 :] = smooth[n // 2 :]
    x[-1] = x[-1, :1]
    return x


def uniform(low: float, high: float, *shape: int, seed: int = 0) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator(seed))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [9, 32])
@pytest.mark.parametrize("kind", [BRIGHTNESS, CONTRAST, SATURATION, HUE])
def test_each_adjustment_equals_torchvision(kind: int, side: int, channels: int) -> None:
    x = pictures(12, channels, side)
    factor_N3, turn_N = torch.ones(12, 3), torch.zeros(12)
    amounts = uniform(-0.5, 0.5, 12) if kind == HUE else uniform(0, 2, 12)
    if kind == HUE:
        turn_N = amounts
    else:
        factor_N3[:, kind] = amounts
    order_N4 = torch.rand((12, 4), generator=generator(3)).argsort(dim=1)
    ours = jitter(x, jitter_draws(torch.ones(12, dtype=torch.bool), order_N4, factor_N3, turn_N))
    theirs = torch.stack([ADJUST[kind](image, float(amount)) for image, amount in zip(x, amounts, strict=True)])
    torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_jitter_in_every_order_equals_torchvision(channels: int) -> None:
    orders = torch.tensor(list(permutations(range(4))))
    n = len(orders)
    x, chosen_N = pictures(n, channels, 16), torch.arange(n) % 5 > 0
    factor_N3, turn_N = uniform(0.2, 1.8, n, 3), uniform(-0.4, 0.4, n, seed=1)
    before = x.clone()
    ours = jitter(x, jitter_draws(chosen_N, orders, factor_N3, turn_N))
    assert torch.equal(x, before)
    for i in range(n):
        expected = x[i]
        for kind in orders[i].tolist() if chosen_N[i] else []:
            expected = ADJUST[kind](expected, float(turn_N[i] if kind == HUE else factor_N3[i, kind]))
        torch.testing.assert_close(ours[i], expected, atol=2e-5, rtol=0)


@settings(max_examples=100, deadline=None)
@given(st.tuples(*[st.integers(0, 255)] * 3), st.floats(-0.5, 0.5, width=32))
def test_hue_turns_as_on_the_colour_circle(levels: tuple[int, int, int], turn: float) -> None:
    red, green, blue = (level / 255 for level in levels)
    hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
    expected = colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value)
    ours = adjust_hue(torch.tensor([red, green, blue]).view(1, 3, 1, 1), torch.tensor([turn]))
    assert ours.flatten().tolist() == pytest.approx(expected, abs=2e-5)


def test_greyscale_of_the_chosen_equals_torchvision() -> None:
    x = pictures(10, 3, 15)
    chosen_N = torch.arange(10) % 3 == 0
    ours = greyscale(x, chosen_N)
    for i in range(10):
        expected = TF.rgb_to_grayscale(x[i], num_output_channels=3) if chosen_N[i] else x[i]
        torch.testing.assert_close(ours[i], expected, atol=2e-5, rtol=0)


def test_images_with_one_channel_have_no_colour() -> None:
    x = pictures(6, 1, 8)
    everyone = torch.ones(6, dtype=torch.bool)
    assert torch.equal(greyscale(x, everyone), x)
    assert torch.equal(grey(x), x)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 1.0])
def test_solarize_equals_torchvision(channels: int, threshold: float) -> None:
    x = pictures(8, channels, 11)
    x[0, 0, 0, 0] = threshold  # the threshold itself is inverted
    chosen_N = torch.arange(8) % 2 == 0
    ours = solarize(x, chosen_N, threshold)
    for i in range(8):
        expected = TF.solarize(x[i], threshold) if chosen_N[i] else x[i]
        torch.testing.assert_close(ours[i], expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize(
    ("channels", "mean", "std"), [(3, (0.1, 0.2, 0.3), (0.2, 0.3, 0.4)), (3, (0.5,), (0.25,)), (1, (0.3,), (0.6,))]
)
def test_normalize_equals_torchvision(channels: int, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    x = pictures(4, channels, 7)
    ours = normalize(x, torch.tensor(mean), torch.tensor(std))
    torch.testing.assert_close(ours, TF.normalize(x, list(mean), list(std)), atol=2e-5, rtol=0)


def test_jitter_is_distributed_as_in_torchvision() -> None:
    n, strengths, hue = 4000, (0.4, 1.3, 0.2), 0.1
    draws = draw_jitter(n, 1.0, strengths, hue, generator())
    torch.manual_seed(0)
    theirs = ColorJitter(*strengths, hue)
    ranges = (theirs.brightness, theirs.contrast, theirs.saturation, theirs.hue)
    params = [ColorJitter.get_params(*ranges) for _ in range(n)]
    amounts = np.array([param[1:] for param in params], dtype=float)
    positions = np.array([int((param[0] == HUE).nonzero()) for param in params])

    own, contrast, saturation = draws.share_N33.unbind(2)
    brightness_factors = own[(contrast == 0) & (saturation == 0)]
    for kind, factors in enumerate((brightness_factors, own[contrast != 0], own[saturation != 0])):
        assert len(factors) == n
        assert stats.ks_2samp(factors, amounts[:, kind]).pvalue > 1e-3
    assert stats.ks_2samp(draws.turn_N, amounts[:, HUE]).pvalue > 1e-3
    counts = [np.bincount(positions, minlength=4), np.bincount(draws.turn_after_N, minlength=4)]
    assert stats.chi2_contingency(counts).pvalue > 1e-3


def test_all_orders_are_equally_likely_and_the_probability_is_kept() -> None:
    draws = draw_jitter(12_000, 0.7, (0.4, 0.4, 0.4), 0.1, generator())
    jittered_N = draws.turn_after_N < 4
    assert int(jittered_N.sum()) == pytest.approx(0.7 * 12_000, abs=4 * (12_000 * 0.21) ** 0.5)
    assert torch.equal(draws.share_N33[~jittered_N], torch.tensor([1.0, 0, 0]).expand(int((~jittered_N).sum()), 3, 3))
    _, contrast, saturation = draws.share_N33[jittered_N].unbind(2)
    contrast_place, saturation_place = contrast.abs().argmax(1), saturation.abs().argmax(1)
    orders = (draws.turn_after_N[jittered_N] * 9 + contrast_place * 3 + saturation_place).unique(return_counts=True)[1]
    assert len(orders) == 24
    assert stats.chisquare(orders).pvalue > 1e-3
