"""Recipe numbers to flow numbers: plain SGD in torch must approach the converted flow, to first order in its step."""

from typing import Any

import numpy as np
import pytest
import torch

from sslrun.errors import InputError
from sslrun.theory.linear import LinearProblem, simulate_linear
from sslrun.theory.setting import flow_settings

D, M = 2, 3


def _gap_after_training(lr: float, steps: int, symmetric: bool) -> float:
    """Largest difference between trained and simulated weights; the loss is a mean over all pairs of views."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(5, 1, M, generator=generator, dtype=torch.float64)
    x = x + 0.5 * torch.randn(5, 4, M, generator=generator, dtype=torch.float64)
    W, W_a = 0.6 * torch.randn(2, D, M, generator=generator, dtype=torch.float64)
    W_p = 0.6 * torch.randn(D, D, generator=generator, dtype=torch.float64)
    ema, decay, decay_p, lr_p = 1 - 2 * lr, 0.08, 0.05, 1.5 * lr
    settings = flow_settings(
        lr=lr, lr_predictor=lr_p, weight_decay=decay, weight_decay_predictor=decay_p, ema=ema, symmetric=symmetric
    )
    means = x.mean(1).numpy()
    apart = (x - x.mean(1, keepdim=True)).numpy()
    problem = LinearProblem(
        X_MM=means.T @ means / 5,
        X_prime_MM=np.einsum("nvi,nvj->ij", apart, apart) / 20,
        alpha_p=settings.alpha_p,
        eta=settings.eta,
        eta_p=settings.eta_p,
        beta=settings.beta,
    )
    expected = simulate_linear(problem, W.numpy(), W_p.numpy(), steps * settings.time_per_step, W_a_DM=W_a.numpy())

    online, predictor = W.clone().requires_grad_(), W_p.clone().requires_grad_()
    optimiser = torch.optim.SGD(
        [
            {"params": [online], "weight_decay": decay, "lr": lr},
            {"params": [predictor], "weight_decay": decay_p, "lr": lr_p},
        ]
    )
    for _ in range(steps):
        predicted, target = x @ online.T @ predictor.T, x @ W_a.T
        one = (predicted[:, :, None] - target[:, None]).square().sum(-1).mean()
        other = (predicted[:, None] - target[:, :, None]).square().sum(-1).mean()
        optimiser.zero_grad()
        (one + other if symmetric else one).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimiser.step()
        W_a = ema * W_a + (1 - ema) * online.detach()
    pairs = zip(expected, (online.detach(), predictor.detach(), W_a), strict=True)
    return max(float(np.abs(flow - trained.numpy()).max()) for flow, trained in pairs)


@pytest.mark.parametrize("symmetric", [True, False])
def test_training_approaches_the_converted_flow(symmetric: bool) -> None:
    coarse = _gap_after_training(0.004, 150, symmetric)
    fine = _gap_after_training(0.002, 300, symmetric)
    assert fine < 0.004
    assert coarse / fine == pytest.approx(2.0, rel=0.15)


def test_numbers_of_the_rule() -> None:
    settings = flow_settings(lr=0.05, lr_predictor=0.5, weight_decay=4e-4, weight_decay_predictor=2e-4, ema=0.996)
    assert settings.time_per_step == pytest.approx(0.2)
    assert settings.alpha_p == pytest.approx(10)
    assert settings.eta == pytest.approx(1e-4)
    assert settings.eta_p == pytest.approx(5e-4)
    assert settings.beta == pytest.approx(0.02)
    one_sided = flow_settings(lr=0.05, weight_decay=4e-4, symmetric=False)
    assert (one_sided.time_per_step, one_sided.eta, one_sided.eta_p) == pytest.approx((0.1, 2e-4, 2e-4))
    assert one_sided.alpha_p == 1 and one_sided.beta is None


@pytest.mark.parametrize(
    "wrong", [{"momentum": 0.9}, {"lr": 0.0}, {"lr_predictor": -1.0}, {"weight_decay": -1e-4}, {"ema": 1.5}]
)
def test_what_the_flow_has_no_place_for_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        flow_settings(**{"lr": 0.1, **wrong})
