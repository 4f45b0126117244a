"""Frozen features: order, chunks, evaluation mode, precision, and what happens with bad ones."""

import pytest
import torch
from torch import Tensor, nn

from sslrun.data.images import ImageSet
from sslrun.errors import InputError, RunFailed
from sslrun.evaluation import extract, pixels

CPU = torch.device("cpu")


def image_set(n: int, channels: int = 3, side: int = 8) -> ImageSet:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (n, channels, side, side), dtype=torch.uint8, generator=generator)
    return ImageSet(images, torch.arange(n) % 3, class_names=("a", "b", "c"))


def encoder() -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5)
        )
        network(torch.randn(16, 3, 8, 8))  # statistics away from their start
    return network


def normalised(x_NCHW: Tensor) -> Tensor:
    return (x_NCHW.float() / 255 - 0.4) / 0.3


def test_equals_the_encoder_in_evaluation_mode_one_image_at_a_time() -> None:
    network, images = encoder(), image_set(7)
    network.eval()
    with torch.no_grad():
        expected = torch.cat([network(normalised(image[None])) for image in images.images])
    network.train()
    h = extract(network, images, normalised, device=CPU)
    assert h.dtype == torch.float32
    assert not h.requires_grad
    torch.testing.assert_close(h, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 3, 7, 100])
@pytest.mark.parametrize("channels_last", [False, True])
def test_chunks_and_layout_do_not_matter(batch_size: int, channels_last: bool) -> None:
    whole = extract(encoder(), image_set(7), normalised, device=CPU)
    h = extract(encoder(), image_set(7), normalised, device=CPU, batch_size=batch_size, channels_last=channels_last)
    torch.testing.assert_close(h, whole, rtol=1e-5, atol=1e-6)


def test_beats_every_batch() -> None:
    beats: list[int] = []
    extract(encoder(), image_set(7), normalised, device=CPU, batch_size=3, beat=lambda: beats.append(1))
    assert len(beats) == 3


def test_leaves_modes_statistics_and_gradients_as_they_were() -> None:
    network = encoder()
    network[1].eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    extract(network, image_set(5), normalised, device=CPU)
    assert [module.training for module in network] == [True, False, True, True, True, True]
    assert network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in network.parameters())


def test_modes_return_after_an_error() -> None:
    network = encoder()
    with pytest.raises(RuntimeError):
        extract(network, image_set(2, channels=1), normalised, device=CPU)
    assert network.training


def test_bf16_gives_nearly_the_same_in_float32() -> None:
    exact = extract(encoder(), image_set(9), normalised, device=CPU)
    h = extract(encoder(), image_set(9), normalised, device=CPU, precision="bf16")
    assert h.dtype == torch.float32
    assert not torch.equal(h, exact)
    torch.testing.assert_close(h, exact, rtol=0.05, atol=0.02)


def test_features_that_are_not_finite_name_encoder_and_image() -> None:
    class Diverged(nn.Module):
        def forward(self, x_NCHW: Tensor) -> Tensor:
            h = x_NCHW.flatten(1).clone()
            h[-1, 0] = torch.nan
            return h

    with pytest.raises(RunFailed, match=r"Diverged.* 3 of 5 images, the first of them image 1"):
        extract(Diverged(), image_set(5), normalised, device=CPU, batch_size=2)


def test_no_images() -> None:
    with pytest.raises(InputError, match="no images"):
        extract(encoder(), image_set(3).subset(torch.arange(0)), normalised, device=CPU)


def test_pixels_are_flattened_to_unit_range() -> None:
    images = image_set(4)
    h = pixels(images)
    assert h.shape == (4, 192)
    torch.testing.assert_close(h[2].reshape(3, 8, 8), images.images[2] / 255)


@pytest.mark.parametrize("channels_last", [None, False, True])
def test_images_are_laid_out_as_asked_and_plainly_if_not_asked(channels_last: bool | None) -> None:
    network, seen = encoder(), []
    network[0].register_forward_pre_hook(
        lambda _, given: seen.append(given[0].is_contiguous(memory_format=torch.channels_last))
    )
    options = {} if channels_last is None else {"channels_last": channels_last}
    extract(network, image_set(7), normalised, device=CPU, **options)
    assert seen == [bool(channels_last)]
