"""Signals against NumPy on the same outputs."""

import numpy as np
import pytest
import torch
from torch import nn

from sslrun.methods import Setup
from sslrun.methods.noncontrastive import NonContrastive
from sslrun.networks.backbones import Linear
from sslrun.networks.heads import Projector
from sslrun.recipe.schema import Byol, LinearPredictor
from sslrun.training.diagnostics import fixed_images, signals


def test_signals_of_projector_outputs_in_evaluation_mode_against_numpy() -> None:
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(48, 12), nn.BatchNorm1d(12), nn.ReLU())
    projector = Projector(nn.Linear(12, 6), out_dim=6)
    section = Byol(kind="byol", predictor=LinearPredictor(kind="linear"))
    method = NonContrastive(section, Setup(encoder, projector, lambda: (encoder, projector)))
    method.train()
    encoder(torch.randn(64, 3, 4, 4))  # moves the running statistics away from their start
    images = torch.randint(0, 256, (300, 3, 4, 4), dtype=torch.uint8)
    found = signals(method, images, lambda x: x.float() / 255, alpha_p=1.0)
    assert method.training

    method.eval()
    z = method.online(images.float() / 255).detach().double().numpy()
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    s = np.linalg.eigvalsh(z.T @ z / 300)[::-1]
    c = np.linalg.eigvalsh(np.cov(z.T, bias=True))
    q = c / c.sum()
    w = method.predictor.matrix_DD
    assert w is not None
    w = w.double().numpy()
    cosines = unit @ unit.T
    expected = {
        "std": np.sqrt(6) * unit.std(axis=0).mean(),
        "rank": np.exp(-(q * np.log(q)).sum()),
        "cosine": (cosines.sum() - 300) / (300 * 299),
        "asymmetry": np.linalg.norm(w - w.T) / np.linalg.norm(w),
        "smallest_eigenvalue": np.linalg.eigvalsh((w + w.T) / 2)[0],
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=2e-3), name
    np.testing.assert_allclose(found["spectrum"], s, rtol=1e-4, atol=1e-8)
    assert len(found["alignments"]) == len(found["p"]) == 6
    assert found["proportionality"] == pytest.approx(1)


def test_the_fixed_images_are_spread_over_the_set_and_always_the_same() -> None:
    images = torch.arange(5000).reshape(5000, 1, 1, 1)
    shown = fixed_images(images).flatten()
    assert len(shown) == 1024
    assert shown[0] == 0
    assert shown[-1] == 4999
    assert torch.equal(fixed_images(images).flatten(), shown)
    assert len(fixed_images(images[:100])) == 100


@pytest.mark.parametrize(("inputs", "width", "kept"), [(64, 64, True), (17, 241, False)])
def test_a_linear_networks_weights_are_kept_up_to_4096(inputs: int, width: int, kept: bool) -> None:
    encoder, projector = Linear(channels=inputs, width=width), Projector(nn.Identity(), out_dim=width)
    section = Byol(kind="byol", predictor=LinearPredictor(kind="linear"))
    method = NonContrastive(section, Setup(encoder, projector, lambda: (encoder, projector)))
    found = signals(method, torch.randn(20, inputs), lambda x: x, alpha_p=1.0)
    assert ("weights" in found) == ("balance" in found) == kept
    assert not kept or found["weights"]["online"] == encoder.weight.tolist()
