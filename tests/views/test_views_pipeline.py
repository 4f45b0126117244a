"""Whole views: against torchvision on single images, against PIL, and what does and does not change the draws."""

import numpy as np
import pytest
import torch
from by_torchvision import FULL, NORMALIZE, colours, drawn, finish, geometry, pictures
from torchvision.transforms import functional as TF

from sslrun.bench.reference import pil_view
from sslrun.errors import RecipeError
from sslrun.recipe import schema
from sslrun.views import Views


@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize(
    ("channels", "stored", "size"),
    [(3, 32, None), (3, 96, None), (3, 128, 96), (3, 41, 27), (1, 16, None), (1, 28, 35)],
)
def test_views_equal_torchvision(channels: int, stored: int, size: int | None, smooth: bool) -> None:
    recipe = FULL.model_copy(update={"size": size})
    if channels == 1:
        recipe = recipe.model_copy(update={"normalize": schema.Normalize(mean=(0.5,), std=(0.3,))})
    views = Views(recipe, channels=channels, stored=stored)
    images = pictures(24, channels, stored, smooth)
    draws = views.draw(24, seed=3, step=5)
    # solarize jumps at its threshold: values that rounding may push to the other side of it are not compared
    unsolarized = [
        Views(recipe.model_copy(update={"solarize": None, "normalize": None}), channels=channels, stored=stored)
    ]
    before_jump = unsolarized[0](images, unsolarized[0].draw(24, seed=3, step=5))
    assert len(draws) == 2
    for x, view_draws, before in zip(views(images, draws), draws, before_jump, strict=True):
        assert x.shape == (24, channels, views.size, views.size) and x.dtype == torch.float32 and x.is_contiguous()
        cropped = [geometry(images[i], view_draws, i) for i in range(24)]
        expected = torch.stack(
            [finish(colours(x, view_draws, i), view_draws, i, recipe) for i, x in enumerate(cropped)]
        )
        compared = (before - 0.5).abs() > 2e-5
        assert compared.float().mean() > 0.99
        std = recipe.normalize.std[0] if recipe.normalize else 1
        torch.testing.assert_close(x[compared], expected[compared], atol=2e-5 / std, rtol=0)


def test_pil_reference_makes_the_same_views() -> None:
    recipe = schema.Views(blur=schema.Blur(sigma=(0.5, 1.5)))
    views = Views(recipe, channels=3, stored=64)
    images = pictures(16, 3, 64, smooth=True)
    draws = views.draw(16, seed=0, step=0)
    for x, view_draws in zip(views(images, draws), draws, strict=True):
        reference = pil_view(np.ascontiguousarray(images.permute(0, 2, 3, 1)), view_draws, views)
        error = (x - torch.from_numpy(reference)).abs()
        assert error.mean() < 0.01  # PIL rounds to 8 bits after each operation, and hue to 8 bits of a circle
        assert error.flatten(1).mean(1).max() < 0.03


def test_pil_reference_of_grey_images() -> None:
    views = Views(FULL.model_copy(update={"normalize": None, "solarize": None}), channels=1, stored=28)
    images = pictures(8, 1, 28, smooth=True)
    draws = views.draw(8, seed=0, step=0)[0]
    error = (views(images, [draws])[0] - torch.from_numpy(pil_view(images[:, 0].numpy(), draws, views))).abs()
    assert error.mean() < 0.01


def test_channels_last_gives_the_same_numbers() -> None:
    images = pictures(12, 3, 40)
    contiguous, last = (Views(FULL, channels=3, stored=40, channels_last=flag) for flag in (False, True))
    draws = contiguous.draw(12, 0, 0)
    for a, b in zip(contiguous(images, draws), last(images, draws), strict=True):
        assert b.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(a, b)
    assert last.plain(images).is_contiguous(memory_format=torch.channels_last)


def test_views_leave_the_images_alone_and_are_repeatable() -> None:
    images, views = pictures(20, 3, 32), Views(FULL.model_copy(update={"count": 3}), channels=3, stored=32)
    before, state = images.clone(), torch.get_rng_state()
    first, second = (views(images, views.draw(20, 1, 2)) for _ in range(2))
    assert len(first) == 3
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert torch.equal(images, before) and torch.equal(torch.get_rng_state(), state)


