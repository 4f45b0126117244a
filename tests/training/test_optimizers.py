"""LARS, the schedule and the decay groups against formulas written out here."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from sslrun.recipe.schema import Schedule
from sslrun.training.lars import Lars
from sslrun.training.schedules import learning_rates


def test_lars_against_numpy() -> None:
    rng = np.random.default_rng(0)
    w, b = rng.normal(size=(4, 3)), rng.normal(size=4)
    weight, bias = nn.Parameter(torch.from_numpy(w.copy())), nn.Parameter(torch.from_numpy(b.copy()))
    lars = Lars(
        [{"params": [weight], "weight_decay": 0.1}, {"params": [bias], "weight_decay": 0.0, "scale": False}],
        lr=0.5,
        momentum=0.9,
        trust=0.02,
    )
    v_w, v_b = np.zeros_like(w), np.zeros_like(b)
    for _ in range(5):
        g_w, g_b = rng.normal(size=w.shape), rng.normal(size=b.shape)
        weight.grad, bias.grad = torch.from_numpy(g_w.copy()), torch.from_numpy(g_b.copy())
        lars.step()
        g = g_w + 0.1 * w
        v_w = 0.9 * v_w + g * 0.02 * np.linalg.norm(w) / np.linalg.norm(g)
        v_b = 0.9 * v_b + g_b
        w, b = w - 0.5 * v_w, b - 0.5 * v_b
    np.testing.assert_allclose(weight.detach().numpy(), w, atol=1e-12)
    np.testing.assert_allclose(bias.detach().numpy(), b, atol=1e-12)


def test_lars_leaves_a_zero_weight_unscaled() -> None:
    weight = nn.Parameter(torch.zeros(3, 2))
    weight.grad = torch.ones(3, 2)
    Lars([weight], lr=0.5, momentum=0.0).step()
    assert torch.equal(weight.detach(), torch.full((3, 2), -0.5))


def test_schedules() -> None:
    assert np.array_equal(learning_rates(Schedule(), 3, 4), np.ones(12))
    rates = learning_rates(Schedule(kind="cosine", warmup_epochs=2), steps_per_epoch=5, epochs=10)
    np.testing.assert_allclose(rates[:10], np.arange(1, 11) / 10)
    assert rates[9] == rates[10] == 1
    for n in range(10, 50):
        assert rates[n] == pytest.approx((1 + math.cos(math.pi * (n - 10) / 40)) / 2)
    assert 0 < rates[-1] < 0.01
