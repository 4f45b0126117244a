"""The transformer against torchvision's own; masks and other sides against a computation from its parts."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.models import VisionTransformer

from sslrun.errors import InputError, RecipeError
from sslrun.networks.backbones import build_backbone
from sslrun.networks.vit import ViT
from sslrun.networks.weights import load_weights
from sslrun.recipe import read_recipe
from sslrun.recipe.schema import Backbone

SECTION = Backbone(kind="vit", patch=4, depth=2, heads=2, width=16)
SIDE, PATCHES = 16, 16
RECIPE = """
data: {kind: digits, size: 16}
method: {kind: msn}
network: {backbone: {kind: vit, patch: 4, depth: 2, heads: 2, width: 16}}
"""


def vit(channels: int = 3, seed: int = 0, side: int = SIDE) -> ViT:
    network = build_backbone(SECTION, channels, seed, side=side)
    assert isinstance(network, ViT)
    return network.eval()


def torchvisions(channels: int = 3, side: int = SIDE) -> nn.Module:
    network = VisionTransformer(side, 4, 2, 2, 16, 64)
    network.heads = nn.Identity()
    if channels != 3:
        network.conv_proj = nn.Conv2d(channels, 16, 4, 4)
    return network.eval()


def images(channels: int = 3, side: int = SIDE, seed: int = 1) -> Tensor:
    return torch.randn((3, channels, side, side), generator=torch.Generator().manual_seed(seed))


def stir(network: nn.Module, seed: int = 5) -> None:
    """No parameter at its start: the class token's is zero, as are biases."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in network.parameters():
            value += 0.2 * torch.randn(value.shape, generator=generator)


@pytest.mark.parametrize("channels", [1, 3])
def test_is_torchvisions_network(channels: int) -> None:
    ours, theirs = vit(channels), torchvisions(channels)
    stir(ours)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict(), strict=True)
    x = images(channels)
    with torch.no_grad():
        assert ours(x).shape == (3, 16) == (3, ours.feature_dim)
        torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize("channels", [1, 3])
def test_weights_start_as_torchvision_starts_them(channels: int) -> None:
    section = Backbone(kind="vit", patch=8, depth=1, heads=4, width=256)
    ours, theirs = build_backbone(section, channels, 0, side=64), VisionTransformer(64, 8, 1, 4, 256, 1024)
    for name, value in ours.named_parameters():
        expected = theirs.get_parameter(name).std() * (3 / channels) ** (0.5 if name == "conv_proj.weight" else 0)
        torch.testing.assert_close(value.std(), expected, rtol=0.07, atol=1e-3)


def test_seed_alone_decides() -> None:
    assert all(torch.equal(a, b) for a, b in zip(vit(seed=3).parameters(), vit(seed=3).parameters(), strict=True))
    assert not torch.equal(vit(seed=3).conv_proj.weight, vit(seed=4).conv_proj.weight)


