"""DirectSet(alpha): weight decay as a threshold on variance under augmentation (arXiv 2110.04947)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sslrun.errors import InputError
from sslrun.theory.directset import directset_predictor, simulate_directset, surviving_size

Array = NDArray[np.float64]
M = 4


def _nuisance(rank: int = 2) -> Array:
    """Projector onto a random nuisance subspace."""
    U = np.linalg.qr(np.random.default_rng(3).normal(size=(M, rank)))[0]
    return np.asarray(U @ U.T)


@pytest.mark.parametrize(
    ("eta", "alpha", "size"),
    [
        (0.15, 0.5, 0.816228), (0.15, 1.0, 0.903453), (0.15, 2.0, 0.950502), (0.15, 0.25, 0.666228),
        (0.24, 0.5, 0.6), (0.24, 1.0, 0.774597), (0.24, 2.0, 0.880112), (0.24, 0.25, 0.36),
    ],
)  # fmt: skip
def test_claim_10_between_the_thresholds_only_clean_features_stay(eta: float, alpha: float, size: float) -> None:
    B = _nuisance()
    assert surviving_size(alpha, eta) == pytest.approx(size, abs=5.1e-7)
    assert surviving_size(alpha, eta, 1.0) is None
    end = simulate_directset(np.eye(M), 600.0, alpha=alpha, X_MM=np.eye(M), X_prime_MM=B, eta=eta)
    np.testing.assert_allclose(end, size * (np.eye(M) - B), atol=1e-6)


@pytest.mark.parametrize("alpha", [0.5, 1.0])
def test_claim_10_below_the_lower_threshold_nuisance_stays_too(alpha: float) -> None:
    B, eta = _nuisance(), 0.1
    end = simulate_directset(np.eye(M), 600.0, alpha=alpha, X_MM=np.eye(M), X_prime_MM=B, eta=eta)
    noisy, clean = surviving_size(alpha, eta, 1.0), surviving_size(alpha, eta)
    assert noisy is not None and clean is not None and noisy > 0.1
    np.testing.assert_allclose(end, clean * (np.eye(M) - B) + noisy * B, atol=1e-6)


@pytest.mark.parametrize("alpha", [0.5, 1.0])
def test_claim_10_above_the_upper_threshold_everything_dies(alpha: float) -> None:
    assert surviving_size(alpha, 0.27) is None
    end = simulate_directset(np.eye(M), 400.0, alpha=alpha, X_MM=np.eye(M), X_prime_MM=_nuisance(), eta=0.27)
    assert np.abs(end).max() < 1e-6


@pytest.mark.parametrize("side", [-1, 1])
def test_claim_10_clean_features_need_a_large_enough_start(side: int) -> None:
    eta, alpha = 0.15, 1.0
    threshold = ((1 - np.sqrt(1 - 4 * eta)) / 2) ** (1 / (2 * alpha))
    start = threshold * (1 + 0.05 * side) * np.eye(M)
    end = simulate_directset(start, 1000.0, alpha=alpha, X_MM=np.eye(M), X_prime_MM=0 * np.eye(M), eta=eta)
    size = surviving_size(alpha, eta)
    assert size is not None
    np.testing.assert_allclose(end, (size if side > 0 else 0.0) * np.eye(M), atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), half=st.integers(1, 4))
def test_predictor_is_the_power_of_the_correlation_matrix(seed: int, half: int) -> None:
    W = np.random.default_rng(seed).normal(size=(3, 5))
    root = directset_predictor(W, 0.5 / half)
    np.testing.assert_allclose(np.linalg.matrix_power(root, 2 * half), W @ W.T, atol=1e-9 * np.abs(W @ W.T).max())
    np.testing.assert_allclose(root, root.T, atol=1e-12 * np.abs(root).max())


def test_a_power_that_is_not_positive_is_refused() -> None:
    with pytest.raises(InputError, match="alpha"):
        surviving_size(0.0, 0.1)
