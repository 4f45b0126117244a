"""Hardness and the style gap against loops over anchors, positives and negatives."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sslrun.training.negatives import hardness, style_gap


def outputs(views: int, n: int, seed: int = 0) -> Tensor:
    return 3 * torch.randn(views, n, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def cosines(z_VND: Tensor) -> np.ndarray:
    z = z_VND.numpy() / np.linalg.norm(z_VND.numpy(), axis=2, keepdims=True)
    return np.asarray(np.einsum("vid,ujd->viuj", z, z))


@settings(max_examples=15, deadline=None)
@given(views=st.integers(2, 4), n=st.integers(2, 7), temperature=st.floats(0.05, 1), seed=st.integers(0, 1000))
def test_hardness_equals_loops_over_anchors_and_their_negatives(
    views: int, n: int, temperature: float, seed: int
) -> None:
    z_VND = outputs(views, n, seed)
    s = cosines(z_VND)
    own, other, upper, largest, mass = [], [], [], [], []
    for v in range(views):
        for i in range(n):
            negatives = {(u, j): s[v, i, u, j] for u in range(views) for j in range(n) if j != i}
            own += [value for (u, _), value in negatives.items() if u == v]
            other += [value for (u, _), value in negatives.items() if u != v]
            upper.append(np.percentile(list(negatives.values()), 95))
            largest.append(max(negatives.values()))
            below = sum(math.exp(value / temperature) for value in negatives.values())
            for positive in set(range(views)) - {v}:
                above = math.exp(s[v, i, positive, i] / temperature)
                mass.append(1 - above / (above + below))
    found = hardness(z_VND, temperature)
    expected = [np.mean(part) for part in (own, other, upper, largest, mass)]
    np.testing.assert_allclose([float(value) for value in found], expected, atol=1e-12)


@pytest.mark.parametrize("views", [1, 3])
def test_the_style_gap_equals_loops_over_negative_pairs_and_leaves_out_images_without_a_domain(views: int) -> None:
    z_VND, domains = outputs(views, 8), [0, 1, 1, -1, 2, 0, 1, -1]
    s = cosines(z_VND)
    same: list[float] = []
    different: list[float] = []
    for i, d in enumerate(domains):
        for j, e in enumerate(domains):
            if i != j and d >= 0 and e >= 0:
                (same if d == e else different).extend(s[:, i, :, j].ravel())
    gap = style_gap(z_VND, torch.tensor(domains))
    assert gap.item() == pytest.approx(np.mean(same) - np.mean(different), abs=1e-12)


def test_outputs_that_show_only_the_domain_have_a_gap_and_ones_that_ignore_it_none() -> None:
    domains = torch.arange(60) % 3
    styles = torch.eye(4, dtype=torch.float64)[domains].expand(2, -1, -1)
    assert style_gap(styles, domains).item() == pytest.approx(1)
    content = torch.eye(4, dtype=torch.float64)[torch.arange(60) // 3 % 4].expand(2, -1, -1)
    assert abs(style_gap(content, domains).item()) < 0.08  # an image is no negative of itself
    assert style_gap(styles, torch.zeros(60, dtype=torch.int64)).isnan()
