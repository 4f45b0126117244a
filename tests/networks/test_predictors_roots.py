"""The root by matrix products against the eigensolver: made-up spectra, and F while DirectPred trains a network."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from sslrun.networks.predictors import build_predictor, correlation, predictor_from_correlation
from sslrun.networks.predictors.roots import SHIFT, largest_eigenvalue, root_predictor
from sslrun.recipe.schema import DirectPredictor

SPECTRA = {
    "flat": lambda j: np.ones_like(j),
    "linear": lambda j: 1 - j / len(j),
    "exponential": lambda j: np.exp(-0.05 * j),
    "steep": lambda j: np.exp(-j),
    "three modes": lambda j: np.where(j < 3, 1.0, 0.0),
    "crowded": lambda j: np.where(j < 1, 1.0, 1 - 2.0**-16),  # the worst for the largest eigenvalue
    "rounded below zero": lambda j: np.where(j < 10, 1.0, -SHIFT / 4),
}


def spectral_error(F: Tensor, epsilon: float) -> float:
    exact = predictor_from_correlation(F.double(), epsilon=epsilon)
    error: float = torch.linalg.matrix_norm(root_predictor(F, epsilon).double() - exact, ord=2).item()
    return error


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
@pytest.mark.parametrize("name", SPECTRA)
def test_made_up_spectra(name: str, scale: float, dtype: torch.dtype) -> None:
    rng = np.random.default_rng(2)
    for d in (1, 5, 128):
        q = np.linalg.qr(rng.normal(size=(d, d)))[0]
        s = scale * SPECTRA[name](np.arange(d, dtype=float))
        F = torch.from_numpy((q * s) @ q.T).to(dtype)
        assert spectral_error(F, 0.1) <= 1.1e-3
        assert largest_eigenvalue(F.double()).item() == pytest.approx(s.max(), rel=1e-3)
        if s.min() > 0.5 * s.max():
            assert spectral_error(F, 0.1) <= 1e-4


def test_all_zero() -> None:
    torch.testing.assert_close(root_predictor(torch.zeros(4, 4), 0.1), 0.1 * torch.eye(4), rtol=0, atol=0)


def test_correlations_of_a_network_in_training() -> None:
    """F early and late, and its first ten dimensions only (rank-deficient by a projection)."""
    generator = torch.Generator().manual_seed(0)
    x = torch.from_numpy(load_digits().data / 16).float()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        online = nn.Sequential(nn.Linear(64, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, 64))
    predictor = build_predictor(DirectPredictor(kind="directpred"), 64, generator)
    optimizer = torch.optim.SGD(online.parameters(), lr=0.1, momentum=0.9, weight_decay=4e-4)
    errors = []
    for n in range(150):
        batch = x[torch.randint(len(x), (128,), generator=generator)]
        z1, z2 = (online(batch + 0.2 * torch.randn(batch.shape, generator=generator)) for _ in range(2))
        predictor.observe([z1.detach(), z2.detach()], [z2.detach(), z1.detach()])
        loss = -torch.cosine_similarity(predictor(z1), z2.detach()).mean()
        loss = loss - torch.cosine_similarity(predictor(z2), z1.detach()).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        predictor.after_step(n)
        if n in (0, 10, 149):
            F = dict(predictor.named_buffers())["estimate.second.stored"]
            mask = torch.zeros(64).index_fill_(0, torch.arange(10), 1.0)
            errors += [spectral_error(F, 0.1), spectral_error(F * mask * mask[:, None], 0.1)]
    assert max(errors) <= 1.1e-3, errors


@pytest.mark.parametrize(
    ("options", "does"),
    [
        ({}, True),
        ({"epsilon": 1e-4}, True),
        ({"epsilon": 0.0}, False),
        ({"epsilon_inside": True}, False),
        ({"exponent": 1.0}, False),
        ({"center": True}, False),
        ({"rho": None}, False),
    ],
)
def test_only_where_it_is_the_same_rule(options: dict[str, object], does: bool) -> None:
    section = DirectPredictor.model_validate({"kind": "directpred", **options})
    predictor = build_predictor(section, 4, torch.Generator())
    assert getattr(predictor, "root_does") is does  # noqa: B009 - only DirectPred has it


@pytest.mark.parametrize(("device", "by_products"), [("cuda", True), ("cpu", False)])
def test_on_cuda_alone_the_rule_is_done_by_products(
    device: str, by_products: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its F on a device that is not here: what it hands to whom is seen, nothing is computed."""
    seen: list[tuple[object, ...]] = []
    F = SimpleNamespace(device=torch.device(device))
    monkeypatch.setattr(correlation, "root_predictor", lambda *given: seen.append(("products", *given)))
    monkeypatch.setattr(
        correlation, "predictor_from_correlation", lambda *given, **how: seen.append(("eigen", *given, how))
    )
    monkeypatch.setattr(correlation.CorrelationEstimate, "value", F)
    section = DirectPredictor(kind="directpred", epsilon=0.2, floor=0.1)
    predictor = build_predictor(section, 4, torch.Generator())
    assert isinstance(predictor, correlation.DirectPred)
    predictor.compute_matrix()
    assert seen == [("products", F, 0.2) if by_products else ("eigen", F, 0.5, 0.2, 0.1, {"epsilon_inside": False})]
