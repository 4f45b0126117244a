"""The projector, layer by layer, against the same arithmetic in NumPy."""

import numpy as np
import pytest
import torch
from torch import nn

from sslrun.networks.heads import build_projector
from sslrun.recipe.schema import Projector


def features(n: int, d: int) -> torch.Tensor:
    return torch.randn((n, d), generator=torch.Generator().manual_seed(0))


def test_default_is_the_direct_pred_codes() -> None:
    projector = build_projector(Projector(), 512, seed=0)
    assert projector.out_dim == 128
    shapes = [tuple(p.shape) for p in projector.parameters()]
    assert shapes == [(512, 512), (512,), (128, 512), (128,)]  # affine-free batch norm has none


def test_mlp_equals_numpy() -> None:
    projector = build_projector(Projector(hidden=7, out=5), 6, seed=0)
    h = features(9, 6)
    w1, b1, w2, b2 = (p.detach().double().numpy() for p in projector.parameters())
    a = h.double().numpy() @ w1.T + b1
    a = np.maximum((a - a.mean(0)) / np.sqrt(a.var(0) + 1e-5), 0)
    np.testing.assert_allclose(projector(h).detach().numpy(), a @ w2.T + b2, atol=1e-5)


def test_without_a_norm_it_is_two_layers_and_a_relu() -> None:
    projector = build_projector(Projector(hidden=7, out=5, norm="none"), 6, seed=0)
    h = features(9, 6)
    w1, b1, w2, b2 = (p.detach().double().numpy() for p in projector.parameters())
    a = np.maximum(h.double().numpy() @ w1.T + b1, 0)
    np.testing.assert_allclose(projector(h).detach().numpy(), a @ w2.T + b2, atol=1e-5)


def test_layer_norm_equals_numpy_and_sees_one_image_at_a_time() -> None:
    projector = build_projector(Projector(hidden=7, out=5, norm="layer"), 6, seed=0)
    h = features(9, 6)
    w1, b1, w2, b2 = (p.detach().double().numpy() for p in projector.parameters())
    a = h.double().numpy() @ w1.T + b1
    a = np.maximum((a - a.mean(1, keepdims=True)) / np.sqrt(a.var(1, keepdims=True) + 1e-5), 0)
    np.testing.assert_allclose(projector(h).detach().numpy(), a @ w2.T + b2, atol=1e-5)
    torch.testing.assert_close(projector(h[:1]), projector(h)[:1])
    assert len(list(build_projector(Projector(norm="layer", affine=True), 6, seed=0).parameters())) == 6


@pytest.mark.parametrize("layers", [2, 3, 4])
def test_layers_and_affine(layers: int) -> None:
    projector = build_projector(Projector(hidden=7, out=5, layers=layers, affine=True), 6, seed=0)
    kinds = [type(module) for module in projector]
    assert kinds == [nn.Linear, nn.BatchNorm1d, nn.ReLU] * (layers - 1) + [nn.Linear]
    assert sum(p.numel() for p in projector[1].parameters()) == 14
    assert projector(features(3, 6)).shape == (3, 5)


def test_linear_and_none() -> None:
    linear = build_projector(Projector(kind="linear", out=5), 6, seed=0)
    h = features(3, 6)
    (weight,) = linear.parameters()
    torch.testing.assert_close(linear(h), h @ weight.T)
    none = build_projector(Projector(kind="none"), 6, seed=0)
    assert none.out_dim == 6
    assert torch.equal(none(h), h)


def test_seed_alone_decides() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    a, b, c = (build_projector(Projector(), 8, seed=seed)[0].weight for seed in (4, 4, 5))
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
