"""Crops: each equals torchvision's on single images, and boxes are distributed as torchvision draws them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms import functional as TF

from sslrun.views.filtering import Filter, filter_columns, filter_rows
from sslrun.views.geometry import CropDraws, draw_crops, resized_crop, whole_images


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(n: int, channels: int, height: int, width: int) -> Tensor:
    return torch.randint(0, 256, (n, channels, height, width), dtype=torch.uint8, generator=generator(height * width))


def expected_crops(images: Tensor, crops: CropDraws, flip_N: Tensor, size: int) -> Tensor:
    views = []
    for i, image in enumerate(images.float() / 255):
        box = [int(edge[i]) for edge in (crops.top_N, crops.left_N, crops.height_N, crops.width_N)]
        view = TF.resized_crop(image, *box, [size, size], antialias=True)
        views.append(TF.hflip(view) if flip_N[i] else view)
    return torch.stack(views)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("height", "width", "size"),
    [
        (32, 32, 32),
        (33, 33, 17),
        (96, 96, 96),
        (128, 128, 96),
        (40, 57, 24),
        (16, 16, 31),
        (224, 224, 225),
        (90, 64, 8),
    ],
)
def test_crops_equal_torchvision(channels: int, height: int, width: int, size: int) -> None:
    images = pictures(9, channels, height, width)
    crops = draw_crops(9, height, width, (0.08, 1.0), (3 / 4, 4 / 3), generator(size))
    flip_N = torch.rand(9, generator=generator(1)) < 0.5
    x = resized_crop(images, crops, flip_N, size)
    assert x.dtype == torch.float32 and x.is_contiguous()
    torch.testing.assert_close(x, expected_crops(images, crops, flip_N, size), atol=2e-5, rtol=0)


@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(1, 60), st.integers(1, 60), st.integers(1, 40))
def test_any_box_equals_torchvision(data: st.DataObject, height: int, width: int, size: int) -> None:
    edges = []
    for side in (height, width):
        length = data.draw(st.integers(1, side))
        edges.append((data.draw(st.integers(0, side - length)), length))
    (top, box_height), (left, box_width) = edges
    crops = CropDraws(*(torch.tensor([value]) for value in (top, left, box_height, box_width)))
    images = pictures(1, 3, height, width)
    x = resized_crop(images, crops, None, size)
    torch.testing.assert_close(x, expected_crops(images, crops, torch.tensor([False]), size), atol=2e-5, rtol=0)


def test_many_images_and_large_ones_take_the_same_path() -> None:
    images = pictures(50, 3, 100, 100)
    crops = draw_crops(50, 100, 100, (0.08, 1.0), (3 / 4, 4 / 3), generator())
    alone = [resized_crop(images[i : i + 1], crops.part(slice(i, i + 1)), None, 96) for i in range(50)]
    torch.testing.assert_close(resized_crop(images, crops, None, 96), torch.cat(alone), atol=1e-6, rtol=0)


def test_whole_image_at_its_own_size_is_the_image() -> None:
    images = pictures(4, 3, 21, 21)
    mirrored = torch.tensor([True, False, True, False])
    x = resized_crop(images, whole_images(4, 21, 21), mirrored, 21)
    expected = torch.where(mirrored[:, None, None, None], images.flip(3), images) / 255
    torch.testing.assert_close(x, expected, atol=1e-7, rtol=0)


def test_float_images_are_taken_as_they_are() -> None:
    images = pictures(4, 3, 30, 30)
    crops = draw_crops(4, 30, 30, (0.2, 1.0), (3 / 4, 4 / 3), generator())
    from_bytes, from_floats = resized_crop(images, crops, None, 30), resized_crop(images / 255, crops, None, 30)
    torch.testing.assert_close(from_bytes, from_floats, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(96, 96), (40, 90)])
@pytest.mark.parametrize("scale", [(0.08, 1.0), (0.2, 0.6)])
def test_boxes_are_distributed_as_in_torchvision(height: int, width: int, scale: tuple[float, float]) -> None:
    n, ratio = 4000, (3 / 4, 4 / 3)
    crops = draw_crops(n, height, width, scale, ratio, generator())
    torch.manual_seed(0)
    image = torch.empty(1, height, width)
    theirs = torch.tensor([RandomResizedCrop.get_params(image, list(scale), list(ratio)) for _ in range(n)]).unbind(1)
    ours = (crops.top_N, crops.left_N, crops.height_N, crops.width_N)
    for our_edge, their_edge in zip(ours, theirs, strict=True):
        assert stats.ks_2samp(our_edge, their_edge).pvalue > 1e-3
    assert stats.ks_2samp(ours[2] * ours[3], theirs[2] * theirs[3]).pvalue > 1e-3
    assert stats.ks_2samp(ours[2] / ours[3], theirs[2] / theirs[3]).pvalue > 1e-3


@pytest.mark.parametrize(("height", "width"), [(20, 200), (200, 20), (50, 50)])
def test_fallback_is_the_largest_central_box(height: int, width: int) -> None:
    scale = (3.0, 4.0)  # never fits
    crops = draw_crops(3, height, width, scale, (3 / 4, 4 / 3), generator())
    expected = RandomResizedCrop.get_params(torch.empty(1, height, width), list(scale), [3 / 4, 4 / 3])
    ours = [edge.tolist() for edge in (crops.top_N, crops.left_N, crops.height_N, crops.width_N)]
    assert ours == [[edge] * 3 for edge in expected]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 80), st.integers(1, 80), st.integers(0, 1000))
def test_boxes_lie_within_the_image(height: int, width: int, seed: int) -> None:
    crops = draw_crops(64, height, width, (0.01, 1.0), (0.2, 5.0), generator(seed))
    assert (crops.top_N >= 0).all() and (crops.left_N >= 0).all()
    assert (crops.height_N > 0).all() and (crops.width_N > 0).all()
    assert (crops.top_N + crops.height_N <= height).all() and (crops.left_N + crops.width_N <= width).all()


def test_filters_are_products_with_sparse_matrices() -> None:
    x_NCHW = torch.rand(3, 2, 7, 5, generator=generator())
    for filter_axis, side, formula in ((filter_rows, 7, "nsh,nchw->ncsw"), (filter_columns, 5, "nsw,nchw->nchs")):
        index_NSK = torch.randint(0, side, (3, 9, 4), generator=generator(1))
        weight_NSK = torch.randn(3, 9, 4, generator=generator(2))
        dense = torch.zeros(3, 9, side, dtype=torch.float64).scatter_add_(2, index_NSK, weight_NSK.double())
        expected = torch.einsum(formula, dense, x_NCHW.double())
        torch.testing.assert_close(
            filter_axis(x_NCHW, Filter(index_NSK, weight_NSK)).double(), expected, atol=1e-6, rtol=0
        )
