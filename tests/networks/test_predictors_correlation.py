"""F and the matrix set from it, against the formula in NumPy's float64; and what must hold for every F."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sslrun.errors import InputError
from sslrun.networks.predictors import CorrelationEstimate, build_predictor, predictor_from_correlation
from sslrun.networks.predictors.directset import Norm, directcopy_matrix, directset_matrix
from sslrun.recipe.schema import DirectPredictor

Array = NDArray[np.float64]


def correlation(d: int, rank: int, seed: int, decay: float = 0.0) -> Array:
    rng = np.random.default_rng(seed)
    q = np.linalg.qr(rng.normal(size=(d, d)))[0][:, :rank]
    s = rng.uniform(0.5, 2, rank) * np.exp(-decay * np.arange(rank))
    return np.asarray((q * s) @ q.T)


def formula(f: Array, exponent: float, epsilon: float, floor: float, inside: bool) -> Array:
    """The rule by singular values instead of eigenvalues: independent of the eigensolver."""
    u, s, _ = np.linalg.svd((f + f.T) / 2)
    v = np.where(s > len(f) * 1e-15 * s.max(), s, 0) / s.max()
    p = np.maximum(v + epsilon, floor) ** exponent if inside else np.maximum(v**exponent + epsilon, floor)
    return np.asarray((u * p) @ u.T)


OPTIONS = [
    (0.5, 0.1, 1e-4, False),
    (0.5, 0.0, 1e-4, False),
    (1.0, 0.3, 0.0, False),
    (0.25, -0.2, 1e-4, False),
    (0.5, 0.1, 1e-4, True),
    (0.5, -0.1, 1e-4, True),
    (2.0, 0.01, 1e-2, True),
]


@pytest.mark.parametrize(("exponent", "epsilon", "floor", "inside"), OPTIONS)
@pytest.mark.parametrize(("d", "rank", "decay"), [(1, 1, 0), (7, 7, 0.0), (64, 64, 0.1), (128, 128, 0.05)])
def test_full_rank(
    d: int, rank: int, decay: float, exponent: float, epsilon: float, floor: float, inside: bool
) -> None:
    f = correlation(d, rank, seed=d, decay=decay)
    w = predictor_from_correlation(torch.from_numpy(f), exponent, epsilon, floor, epsilon_inside=inside)
    np.testing.assert_allclose(w.numpy(), formula(f, exponent, epsilon, floor, inside), atol=1e-10)


@pytest.mark.parametrize(("exponent", "epsilon", "floor", "inside"), OPTIONS)
@pytest.mark.parametrize(("d", "rank"), [(7, 1), (64, 20), (128, 3)])
def test_rank_deficient(d: int, rank: int, exponent: float, epsilon: float, floor: float, inside: bool) -> None:
    f = correlation(d, rank, seed=rank)
    w = predictor_from_correlation(torch.from_numpy(f), exponent, epsilon, floor, epsilon_inside=inside)
    np.testing.assert_allclose(w.numpy(), formula(f, exponent, epsilon, floor, inside), atol=1e-7)


@pytest.mark.parametrize("epsilon", [0.1, 0.0, -0.3])
def test_all_zero(epsilon: float) -> None:
    w = predictor_from_correlation(torch.zeros(5, 5), epsilon=epsilon)
    torch.testing.assert_close(w, max(epsilon, 1e-4) * torch.eye(5))


def test_dtype_and_batches() -> None:
    f = torch.from_numpy(np.stack([correlation(6, 6, 1), correlation(6, 3, 2)]))
    w = predictor_from_correlation(f.float())
    assert w.dtype == torch.float32
    for one, both in zip(f, w, strict=True):
        np.testing.assert_allclose(both.numpy(), formula(one.numpy(), 0.5, 0.1, 1e-4, False), atol=1e-4)
    with pytest.raises(InputError, match="square"):
        predictor_from_correlation(torch.ones(3, 4))


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    d=st.integers(1, 12),
    rank=st.integers(1, 12),
    epsilon=st.floats(0, 0.5),
    scale=st.floats(-20, 20),
)
def test_range_and_scale_invariance(seed: int, d: int, rank: int, epsilon: float, scale: float) -> None:
    f = torch.from_numpy(correlation(d, min(rank, d), seed))
    w = predictor_from_correlation(f, epsilon=epsilon)
    assert torch.equal(w, w.T)
    p = torch.linalg.eigvalsh(w)
    assert p[0] >= max(epsilon, 1e-4) - 1e-12
    assert p[-1] <= 1 + epsilon + 1e-12
    np.testing.assert_allclose(predictor_from_correlation(f * 10**scale, epsilon=epsilon), w, atol=1e-6)


def views(step: int, n: int = 9, d: int = 4) -> tuple[Array, Array]:
    rng = np.random.default_rng([7, step])
    return rng.normal(1, 2, (n, d)), rng.normal(1, 2, (n, d))


def outer_mean(*z: Array) -> Array:
    """Mean over samples of z zᵀ, one outer product after another."""
    return np.asarray(np.mean([np.outer(row, row) for view in z for row in view], axis=0))


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.9])
def test_moving_average(rho: float) -> None:
    estimate, expected = CorrelationEstimate(rho), np.zeros((4, 4))
    for step in range(5):
        z1, z2 = views(step)
        expected = outer_mean(z1, z2) if step == 0 else rho * expected + (1 - rho) * outer_mean(z1, z2)
        estimate.update(torch.from_numpy(z1), torch.from_numpy(z2))
        np.testing.assert_allclose(estimate.value.numpy(), expected, rtol=1e-12)


def test_running_average_weighs_batches_alike() -> None:
    estimate, seen = CorrelationEstimate(None, center=True), []
    for step, n in enumerate([9, 2, 30, 5]):
        z1, z2 = views(step, n)
        seen.append((outer_mean(z1, z2), np.concatenate([z1, z2]).mean(0)))
        estimate.update(torch.from_numpy(z1), torch.from_numpy(z2))
        f, m = (np.mean(part, axis=0) for part in zip(*seen, strict=True))
        np.testing.assert_allclose(estimate.value.numpy(), f - np.outer(m, m), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("center", [True, False])
def test_after_a_reset_nothing_is_left(center: bool) -> None:
    used, fresh = (CorrelationEstimate(0.5, center=center) for _ in range(2))
    used.update(*map(torch.from_numpy, views(0)))
    used.reset()
    for estimate in (used, fresh):
        estimate.update(*map(torch.from_numpy, views(1)))
    assert torch.equal(used.value, fresh.value)


def test_estimate_is_independent_of_the_graph_and_of_bad_batches() -> None:
    estimate = CorrelationEstimate(0.3, dim=4)
    z1, z2 = (torch.from_numpy(z).float() for z in views(0))
    estimate.update(z1.requires_grad_(), z2)
    before = estimate.value.clone()
    assert before.dtype == torch.float32 and not before.requires_grad
    estimate.update(torch.full((9, 4), torch.inf), z2)
    assert torch.equal(estimate.value, before)
    with pytest.raises(InputError, match="no batch"):
        _ = CorrelationEstimate(0.3).value
    with pytest.raises(InputError, match="rho"):
        CorrelationEstimate(1.0)


def test_freq_and_lag() -> None:
    """W_p of iteration n knows batches up to n − 1, and only after iterations 0, freq, ... is it set."""
    predictor = build_predictor(
        DirectPredictor(kind="directpred", freq=3), 4, torch.Generator().manual_seed(1)
    ).double()
    f = np.zeros((4, 4))
    weight = next(predictor.parameters())
    for n in range(8):
        z1, z2 = views(n)
        f = outer_mean(z1, z2) if n == 0 else 0.3 * f + 0.7 * outer_mean(z1, z2)
        used = weight.detach().clone()
        predictor.observe([torch.from_numpy(z1), torch.from_numpy(z2)], [])
        assert torch.equal(weight, used)
        with torch.no_grad():
            weight += 0.01  # an optimiser's step
        trained = weight.detach().clone()
        predictor.after_step(n)
        if n % 3 == 0:
            np.testing.assert_allclose(weight.detach().numpy(), formula(f, 0.5, 0.1, 1e-4, False), atol=1e-10)
        else:
            assert torch.equal(weight, trained)


def test_rescaling_the_predictor_leaves_the_cosine_loss() -> None:
    z, t = (torch.from_numpy(view) for view in views(3))
    w = predictor_from_correlation(z.T @ z)
    loss, scaled = (torch.cosine_similarity(z @ (c * w), t).mean() for c in (1.0, 17.3))
    torch.testing.assert_close(loss, scaled, rtol=1e-12, atol=0)


@pytest.mark.parametrize("norm", ["spectral", "frobenius", "none"])
def test_directset_and_directcopy_of_no_correlation_are_epsilon_alone(norm: Norm) -> None:
    for matrix in (
        directcopy_matrix(torch.zeros(5, 5), 0.3, norm),
        directset_matrix(torch.zeros(5, 5), 0.5, 0.3, norm),
    ):
        assert torch.equal(matrix, 0.3 * torch.eye(5))
