"""Each statistic against NumPy or brute force, on outputs with an offset, unequal modes and, where asked, collapse."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sslrun.errors import InputError
from sslrun.networks import statistics

Array = NDArray[np.float64]
RNG = np.random.default_rng(1)
Z: Array = RNG.normal(size=(23, 6)) * [3, 2, 1, 0.5, 0.1, 0.01] + [1, 0, 0, 2, 0, 0]
W: Array = RNG.normal(size=(6, 6))
F: Array = Z.T @ Z / 23


def t(x: Array) -> torch.Tensor:
    return torch.from_numpy(x)


def unit(z: Array) -> Array:
    return np.asarray(z / np.linalg.norm(z, axis=1, keepdims=True))


def test_normalized_std() -> None:
    expected = np.sqrt(6) * np.mean([np.sqrt(np.mean((c - c.mean()) ** 2)) for c in unit(Z).T])
    assert statistics.normalized_std(t(Z)).item() == pytest.approx(expected, rel=1e-12)
    spread = torch.randn(4000, 32, generator=torch.Generator().manual_seed(0))
    assert statistics.normalized_std(spread).item() == pytest.approx(1, abs=0.01)
    assert statistics.normalized_std(torch.tensor([[1.0, 2, 3], [10, 20, 30]])).item() == pytest.approx(0, abs=1e-7)


def test_mean_cosine() -> None:
    u = unit(Z)
    pairs = [u[i] @ u[j] for i in range(23) for j in range(23) if i != j]
    assert statistics.mean_cosine(t(Z)).item() == pytest.approx(np.mean(pairs), rel=1e-12)
    with pytest.raises(InputError, match="pairs"):
        statistics.mean_cosine(t(Z[:1]))


def test_correlation_covariance_and_spectrum() -> None:
    np.testing.assert_allclose(statistics.correlation(t(Z)), np.mean([np.outer(z, z) for z in Z], axis=0), rtol=1e-12)
    np.testing.assert_allclose(statistics.covariance(t(Z)), np.cov(Z.T, bias=True), atol=1e-14)
    np.testing.assert_allclose(statistics.spectrum(t(F)), np.linalg.svd(F)[1], rtol=1e-9)
    low = Z[:2].T @ Z[:2]
    s = statistics.spectrum(t(low).float())
    assert s.dtype == torch.float64 and (s >= 0).all() and (s.diff() <= 0).all()


def test_rank() -> None:
    s = np.linalg.svd(F)[1]
    q = s / s.sum()
    assert statistics.effective_rank(t(s)).item() == pytest.approx(np.exp(-(q * np.log(q)).sum()), rel=1e-12)


@settings(deadline=None, max_examples=30)
@given(
    k=st.integers(1, 9),
    zeros=st.integers(0, 5),
    scale=st.floats(-12, 12),
)
def test_rank_of_equal_modes_is_their_number(k: int, zeros: int, scale: float) -> None:
    s = torch.tensor([10**scale] * k + [0.0] * zeros)
    assert statistics.effective_rank(s).item() == pytest.approx(k, rel=1e-9)
    assert statistics.effective_rank(0 * s).item() == 0


def test_alignment() -> None:
    s, u = np.linalg.eigh(F)
    found = statistics.alignment(t(F), t(W))
    for j in range(6):
        u_j = u[:, 5 - j]
        np.testing.assert_allclose(found.s[j], s[5 - j], rtol=1e-9)
        np.testing.assert_allclose(found.p[j], u_j @ W @ u_j, rtol=1e-9)
        np.testing.assert_allclose(found.a[j], u_j @ W @ u_j / np.linalg.norm(W @ u_j), rtol=1e-9)
    leading = s[::-1] > 1e-3 * s.max()
    assert leading.sum() == 4  # so that some modes count in the mean and some don't
    assert found.mean.item() == pytest.approx(found.a.numpy()[leading].mean(), rel=1e-12)


def test_alignment_is_one_for_a_power_of_f_and_invariant_to_scale() -> None:
    aligned = statistics.alignment(t(F), t(F @ F))
    np.testing.assert_allclose(aligned.a, 1, rtol=1e-6)
    turned, scaled = statistics.alignment(t(F), t(W)), statistics.alignment(7 * t(F), 0.1 * t(W))
    np.testing.assert_allclose(turned.a, scaled.a, rtol=1e-9)
    assert statistics.alignment(t(F), 0 * t(W)).mean.item() == 0


def test_commutator_asymmetry_and_smallest_eigenvalue() -> None:
    norm = np.linalg.norm
    assert statistics.relative_commutator(t(F), t(W)).item() == pytest.approx(
        norm(F @ W - W @ F) / norm(F) / norm(W), rel=1e-12
    )
    assert statistics.relative_commutator(t(F), t(F @ F)).item() == pytest.approx(0, abs=1e-14)
    assert statistics.asymmetry(t(W)).item() == pytest.approx(norm(W - W.T) / norm(W), rel=1e-12)
    assert statistics.asymmetry(t(W - W.T)).item() == pytest.approx(2)
    least = min(np.linalg.eigvals((W + W.T) / 2).real)
    assert statistics.smallest_eigenvalue(t(W)).item() == pytest.approx(least, rel=1e-10)


def test_balance_residual() -> None:
    online = RNG.normal(size=(6, 9))
    expected = np.sqrt(((online @ online.T - W.T @ W / 4) ** 2).sum())
    assert statistics.balance_residual(t(online), t(W), alpha_p=4).item() == pytest.approx(expected, rel=1e-12)


def test_ema_proportionality() -> None:
    a, w = [RNG.normal(size=(3, 4)), RNG.normal(size=5)], [RNG.normal(size=(3, 4)), RNG.normal(size=5)]
    flat_a, flat_w = (np.concatenate([x.ravel() for x in xs]) for xs in (a, w))
    found = statistics.ema_proportionality(map(t, a), map(t, w)).item()
    assert found == pytest.approx(flat_a @ flat_w / np.sqrt((flat_a @ flat_a) * (flat_w @ flat_w)), rel=1e-12)
    assert statistics.ema_proportionality([0.3 * t(x) for x in w], map(t, w)).item() == pytest.approx(1)
    assert statistics.ema_proportionality([0 * t(x) for x in w], map(t, w)).item() == 0


def test_statistics_leave_the_graph_and_take_float32() -> None:
    z = t(Z).float().requires_grad_()
    for value in (statistics.normalized_std(z), statistics.mean_cosine(z), statistics.covariance(z)):
        assert value.dtype == torch.float64 and not value.requires_grad
