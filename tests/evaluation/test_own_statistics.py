"""Batch norm with the statistics of the images at hand, against normalisation by hand."""

import pytest
import torch
from torch import Tensor, nn

from sslrun.evaluation.own_statistics import calibrated, has_batch_norm, with_statistics_of


def images(n: int, seed: int) -> Tensor:
    return torch.randint(256, (n, 3, 6, 6), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def network() -> nn.Sequential:
    """Two convolutions, each with a batch norm that has seen something else; a little trained, by chance."""
    torch.manual_seed(3)
    layers = nn.Sequential(
        nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.Conv2d(5, 4, 3), nn.BatchNorm2d(4), nn.Flatten()
    )
    for module in layers:
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.uniform_(module.bias, -1, 1)
    layers(3 + torch.randn(20, 3, 6, 6))
    return layers.eval()


def shares(x_NCHW: Tensor) -> Tensor:
    return x_NCHW.float() / 255


def by_hand(encoder: nn.Sequential, x_NCHW: Tensor) -> Tensor:
    """Every layer in turn; a batch norm takes the mean and variance (by N·H·W − 1) of what comes in."""
    for layer in encoder:
        if not isinstance(layer, nn.BatchNorm2d):
            x_NCHW = layer(x_NCHW)
            continue
        mean = x_NCHW.mean((0, 2, 3), keepdim=True)
        variance = x_NCHW.var((0, 2, 3), keepdim=True)
        scale, shift = (part[:, None, None] for part in (layer.weight, layer.bias))
        x_NCHW = (x_NCHW - mean) / (variance + layer.eps).sqrt() * scale + shift
    return x_NCHW


def test_one_batch_is_normalised_by_its_own_statistics() -> None:
    encoder, seen = network(), images(500, 0)
    kept = {name: value.clone() for name, value in encoder.state_dict().items()}
    with torch.no_grad():
        adapted = with_statistics_of(seen, encoder, shares, device=torch.device("cpu"))
        x_NCHW = shares(seen)
        torch.testing.assert_close(adapted(x_NCHW), by_hand(encoder, x_NCHW), atol=2e-3, rtol=0)  # N against N − 1
        assert float((encoder(x_NCHW) - by_hand(encoder, x_NCHW)).abs().mean()) > 0.1
    assert not adapted.training and not encoder.training
    assert all(torch.equal(value, kept[name]) for name, value in encoder.state_dict().items())
    assert has_batch_norm(encoder) and not has_batch_norm(nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2)))


def test_statistics_are_means_over_batches_of_one_size() -> None:
    encoder, seen = network(), images(90, 1)
    adapted = with_statistics_of(seen, encoder, shares, device=torch.device("cpu"), batch_size=40)
    first, found = encoder[0], adapted[1]
    assert isinstance(found, nn.BatchNorm2d) and found.running_mean is not None and found.running_var is not None
    with torch.no_grad():
        parts = [first(shares(seen[start : start + 30])) for start in (0, 30, 60)]
    torch.testing.assert_close(found.running_mean, torch.stack([part.mean((0, 2, 3)) for part in parts]).mean(0))
    torch.testing.assert_close(found.running_var, torch.stack([part.var((0, 2, 3)) for part in parts]).mean(0))
    assert found.momentum == pytest.approx(0.1)


def test_an_untrained_encoder_gets_the_statistics_of_images_spread_over_the_set_in_any_order() -> None:
    encoder, seen = network(), images(3000, 2)
    seen[:1500] //= 4  # as if sorted by class: dark ones first
    first, found = encoder[0], calibrated(encoder, seen, shares, device=torch.device("cpu"))[1]
    shown = seen[torch.linspace(0, 2999, 1024).round().long()]
    with torch.no_grad():
        parts = [first(shares(shown[start::4])) for start in range(4)]
    torch.testing.assert_close(found.running_mean, torch.stack([part.mean((0, 2, 3)) for part in parts]).mean(0))
    torch.testing.assert_close(found.running_var, torch.stack([part.var((0, 2, 3)) for part in parts]).mean(0))
    assert torch.equal(encoder[1].running_mean, network()[1].running_mean)


def test_without_batch_norm_there_is_nothing_to_calibrate() -> None:
    encoder = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4))
    assert calibrated(encoder, images(10, 0), shares, device=torch.device("cpu")) is encoder
