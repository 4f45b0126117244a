"""Styles and colours within the views: where they stand, what is shared by a view, and what they leave as it was."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from by_torchvision import FULL, colours, drawn, finish, geometry, pictures
from torch import Tensor

from sslrun.bench.reference import pil_view
from sslrun.errors import RecipeError
from sslrun.recipe import schema
from sslrun.views import ViewDraws, Views
from sslrun.views.style import standardize_textbook

BSS = schema.BatchStyle(kind="bss", ratio=(0.02, 0.6))
FA = schema.FourierStyle(kind="fa", ratio=(0.02, 0.6))
ORDERS = ("per_image_after", "per_image_before", "batch_wise_after")
BARE = schema.Views(jitter=None, greyscale=0.0, blur=None)


def recipe(base: schema.Views = FULL, **changes: Any) -> schema.Views:
    return base.model_copy(update=changes)


def draw(section: schema.Views, n: int = 50, seed: int = 7, step: int = 9, stored: int = 32) -> list[ViewDraws]:
    return Views(section, channels=3, stored=stored).draw(n, seed, step)


def textbook(x_NCHW: Tensor, draws: ViewDraws, section: schema.Views) -> Tensor:
    """The style of a view in float64: of one image, or of a partner each."""
    style, x_NCHW = section.style, x_NCHW.double()
    assert draws.style is not None
    if style.kind == "bss":
        ratio, reference = float(draws.style.ratio), int(draws.style.reference)
        return standardize_textbook(x_NCHW, ratio, reference, style.window, style.clamp)
    assert style.kind == "fa" and isinstance(draws.style.ratio, Tensor)
    styled = []
    for i, (ratio, reference) in enumerate(zip(draws.style.ratio.tolist(), draws.style.reference, strict=True)):
        pair = torch.stack([x_NCHW[i], x_NCHW[int(reference)]])
        styled.append(standardize_textbook(pair, ratio, 1, style.window, style.clamp)[0])
    return torch.stack(styled)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("style", [BSS, FA], ids=["bss", "fa"])
def test_styled_views_equal_single_operations_in_their_order(style: schema.Style, order: str) -> None:
    """Geometry, style, colours by torchvision; 96 px, so that the batch is worked on in several portions."""
    section = recipe(style=style, colours=order, solarize=None, size=96, greyscale=0.5)
    views, images = Views(section, channels=3, stored=110), pictures(40, 3, 110, smooth=True)
    draws = views.draw(40, seed=3, step=5)
    for x, one in zip(views(images, draws), draws, strict=True):
        expected = torch.stack([geometry(images[i], one, i) for i in range(40)])
        if order == "per_image_before":
            expected = torch.stack([colours(x, one, i) for i, x in enumerate(expected)])
        expected = textbook(expected, one, section).float()
        if order != "per_image_before":
            expected = torch.stack([colours(x, one, i) for i, x in enumerate(expected)])
        expected = torch.stack([finish(x, one, i, section) for i, x in enumerate(expected)])
        assert x.shape == (40, 3, 96, 96) and x.dtype == torch.float32 and x.is_contiguous()
        torch.testing.assert_close(x, expected, atol=2e-4, rtol=0)  # hue and 1/std enlarge the rounding


def test_solarisation_comes_after_the_style_in_any_order() -> None:
    """A threshold of 0 inverts, whatever came before."""
    sure = schema.Solarize(probability=(1.0, 1.0), threshold=0.0)
    images = pictures(12, 3, 32)
    for order in ORDERS:
        plain, inverted = (recipe(style=BSS, colours=order, normalize=None, solarize=part) for part in (None, sure))
        a, b = (Views(part, channels=3, stored=32) for part in (plain, inverted))
        for x, y in zip(a(images, a.draw(12, 0, 0)), b(images, b.draw(12, 0, 0)), strict=True):
            torch.testing.assert_close(y, (1 - x).where(x >= 0, x), atol=1e-6, rtol=0)


def test_switching_a_style_or_its_order_on_moves_nothing_else() -> None:
    before = drawn(draw(FULL)[1])
    for style in (BSS, FA):
        styled = drawn(draw(recipe(style=style))[1])
        assert {name for name in styled if name not in before} == {"style.reference", "style.ratio"}
        assert all(torch.equal(tensor, styled[name]) for name, tensor in before.items())
        for order in ORDERS[1:]:
            moved = drawn(draw(recipe(style=style, colours=order))[1])
            assert moved.keys() == styled.keys()
            for name, tensor in styled.items():
                shared = order == "batch_wise_after" and name.startswith(("jitter", "greyscale", "solarize"))
                assert shared or torch.equal(tensor, moved[name])


def test_styles_differ_between_views_steps_and_seeds() -> None:
    section = recipe(style=BSS, count=4)
    styles = [one.style for seed, step in ((0, 0), (0, 1), (1, 0)) for one in draw(section, 50, seed, step)]
    assert len({style.ratio for style in styles if style}) == 12
    assert len({style.reference for style in styles if style}) > 6
    assert [one.style for one in draw(section)] == [one.style for one in draw(section)]


def test_colours_once_a_view_are_the_same_for_all_its_images() -> None:
    """Two equal images stay equal within a view and differ between views; all that is drawn stays in its bounds."""
    section = recipe(crop=None, flip=0.0, blur=None, greyscale=0.3, colours="batch_wise_after", count=8)
    images = pictures(1, 3, 32).expand(6, -1, -1, -1).contiguous()
    views = Views(section, channels=3, stored=32)
    draws = [one for step in range(40) for one in views.draw(6, 0, step)]
    for one in draws:
        for name, tensor in drawn(one).items():
            assert name == "size." or bool((tensor == tensor[:1]).all())
    made = views(images, draws[:8])
    for x in made:
        assert torch.equal(x, x[:1].expand_as(x))
    assert not any(torch.equal(a[0], b[0]) for i, a in enumerate(made) for b in made[:i])

    jitters = [one.jitter for one in draws if one.jitter]
    turned = torch.tensor([int(one.turn_after_N[0]) for one in jitters])
    own = torch.stack([one.share_N33[0, :, 0] for one in jitters])
    assert float((turned < 4).float().mean()) == pytest.approx(0.8, abs=0.08)
    assert 0.6 <= float(own.min()) < 0.65 and 1.35 < float(own.max()) <= 1.4
    assert max(float(one.turn_N.abs().max()) for one in jitters) <= 0.1
    assert len({tuple(one.share_N33[0].count_nonzero(1).tolist()) for one in jitters}) > 2  # orders are drawn too
    grey = torch.tensor([bool(one.greyscale_N[0]) for one in draws if one.greyscale_N is not None])
    assert float(grey.float().mean()) == pytest.approx(0.3, abs=0.08)


@pytest.mark.parametrize("order", ORDERS)
def test_only_colours_for_each_image_after_the_style_break_it(order: str) -> None:
    section = recipe(
        style=BSS.model_copy(update={"clamp": False}), colours=order, blur=None, normalize=None, solarize=None
    )
    jittered = schema.Jitter(probability=1.0, contrast=0, saturation=0, hue=0, brightness=0.2)
    section = recipe(section, jitter=jittered, greyscale=0.0)
    views, images = Views(section, channels=3, stored=32), pictures(16, 3, 32, smooth=True) // 2 + 60  # in mid-tones
    for x in views(images, views.draw(16, 0, 0)):
        apart = x.mean((2, 3)).std(0).max()
        assert apart > 0.02 if order == "per_image_after" else apart < 1e-3


def test_the_style_is_computed_as_the_recipe_says() -> None:
    images = pictures(12, 3, 32)
    cropped = Views(BARE, channels=3, stored=32)(images, draw(BARE, 12))[0]

    def styled(**options: Any) -> Tensor:
        views = Views(recipe(BARE, style=BSS.model_copy(update=options)), channels=3, stored=32)
        return views(images, views.draw(12, 7, 9))[0]

    free = styled(clamp=False)
    assert free.min() < -0.1
    assert torch.equal(styled(), free.clamp(0, 1))
    assert torch.equal(styled(probability=0.0), cropped)
    assert not torch.equal(styled(window="area"), styled())


def test_channels_last_and_repetition_give_the_same_numbers() -> None:
    section, images = recipe(style=FA, colours="per_image_before"), pictures(12, 3, 40)
    contiguous, last = (Views(section, channels=3, stored=40, channels_last=flag) for flag in (False, True))
    before, draws = images.clone(), contiguous.draw(12, 0, 0)
    for a, b, again in zip(contiguous(images, draws), last(images, draws), contiguous(images, draws), strict=True):
        assert b.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(a, b) and torch.equal(a, again)
    assert torch.equal(images, before)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("style", [BSS, FA], ids=["bss", "fa"])
def test_the_pil_reference_makes_the_same_styled_views(style: schema.Style, order: str) -> None:
    section = schema.Views(style=style, colours=order, blur=schema.Blur(sigma=(0.5, 1.5)))
    views, images = Views(section, channels=3, stored=48), pictures(12, 3, 48, smooth=True)
    draws = views.draw(12, seed=0, step=0)
    for x, one in zip(views(images, draws), draws, strict=True):
        by_pil = pil_view(np.ascontiguousarray(images.permute(0, 2, 3, 1)), one, views)
        error = (x - torch.from_numpy(by_pil)).abs().mean()
        assert error < 0.02  # PIL rounds to 8 bits after each operation: noise that a style may enlarge


def test_small_views_follow_the_full_ones() -> None:
    small = schema.SmallViews(count=3, size=12, scale=(0.05, 0.3))
    section = recipe(count=2, small=small, style=BSS, size=24, blur=schema.Blur(probability=(1.0, 0.0)))
    views, images = Views(section, channels=3, stored=40), pictures(30, 3, 40)
    draws = views.draw(30, 0, 0)
    made = views(images, draws)
    assert views.count == 5
    assert [tuple(x.shape) for x in made] == [(30, 3, 24, 24)] * 2 + [(30, 3, 12, 12)] * 3
    for view, one in enumerate(draws):
        area = one.crop.height_N * one.crop.width_N / 40**2
        assert bool((area < 0.35).all()) == (view >= 2)
        assert one.blur is not None and bool(one.blur.chosen_N.all()) == (view == 0)
        expected = torch.stack([geometry(images[i], one, i) for i in range(30)])
        alone = Views(recipe(BARE, style=BSS), channels=3, stored=40)
        (x,) = alone(images, [replace(one, jitter=None, greyscale_N=None, blur=None, solarize_N=None)])
        torch.testing.assert_close(x, textbook(expected, one, section).float(), atol=2e-5, rtol=0)
    without = recipe(section, small=None)
    for a, b in zip(draw(without), draw(section), strict=False):
        assert all(torch.equal(tensor, drawn(b)[name]) for name, tensor in drawn(a).items())


def test_a_blur_must_fit_small_views_too() -> None:
    section = recipe(small=schema.SmallViews(count=1, size=8), blur=schema.Blur(kernel=17))
    with pytest.raises(RecipeError, match="17 taps don't fit views of 8 pixels"):
        Views(section, channels=3, stored=32)
    Views(recipe(section, small=None), channels=3, stored=32)
    with pytest.raises(ValueError, match="larger than the image"):
        schema.SmallViews(count=1, size=8, scale=(0.1, 1.5))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("style", [BSS, FA], ids=["bss", "fa"])
def test_cuda_makes_the_same_styled_views_without_waiting(style: schema.Style) -> None:
    section = recipe(style=style, colours="batch_wise_after", solarize=None)
    views, images = Views(section, channels=3, stored=64), pictures(16, 3, 64, smooth=True)
    on_gpu = images.cuda()
    views(on_gpu, views.draw(16, 0, 0))  # what is allocated and cached once
    torch.cuda.set_sync_debug_mode("error")
    try:
        made = views(on_gpu, views.draw(16, 0, 1))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for x, y in zip(made, views(images, views.draw(16, 0, 1)), strict=True):
        torch.testing.assert_close(x.cpu(), y, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    "style", [BARE.style, BSS, BSS.model_copy(update={"styles": 2}), FA], ids=["none", "bss", "two", "fa"]
)
def test_a_part_of_the_batch_looks_at_no_more_than_it_needs(style: schema.Style) -> None:
    views = Views(recipe(BARE, style=style, size=8), channels=3, stored=12)
    images_NCHW = torch.randint(256, (9, 3, 12, 12), dtype=torch.uint8)
    draws, needed = views.draw(9, 7, 9), views.needed(9, 7, 9, range(3, 6))
    assert needed >= {3, 4, 5} and (len(needed) < 9 or style.kind == "fa")
    spoiled_NCHW = 255 - images_NCHW
    spoiled_NCHW[sorted(needed)] = images_NCHW[sorted(needed)]
    parts = (views.part(images, draws, slice(3, 6)) for images in (images_NCHW, spoiled_NCHW))
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(*parts, strict=True))