def from_parts(network: ViT, x: Tensor, keep: list[list[int]]) -> Tensor:
    """The class token's output for each image alone, from torchvision's own modules and a list of kept patches."""
    theirs = torchvisions(x.shape[1])
    theirs.load_state_dict(network.state_dict())
    features = []
    for image, kept in zip(x, keep, strict=True):
        rows = []
        for p in kept:
            top, left = 4 * (p // 4), 4 * (p % 4)
            patch = image[:, top : top + 4, left : left + 4]
            token = (theirs.conv_proj.weight * patch).sum((1, 2, 3)) + theirs.conv_proj.bias
            rows.append(token + theirs.encoder.pos_embedding[0, 1 + p])
        tokens = torch.stack([theirs.class_token[0, 0] + theirs.encoder.pos_embedding[0, 0], *rows])
        features.append(theirs.encoder.ln(theirs.encoder.layers(tokens[None]))[0, 0])
    return torch.stack(features)


def test_a_masked_image_is_its_kept_patches_at_their_positions() -> None:
    network, x = vit(), images()
    stir(network)
    keep = [[3, 0, 9, 14, 5], [1, 2, 3, 4, 6], [15, 7, 8, 10, 0]]
    with torch.no_grad():
        expected = from_parts(network, x, keep)
        torch.testing.assert_close(network(x, torch.tensor(keep)), expected, rtol=1e-4, atol=1e-5)
        everything = torch.stack([torch.randperm(PATCHES) for _ in range(3)])
        torch.testing.assert_close(network(x, everything), network(x), rtol=1e-4, atol=1e-5)


def test_nothing_is_seen_of_the_patches_that_are_left_out() -> None:
    network, x = vit(), images().requires_grad_()
    stir(network)
    network(x, torch.tensor([[0], [6], [15]])).square().sum().backward()
    assert x.grad is not None
    corners = [(0, 0), (4, 8), (12, 12)]
    for gradient, (top, left) in zip(x.grad, corners, strict=True):
        assert gradient[:, top : top + 4, left : left + 4].abs().min() > 0
        gradient[:, top : top + 4, left : left + 4] = 0
    assert x.grad.abs().max() == 0


def cubic(n: int, m: int) -> NDArray[np.float64]:
    """Bicubic interpolation from n to m samples as a matrix: Keys' kernel, a = −0.75, half-pixel centres."""

    def kernel(t: float) -> float:
        t, a = abs(t), -0.75
        if t <= 1:
            return (a + 2) * t**3 - (a + 3) * t**2 + 1
        return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t < 2 else 0.0

    matrix = np.zeros((m, n))
    for row in range(m):
        at = (row + 0.5) * n / m - 0.5
        for tap in range(int(np.floor(at)) - 1, int(np.floor(at)) + 3):
            matrix[row, min(max(tap, 0), n - 1)] += kernel(at - tap)
    return matrix


@pytest.mark.parametrize("side", [8, 12, 20])
def test_views_of_another_side_see_positions_interpolated(side: int) -> None:
    network, grid = vit(), side // 4
    stir(network)
    position = network.encoder.get_parameter("pos_embedding").detach()[0].double().numpy()
    across = cubic(4, grid)
    resized = np.einsum("ia,jb,abd->ijd", across, across, position[1:].reshape(4, 4, -1)).reshape(grid**2, -1)
    theirs = torchvisions(side=side)
    state = network.state_dict()
    state["encoder.pos_embedding"] = torch.from_numpy(np.concatenate([position[:1], resized])).float()[None]
    theirs.load_state_dict(state)
    x = images(side=side)
    with torch.no_grad():
        torch.testing.assert_close(network(x), theirs(x), rtol=1e-4, atol=1e-5)
    network(x).sum().backward()
    gradient = network.encoder.get_parameter("pos_embedding").grad
    assert gradient is not None
    assert gradient.abs().min() > 0


def test_weights_of_torchvisions_classifier_load_and_those_of_another_side_do_not(tmp_path: Path) -> None:
    donor, heir = VisionTransformer(SIDE, 4, 2, 2, 16, 64, num_classes=7), vit(seed=1)
    stir(donor)
    torch.save(donor.state_dict(), tmp_path / "whole.pt")
    load_weights(heir, tmp_path / "whole.pt")
    assert all(torch.equal(value, donor.get_parameter(name)) for name, value in heir.named_parameters())
    with pytest.raises(InputError, match=r"pos_embedding \(1×17×16 in the file, 1×26×16 here\).*\n?.*views.size"):
        load_weights(vit(side=20), tmp_path / "whole.pt")


def test_a_side_is_needed() -> None:
    with pytest.raises(InputError, match=r"views\.size"):
        build_backbone(SECTION, 3, 0)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([], r"a vit is built for views of one side: set views\.size"),
        (["views.size=18"], "patches of 4 px do not divide views of 18"),
        (["views.size=16", "views.small={count: 2, size: 9}"], "patches of 4 px do not divide views of 9"),
        (["views.size=16", "network.backbone.heads=3"], "3 heads do not divide a width of 16"),
        (
            ["network.backbone={kind: resnet18, patch: 16, depth: 12, heads: 6, width: 64}"],
            "msn masks the patches of a vit",
        ),
    ],
)
def test_recipes_that_do_not_fit_are_refused(tmp_path: Path, overrides: list[str], message: str) -> None:
    (tmp_path / "vit.yaml").write_text(RECIPE)
    with pytest.raises(RecipeError, match=message):
        read_recipe(tmp_path / "vit.yaml", overrides)
