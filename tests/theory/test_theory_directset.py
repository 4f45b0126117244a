"""DirectSet(alpha): weight decay as a threshold on variance under augmentation (arXiv 2110.04947)."""

import numpy as np
import pytest

from sslrun.errors import InputError
from sslrun.theory.directset import simulate_rule, surviving_size
from sslrun.theory.linear import LinearProblem


def ends(alpha: float, eta: float, sigma2: float, start: float = 1.0, time: float = 600.0) -> float:
    """|w| at the end of a mode of augmentation variance `sigma2` that starts at `start`, where p = |w|^(2 alpha)."""
    problem = LinearProblem(X_MM=np.eye(1), X_prime_MM=sigma2 * np.eye(1), eta=eta)
    _, s_TJ = simulate_rule(np.array([start**2]), [time], lambda s_J: s_J**alpha, problem=problem)
    return float(np.sqrt(s_TJ[-1, 0]))


@pytest.mark.parametrize(
    ("eta", "alpha", "size"),
    [
        (0.15, 0.5, 0.816228), (0.15, 1.0, 0.903453), (0.15, 2.0, 0.950502), (0.15, 0.25, 0.666228),
        (0.24, 0.5, 0.6), (0.24, 1.0, 0.774597), (0.24, 2.0, 0.880112), (0.24, 0.25, 0.36),
    ],
)  # fmt: skip
def test_claim_10_between_the_thresholds_only_clean_features_stay(eta: float, alpha: float, size: float) -> None:
    assert surviving_size(alpha, eta) == pytest.approx(size, abs=5.1e-7)
    assert surviving_size(alpha, eta, 1.0) is None
    assert ends(alpha, eta, 0.0) == pytest.approx(size, abs=1e-6)
    assert ends(alpha, eta, 1.0) < 1e-6


@pytest.mark.parametrize("alpha", [0.5, 1.0])
def test_claim_10_below_the_lower_threshold_nuisance_stays_too(alpha: float) -> None:
    noisy, clean = surviving_size(alpha, 0.1, 1.0), surviving_size(alpha, 0.1)
    assert noisy is not None and clean is not None and noisy > 0.1
    assert ends(alpha, 0.1, 1.0) == pytest.approx(noisy, abs=1e-6)
    assert ends(alpha, 0.1, 0.0) == pytest.approx(clean, abs=1e-6)


@pytest.mark.parametrize("alpha", [0.5, 1.0])
def test_claim_10_above_the_upper_threshold_everything_dies(alpha: float) -> None:
    assert surviving_size(alpha, 0.27) is None
    assert ends(alpha, 0.27, 0.0) < 1e-6


@pytest.mark.parametrize("side", [-1, 1])
def test_claim_10_clean_features_need_a_large_enough_start(side: int) -> None:
    eta, alpha = 0.15, 1.0
    threshold = ((1 - np.sqrt(1 - 4 * eta)) / 2) ** (1 / (2 * alpha))
    size = surviving_size(alpha, eta)
    assert size is not None
    end = ends(alpha, eta, 0.0, threshold * (1 + 0.05 * side), 1000.0)
    assert end == pytest.approx(size if side > 0 else 0.0, abs=1e-6)


def test_a_power_that_is_not_positive_is_refused() -> None:
    with pytest.raises(InputError, match="alpha"):
        surviving_size(0.0, 0.1)
