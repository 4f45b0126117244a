"""Gaussian blur: equal to torchvision's on single images."""

import pytest
import torch
from scipy import stats
from torchvision.transforms import functional as TF

from sslrun.views.blur import BlurDraws, draw_blur, gaussian_blur


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width", "kernel"), [(32, 32, 3), (33, 20, 9), (64, 64, 23), (5, 9, 9)])
def test_blur_equals_torchvision(channels: int, height: int, width: int, kernel: int) -> None:
    x = torch.rand(10, channels, height, width, generator=generator())
    before = x.clone()
    draws = draw_blur(10, 0.6, (0.1, 2.0), generator(2))
    ours = gaussian_blur(x, draws, kernel)
    assert torch.equal(x, before)
    assert 0 < int(draws.chosen_N.sum()) < 10
    for i in range(10):
        expected = (
            TF.gaussian_blur(x[i], [kernel, kernel], [float(draws.sigma_N[i])] * 2) if draws.chosen_N[i] else x[i]
        )
        torch.testing.assert_close(ours[i], expected, atol=2e-5, rtol=0)


def test_blur_of_everything_and_of_nothing() -> None:
    x = torch.rand(4, 3, 16, 16, generator=generator())
    sigma_N = torch.full((4,), 1.5)
    nothing = gaussian_blur(x, BlurDraws(torch.zeros(4, dtype=torch.bool), sigma_N), 9)
    everything = gaussian_blur(x, BlurDraws(torch.ones(4, dtype=torch.bool), sigma_N), 9)
    assert torch.equal(nothing, x)
    torch.testing.assert_close(everything, TF.gaussian_blur(x, [9, 9], [1.5, 1.5]), atol=2e-5, rtol=0)


def test_too_large_a_kernel_is_refused() -> None:
    draws = draw_blur(2, 1.0, (0.1, 2.0), generator())
    with pytest.raises(ValueError, match="at least 5 pixels"):
        gaussian_blur(torch.rand(2, 3, 4, 8, generator=generator()), draws, 9)


def test_sigma_is_uniform_and_the_probability_is_kept() -> None:
    draws = draw_blur(5000, 0.3, (0.1, 2.0), generator())
    assert stats.kstest(draws.sigma_N.numpy(), stats.uniform(0.1, 1.9).cdf).pvalue > 1e-3
    assert int(draws.chosen_N.sum()) == pytest.approx(1500, abs=4 * (5000 * 0.21) ** 0.5)
