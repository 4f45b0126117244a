"""NT-Xent against the standard loss and against its formula as loops; a step against a computation by hand."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from methods_by_hand import (
    assert_resumes_in_the_middle,
    forward,
    gradient_step,
    parameters,
    setup,
    updates_for,
    views,
)
from torch import Tensor
from torch.nn import functional as F

from sslrun.methods.simclr import SimCLR, nt_xent
from sslrun.recipe.schema import SimClr

Negatives = Literal["all", "anchor_view", "positive_view"]


def outputs(views: int, n: int = 6, seed: int = 0) -> Tensor:
    return torch.randn(views, n, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def nt_xent_by_loops(z_VND: Tensor, temperature: float, negatives: Negatives) -> float:
    z = z_VND.numpy() / np.linalg.norm(z_VND.numpy(), axis=2, keepdims=True)
    count, n, _ = z.shape
    total = 0.0
    for i in range(n):
        for v in range(count):
            for positive in set(range(count)) - {v}:
                columns = {"all": range(count), "anchor_view": [v], "positive_view": [positive]}[negatives]
                above = math.exp(z[v, i] @ z[positive, i] / temperature)
                below = sum(math.exp(z[v, i] @ z[u, j] / temperature) for j in range(n) if j != i for u in columns)
                total -= math.log(above / (above + below))
    return float(total / (n * count * (count - 1)))


def test_two_views_give_the_standard_loss() -> None:
    """SimCLR's own form: a cross-entropy of each of the 2N rows over the 2N − 1 others, its partner the right one."""
    z_VND = outputs(2)
    z = F.normalize(z_VND.flatten(0, 1), dim=1)
    scores = (z @ z.T / 0.3).fill_diagonal_(-torch.inf)
    partner = torch.arange(12).roll(6)
    torch.testing.assert_close(nt_xent(z_VND, 0.3), F.cross_entropy(scores, partner), atol=1e-12, rtol=0)


@pytest.mark.parametrize("negatives", ["all", "anchor_view", "positive_view"])
@pytest.mark.parametrize("count", [2, 3])
def test_any_number_of_views_and_each_choice_of_negatives_equal_the_double_sum(
    count: int, negatives: Negatives
) -> None:
    z_VND = outputs(count)
    expected = nt_xent_by_loops(z_VND, 0.2, negatives)
    assert nt_xent(z_VND, 0.2, negatives).item() == pytest.approx(expected, abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(
    order=st.integers(2, 5).flatmap(lambda count: st.permutations(range(count))),
    negatives=st.sampled_from(["all", "anchor_view", "positive_view"]),
    temperature=st.floats(0.05, 2),
)
def test_the_order_of_the_columns_does_not_matter(
    order: Sequence[int], negatives: Negatives, temperature: float
) -> None:
    z_VND = outputs(len(order))
    here, there = nt_xent(z_VND, temperature, negatives), nt_xent(z_VND[list(order)], temperature, negatives)
    torch.testing.assert_close(here, there, atol=1e-12, rtol=1e-12)


def simclr() -> SimCLR:
    return SimCLR(SimClr(kind="simclr", temperature=0.2), setup())


def test_six_steps_with_three_views_equal_the_computation_by_hand() -> None:
    method = simclr()
    weights = parameters(method.online)
    velocity: dict[str, Tensor] = {}
    batches, updates = views(4, count=3), updates_for(method)
    for n, batch in enumerate(batches):
        live = {name: value.clone().requires_grad_() for name, value in weights.items()}
        z = F.normalize(torch.cat([forward(live, x) for x in batch]), dim=1)
        scores = (z @ z.T / 0.2).exp()
        image = torch.arange(len(z)) % len(batch[0])
        below = (scores * (image[:, None] != image)).sum(1, keepdim=True)
        positive = (image[:, None] == image) & ~torch.eye(len(z), dtype=torch.bool)
        loss = -(scores / (scores + below)).log()[positive].mean()
        weights = gradient_step(loss, live, velocity)
        assert method.step(batch, n, updates).item() == pytest.approx(loss.item(), abs=1e-6)
    for name, value in parameters(method.online).items():
        torch.testing.assert_close(value, weights[name], atol=1e-6, rtol=0)


def test_a_resume_in_the_middle_gives_the_same_bits() -> None:
    assert_resumes_in_the_middle(simclr, views(4, count=3), at=3)


@pytest.mark.parametrize("views", [2, 3])
@pytest.mark.parametrize("negatives", ["all", "anchor_view", "positive_view"])
def test_the_loss_of_constant_outputs_is_as_its_section_says(views: int, negatives: Negatives) -> None:
    constant = torch.ones(views, 7, 4, dtype=torch.float64)
    section = SimClr(kind="simclr", negatives=negatives)
    assert float(nt_xent(constant, 0.2, negatives)) == pytest.approx(section.loss_of_constant_outputs(7, views))