def test_an_image_gets_the_same_view_in_any_company() -> None:
    images, views = pictures(40, 3, 96), Views(FULL, channels=3, stored=96)
    draws = views.draw(40, 0, 0)[0]
    (together,) = views(images, [draws])
    for i in (0, 17, 39):
        (alone,) = views(images[i : i + 1], [draws.part(slice(i, i + 1))])
        torch.testing.assert_close(alone[0], together[i], atol=1e-5, rtol=0)


def test_switching_one_family_off_changes_no_other_draw() -> None:
    everything = drawn(Views(FULL, channels=3, stored=32).draw(50, 7, 9)[1])
    for family, off in (("blur", None), ("jitter", None), ("solarize", None), ("greyscale", 0.0), ("flip", 0.0)):
        without = drawn(Views(FULL.model_copy(update={family: off}), channels=3, stored=32).draw(50, 7, 9)[1])
        assert without.keys() == {name for name in everything if not name.startswith(family)}
        assert all(torch.equal(tensor, everything[name]) for name, tensor in without.items())


def test_draws_differ_between_seeds_steps_and_views() -> None:
    views = Views(FULL, channels=3, stored=32)
    tops = [draws.crop.top_N for seed, step in ((0, 0), (0, 1), (1, 0)) for draws in views.draw(64, seed, step)]
    assert not any(torch.equal(a, b) for i, a in enumerate(tops) for b in tops[:i])


def test_probabilities_are_those_of_the_view() -> None:
    recipe = FULL.model_copy(update={"count": 3, "blur": schema.Blur(probability=(1.0, 0.1)), "greyscale": 0.2})
    first, second, third = Views(recipe, channels=3, stored=32).draw(4000, 0, 0)
    rates = [(draws.blur.chosen_N.float().mean(), draws.solarize_N.float().mean()) for draws in (first, second, third)]
    expected = [(1.0, 0.3), (0.1, 0.6), (0.1, 0.6)]
    for rate, target in zip(rates, expected, strict=True):
        assert [float(value) for value in rate] == pytest.approx(target, abs=0.04)
    assert float(first.greyscale_N.float().mean()) == pytest.approx(0.2, abs=0.03)
    assert float(first.flip_N.float().mean()) == pytest.approx(0.5, abs=0.04)


def test_plain_images_are_resized_and_normalized() -> None:
    images = pictures(6, 3, 50)
    same = Views(FULL, channels=3, stored=50).plain(images)
    torch.testing.assert_close(same, TF.normalize(images / 255, NORMALIZE.mean, NORMALIZE.std), atol=2e-5, rtol=0)
    smaller = Views(schema.Views(size=32, normalize=NORMALIZE), channels=3, stored=50).plain(images)
    resized = TF.resize(images / 255, [32, 32], antialias=True)
    torch.testing.assert_close(smaller, TF.normalize(resized, NORMALIZE.mean, NORMALIZE.std), atol=1e-4, rtol=0)


def test_everything_off_gives_the_images() -> None:
    off = schema.Views(crop=None, flip=0.0, jitter=None, greyscale=0.0, blur=None)
    images = pictures(5, 1, 17)
    views = Views(off, channels=1, stored=17)
    for x in views(images, views.draw(5, 0, 0)):
        torch.testing.assert_close(x, images / 255, atol=1e-7, rtol=0)


def test_unnormalized_undoes_the_normalization() -> None:
    images = pictures(3, 3, 12)
    views = Views(schema.Views(normalize=NORMALIZE), channels=3, stored=12)
    torch.testing.assert_close(views.unnormalized(views.plain(images)), images / 255, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("recipe", "channels", "where"),
    [
        (schema.Views(blur=schema.Blur(kernel=65)), 3, "views.blur.kernel"),
        (schema.Views(normalize=NORMALIZE), 1, "views.normalize"),
    ],
)
def test_what_does_not_fit_the_images_is_refused(recipe: schema.Views, channels: int, where: str) -> None:
    with pytest.raises(RecipeError, match=where):
        Views(recipe, channels=channels, stored=32)
