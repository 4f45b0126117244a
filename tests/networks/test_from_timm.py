"""timm's networks as encoders: its names, its weights, its features."""

from pathlib import Path

import pytest
import torch

from sslrun.errors import InputError
from sslrun.networks.backbones import build_backbone
from sslrun.networks.weights import load_weights
from sslrun.recipe.schema import Backbone

timm = pytest.importorskip("timm")


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "mobilenetv3_small_050"])
def test_its_own_weights_load_and_give_its_features(name: str, tmp_path: Path) -> None:
    sized = {"img_size": 64} if name == "test_vit" else {}
    theirs = timm.create_model(name, num_classes=7, **sized).eval()  # with a head, as files of weights have one
    torch.save(theirs.state_dict(), tmp_path / "w.pt")
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    ours = build_backbone(Backbone(kind="timm", name=name), 3, seed=5, side=64).eval()
    assert torch.equal(torch.rand(1), expected)
    load_weights(ours, tmp_path / "w.pt")
    x_NCHW = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        h_ND = ours(x_NCHW)
        torch.testing.assert_close(h_ND, theirs.forward_head(theirs.forward_features(x_NCHW), pre_logits=True))
    assert h_ND.shape == (2, ours.feature_dim)


def test_a_transformer_takes_views_of_other_sides_too() -> None:
    encoder = build_backbone(Backbone(kind="timm", name="test_vit"), 1, seed=0, side=64)
    assert encoder(torch.rand(1, 1, 32, 32)).shape == (1, encoder.feature_dim)


@pytest.mark.parametrize(
    ("name", "side", "told"),
    [
        ("resnet180", 32, "Did you mean resnet18"),
        ("test_vit", None, "views of one side"),
        ("test_vit", 20, "views of 20"),
    ],
)
def test_what_timm_cannot_build_is_said(name: str, side: int | None, told: str) -> None:
    with pytest.raises(InputError, match=told):
        build_backbone(Backbone(kind="timm", name=name), 3, seed=0, side=side)


def test_a_name_belongs_to_timm() -> None:
    for options in ({"kind": "timm"}, {"kind": "resnet18", "name": "x"}, {"kind": "timm", "name": "x", "width": 8}):
        with pytest.raises(ValueError, match=r"name|width"):
            Backbone(**options)
