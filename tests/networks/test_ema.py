"""The moving target against a plain loop, and its momentum against the formula."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from sslrun.networks.ema import copy_of, ema_momentum, ema_update
from sslrun.recipe.schema import ConstantEma, CosineEma, NoEma


def network(seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 3, bias=False))
        module(torch.randn(8, 4))
    return module


def test_copy_is_apart_and_takes_no_gradient() -> None:
    online = network(0)
    target = copy_of(online)
    assert isinstance(target, nn.Sequential)
    assert not any(p.requires_grad for p in target.parameters())
    assert all(p.requires_grad for p in online.parameters())
    for a, b in zip(target.state_dict().values(), online.state_dict().values(), strict=True):
        assert torch.equal(a, b)
        assert a.data_ptr() != b.data_ptr()


@pytest.mark.parametrize("momentum", [0.0, 0.3, 0.996, 1.0])
def test_update_is_the_plain_loop_on_parameters_only(momentum: float) -> None:
    target, online = copy_of(network(1)), network(2)
    old = {name: p.detach().double().clone() for name, p in target.named_parameters()}
    buffers = {name: b.clone() for name, b in target.named_buffers()}
    ema_update(target, online, momentum)
    for (name, p), q in zip(target.named_parameters(), online.parameters(), strict=True):
        torch.testing.assert_close(p.double(), momentum * old[name] + (1 - momentum) * q.double(), rtol=1e-6, atol=1e-7)
        if momentum == 0:
            assert torch.equal(p, q)
    for name, b in target.named_buffers():
        assert torch.equal(b, buffers[name])
    assert all(p.requires_grad and p.grad is None for p in online.parameters())


def test_update_refuses_another_network() -> None:
    with pytest.raises(ValueError, match="different parameters"):
        ema_update(network(0), nn.Linear(4, 4), 0.9)


@given(m=st.floats(0, 0.9999), step=st.integers(0, 1000), total=st.integers(1, 1000))
def test_momentum(m: float, step: int, total: int) -> None:
    step = min(step, total)
    assert ema_momentum(NoEma(kind="none"), step, total) == 0
    assert ema_momentum(ConstantEma(kind="constant", momentum=m), step, total) == m
    cosine = ema_momentum(CosineEma(kind="cosine", momentum=m), step, total)
    assert cosine == pytest.approx(1 - (1 - m) * math.cos(math.pi * step / (2 * total)) ** 2, abs=1e-12)
    assert m - 1e-12 <= cosine <= 1


def test_cosine_rises_from_its_start_to_one() -> None:
    section = CosineEma(kind="cosine", momentum=0.99)
    course = [ema_momentum(section, k, 100) for k in range(101)]
    assert course[0] == pytest.approx(0.99)
    assert course[-1] == 1
    assert course == sorted(course)
