"""Sinkhorn-Knopp against the authors' order of operations as a NumPy loop."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sslrun.methods.assignment import sinkhorn


def sinkhorn_by_loops(scores: NDArray[np.float64], epsilon: float, iterations: int) -> NDArray[np.float64]:
    q = np.exp(scores / epsilon)
    n, k = q.shape
    q /= q.sum()
    for _ in range(iterations):
        for prototype in range(k):
            q[:, prototype] /= k * q[:, prototype].sum()
        for sample in range(n):
            q[sample] /= n * q[sample].sum()
    result: NDArray[np.float64] = q * n
    return result


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(1, 12),
    k=st.integers(2, 9),
    epsilon=st.floats(0.05, 2),
    iterations=st.integers(1, 4),
)
def test_equals_the_plain_iteration_and_rows_sum_to_one(
    seed: int, n: int, k: int, epsilon: float, iterations: int
) -> None:
    scores = torch.rand(n, k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1
    q = sinkhorn(scores, epsilon, iterations)
    np.testing.assert_allclose(q.numpy(), sinkhorn_by_loops(scores.numpy(), epsilon, iterations), atol=1e-10)
    torch.testing.assert_close(q.sum(1), torch.ones(n, dtype=torch.float64))


def test_prototypes_come_to_be_used_equally() -> None:
    scores = torch.randn(40, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    scores[:, 0] += 2  # all samples are nearest to one prototype
    q = sinkhorn(scores, 0.5, 200)
    torch.testing.assert_close(q.sum(0), torch.full((8,), 5.0, dtype=torch.float64), atol=1e-6, rtol=0)


def test_an_epsilon_whose_exponentials_overflow_still_assigns() -> None:
    scores = torch.rand(10, 4, generator=torch.Generator().manual_seed(0))
    q = sinkhorn(scores, 1e-3, 3)
    exact = sinkhorn(scores.double(), 1e-3, 3)
    torch.testing.assert_close(q.double(), exact, atol=1e-3, rtol=0)
    torch.testing.assert_close(q.sum(1), torch.ones(10))


@pytest.mark.parametrize("grad", [True, False])
def test_leading_dimensions_are_assigned_each_on_its_own_and_without_gradient(grad: bool) -> None:
    scores = torch.randn(3, 6, 4, generator=torch.Generator().manual_seed(1)).requires_grad_(grad)
    q = sinkhorn(scores, 0.3, 2)
    assert not q.requires_grad
    for view in range(3):
        assert torch.equal(q[view], sinkhorn(scores[view], 0.3, 2))
