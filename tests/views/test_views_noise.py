"""Views of vectors: the noise's size, its independence between views, and its stream."""

import torch

from sslrun.views.noise import NoiseViews


def test_noise_is_of_its_size_and_independent_between_views() -> None:
    views = NoiseViews(0.3, 6)
    x_ND = torch.randn(20_000, 6)
    first, second = (view - x_ND for view in views(x_ND, views.draw(20_000, 0, 0)))
    for noise in (first, second):
        covariance = noise.T @ noise / len(noise)
        torch.testing.assert_close(covariance, 0.09 * torch.eye(6), atol=0.004, rtol=0)
    assert (first.T @ second / len(first)).abs().max() < 0.004
    assert torch.equal(views.plain(x_ND), x_ND)


def test_noise_depends_on_seed_and_step_alone() -> None:
    views = NoiseViews(1.0, 3)
    draws = [views.draw(4, seed, step) for seed, step in ((0, 0), (0, 0), (0, 1), (1, 0))]
    assert all(torch.equal(a, b) for a, b in zip(draws[0], draws[1], strict=True))
    for other in draws[2:]:
        assert not any(torch.equal(a, b) for a, b in zip(draws[0], other, strict=True))


def test_more_views_leave_the_first_as_they_are() -> None:
    two, three = (NoiseViews(1.0, 3, count).draw(4, 0, 0) for count in (2, 3))
    assert len(two) == 2 and len(three) == 3
    assert all(torch.equal(a, b) for a, b in zip(two, three, strict=False))
    assert not torch.equal(three[1], three[2])
