"""Backbones against torchvision's and timm's own, and weights from files, good and bad."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from sslrun.errors import InputError
from sslrun.networks.backbones import build_backbone, group_norm
from sslrun.networks.weights import load_weights
from sslrun.recipe.schema import Backbone


def images(n: int, channels: int, side: int, seed: int = 0) -> Tensor:
    return torch.rand((n, channels, side, side), generator=torch.Generator().manual_seed(seed))


def torchvisions(kind: str) -> Any:
    network = getattr(torchvision.models, kind)(weights=None)
    setattr(network, "classifier" if kind == "densenet121" else "fc", nn.Identity())
    return network


def stir(network: nn.Module, seed: int = 3) -> None:
    """Random batch-norm parameters and statistics, so that no buffer is at its start."""
    generator = torch.Generator().manual_seed(seed)
    for value in network.state_dict().values():
        if value.dtype == torch.float32 and value.dim() == 1:
            value.copy_(0.5 + torch.rand(value.shape, generator=generator))


@pytest.mark.parametrize(("kind", "dim"), [("resnet18", 512), ("resnet50", 2048), ("densenet121", 1024)])
def test_is_torchvisions_network(kind: str, dim: int) -> None:
    ours = build_backbone(Backbone(kind=kind), 3, seed=1).eval()
    theirs = torchvisions(kind).eval()
    stir(ours)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict(), strict=True)
    x = images(2, 3, 64)
    with torch.no_grad():
        assert ours(x).shape == (2, dim) == (2, ours.feature_dim)
        torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize("kind", ["resnet18", "resnet50"])
def test_with_group_norm_is_torchvisions_with_that_layer(kind: str) -> None:
    ours = build_backbone(Backbone(kind=kind, norm="group"), 3, seed=1)
    theirs = getattr(torchvision.models, kind)(norm_layer=lambda channels: nn.GroupNorm(channels // 16, channels))
    theirs.fc = nn.Identity()
    stir(ours)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    x = images(2, 3, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x))
        torch.testing.assert_close(ours(x)[:1], ours(x[:1]), atol=1e-5, rtol=1e-5)  # in training too


@pytest.mark.parametrize(("channels", "groups"), [(8, 1), (16, 1), (24, 1), (32, 2), (40, 2), (44, 2), (48, 3)])
def test_groups_have_sixteen_channels_or_somewhat_more(channels: int, groups: int) -> None:
    assert group_norm(channels).num_groups == groups


def test_loads_strictly_into_timm() -> None:
    ours = build_backbone(Backbone(kind="resnet18"), 3, seed=1).eval()
    stir(ours)
    theirs = timm.create_model("resnet18", num_classes=0).eval()
    theirs.load_state_dict(ours.state_dict(), strict=True)
    with torch.no_grad():
        torch.testing.assert_close(ours(images(2, 3, 64)), theirs(images(2, 3, 64)), rtol=1e-5, atol=1e-5)


def test_weights_start_as_torchvision_starts_them() -> None:
    ours, theirs = build_backbone(Backbone(kind="resnet18"), 3, seed=1), torchvisions("resnet18")
    for (name, a), (_, b) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        if a.dim() == 4 and a.numel() > 20_000:
            assert abs(a.std() / b.std() - 1) < 0.05, name
        if a.dim() == 1:
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize("channels", [1, 3])
def test_cifar_stem_keeps_the_side(channels: int) -> None:
    network = build_backbone(Backbone(kind="resnet18", stem="cifar"), channels, seed=0)
    assert network.conv1.weight.shape == (64, channels, 3, 3)
    assert network.conv1.bias is None
    theirs = torchvisions("resnet18")
    theirs.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
    theirs.maxpool = nn.Identity()
    theirs.load_state_dict(network.state_dict(), strict=True)
    x = images(2, channels, 32)
    with torch.no_grad():
        torch.testing.assert_close(network.eval()(x), theirs.eval()(x))


@pytest.mark.parametrize("kind", ["resnet18", "resnet50", "densenet121", "small_resnet"])
def test_one_channel(kind: str) -> None:
    network = build_backbone(Backbone(kind=kind), 1, seed=0)
    with torch.no_grad():
        assert network(images(2, 1, 64)).shape == (2, network.feature_dim)


def test_small_resnet_is_small_and_sees_16_pixels() -> None:
    network = build_backbone(Backbone(kind="small_resnet", width=32), 1, seed=0)
    assert network.feature_dim == 128
    assert 2e5 < sum(p.numel() for p in network.parameters()) < 7e5
    x = images(3, 1, 16).requires_grad_()
    network(x).square().sum().backward()
    assert x.grad is not None
    assert (x.grad.abs() > 0).float().mean() > 0.99


def test_width_scales_every_stage() -> None:
    network = build_backbone(Backbone(kind="resnet50", width=16), 3, seed=0)
    assert network.feature_dim == 16 * 8 * 4
    assert network.get_parameter("layer4.2.conv2.weight").shape == (128, 128, 3, 3)


def test_seed_alone_decides_and_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(4)
    torch.manual_seed(5)
    a = build_backbone(Backbone(kind="small_resnet"), 1, seed=7)
    assert torch.equal(torch.rand(4), expected)
    b, c = (build_backbone(Backbone(kind="small_resnet"), 1, seed=seed) for seed in (7, 8))
    assert torch.equal(a.conv1.weight, b.conv1.weight)
    assert not torch.equal(a.conv1.weight, c.conv1.weight)


SMALL = Backbone(kind="small_resnet", width=8)


@pytest.mark.parametrize("ending", [".safetensors", ".pt", ".ckpt"])
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("head", ["fc", "classifier"])
def test_weights_from_a_file(tmp_path: Path, ending: str, prefix: str, head: str) -> None:
    donor, heir = build_backbone(SMALL, 1, seed=0), build_backbone(SMALL, 1, seed=1)
    stir(donor)
    state = {**donor.state_dict(), f"{head}.weight": torch.rand(10, 32), f"{head}.bias": torch.rand(10)}
    state = {prefix + name: value.clone() for name, value in state.items()}
    path = tmp_path / f"weights{ending}"
    if ending == ".pt":
        torch.save(state, path)
    elif ending == ".ckpt":  # as training scripts keep it, beside other things
        torch.save({"state_dict": state, "epoch": 3, "optimizer": {"lr": 0.1}}, path)
    else:
        save_file(state, path)
    load_weights(heir, path)
    for name, value in donor.state_dict().items():
        assert torch.equal(heir.state_dict()[name], value), name


def test_old_files_without_batch_counters_load(tmp_path: Path) -> None:
    donor, heir = build_backbone(SMALL, 1, seed=0), build_backbone(SMALL, 1, seed=1)
    state = {name: value for name, value in donor.state_dict().items() if not name.endswith("num_batches_tracked")}
    torch.save(state, tmp_path / "old.pt")
    load_weights(heir, tmp_path / "old.pt")
    assert torch.equal(heir.conv1.weight, donor.conv1.weight)


def test_foreign_weights_name_the_keys_and_change_nothing(tmp_path: Path) -> None:
    donor, heir = build_backbone(SMALL, 3, seed=0), build_backbone(SMALL, 1, seed=1)
    before = {name: value.clone() for name, value in heir.state_dict().items()}
    state = donor.state_dict()
    state["odd.weight"] = state.pop("layer1.0.conv1.weight")
    torch.save(state, tmp_path / "foreign.pt")
    with pytest.raises(InputError) as caught:
        load_weights(heir, tmp_path / "foreign.pt")
    text = str(caught.value)
    for part in ("foreign.pt", "missing: layer1.0.conv1.weight", "unexpected: odd.weight", "8×3×3×3", "8×1×3×3"):
        assert part in text
    assert all(torch.equal(heir.state_dict()[name], value) for name, value in before.items())


class Evil:
    def __reduce__(self) -> Any:
        return (print, ("executed",))


@pytest.mark.parametrize(
    "name", ["absent.pt", "absent.safetensors", "junk.pt", "junk.safetensors", "evil.pt", "list.pt"]
)
def test_unreadable_files_are_named(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / name
    if name.startswith("junk"):
        path.write_bytes(b"no weights here")
    elif name.startswith("evil"):
        torch.save({"conv1.weight": Evil()}, path)
    elif name.startswith("list"):
        torch.save([torch.rand(2)], path)
    with pytest.raises(InputError, match=name):
        load_weights(build_backbone(SMALL, 1, seed=0), path)
    assert "executed" not in capsys.readouterr().out


def test_weights_that_are_not_finite_are_refused_by_their_names(tmp_path: Path) -> None:
    backbone = nn.Sequential(nn.Linear(2, 3))
    before = backbone[0].weight.clone()
    torch.save(backbone.state_dict() | {"0.bias": torch.tensor([1.0, float("nan"), 2.0])}, tmp_path / "w.pt")
    with pytest.raises(InputError, match=r"infinite numbers or NaN in 0\.bias"):
        load_weights(backbone, tmp_path / "w.pt")
    assert torch.equal(backbone[0].weight, before)
