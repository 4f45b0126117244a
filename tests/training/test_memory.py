"""What training takes of memory at the least is known before anything is built."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny import small

from sslrun.errors import InputError
from sslrun.methods import build_encoder, build_method, set_up
from sslrun.recipe import read_recipe
from sslrun.recipe.shipped import shipped
from sslrun.training.memory import check_memory, memory_parts, meta_method

VIT = ("network.backbone={kind: vit, patch: 4, width: 48, heads: 4, depth: 2}", "views.size=16")
PREDICTORS = ("none", "linear", "mlp", "symmetric", "directpred", "directset", "directcopy", "solve", "partition")


@pytest.mark.parametrize(
    "changes",
    [
        *((f"method.predictor={{kind: {kind}}}",) for kind in PREDICTORS),
        ("method={kind: simclr}",),
        ("method={kind: swav, queue: {length: 512}}",),
        ("method={kind: msn}", *VIT),
        ("network.backbone={kind: densenet121, width: 64}", "views.size=32"),
        ("network.projector={kind: none}",),
        ("network.backbone.norm=group",),
    ],
    ids=lambda changes: changes[0],
)
def test_networks_without_numbers_are_as_large_as_those_with(changes: tuple[str, ...]) -> None:
    recipe = read_recipe("quickstart", changes)
    setup = set_up(recipe, build_encoder(recipe, 1), 1, 1, torch.device("cpu"))
    built, meta = build_method(recipe.method, setup).state_dict(), meta_method(recipe, 1).state_dict()
    tensors = [name for name, value in built.items() if isinstance(value, torch.Tensor) and "extra" not in name]
    assert [(name, built[name].shape, built[name].dtype) for name in tensors] == [
        (name, meta[name].shape, meta[name].dtype) for name in tensors
    ]
    assert {meta[name].device.type for name in tensors} <= {"meta"}


def test_views_are_as_large_as_the_images_where_they_have_no_size_of_their_own() -> None:
    recipe = read_recipe("quickstart", ["views.size=null", "training.batch_size=32"])
    assert memory_parts(recipe, (3, 5, 7), 1000)["batch's views"] == 4 * 32 * 2 * 3 * 5 * 7
    assert memory_parts(recipe, (3, 5, 7), 11)["batch's views"] == 4 * 11 * 2 * 3 * 5 * 7


@pytest.mark.parametrize(("kind", "copies"), [("sgd", 3), ("lars", 3), ("adamw", 4)])
def test_parts_are_counted_by_hand(kind: str, copies: int) -> None:
    """Weights, gradients, and one moment each, or AdamW's two; float32 views; float64 rates."""
    changes = [
        f"optimizer.network.kind={kind}",
        "training={epochs: 7, batch_size: 32}",
        "method.predictor={kind: linear}",
    ]
    recipe = read_recipe("quickstart", [*changes, "views.size=12", "views.count=2"])
    method = build_method(recipe.method, set_up(recipe, build_encoder(recipe, 1), 1, 1, torch.device("cpu")))
    online = method.online
    learned, kept = sum(p.numel() for p in online.parameters()), sum(b.nbytes for b in online.buffers())
    parts = memory_parts(recipe, (1, 16, 16), 100)
    assert parts["online network"] == copies * 4 * learned + kept
    assert parts["target network"] == 4 * learned + kept
    assert parts["batch's views"] == 4 * 32 * 2 * 12 * 12
    assert parts["steps' learning rates"] == 8 * 7 * 4
    assert memory_parts(recipe, (1, 16, 16), 20)["batch's views"] == 4 * 20 * 2 * 12 * 12


BEYOND = {
    "network": ("network.backbone.width=65536", "network.projector.hidden=1000000"),
    "method.predictor": ("network.projector.out=1000000", "method.predictor={kind: mlp, hidden: 1000000}"),
    "method": ("method={kind: swav, prototypes: 1000000}",),
    "training.batch_size": ("views.size=4096", "training.batch_size=1400"),
    "training.epochs": ("training.epochs=1000000", "training.batch_size=2", "network.backbone.width=8"),
}


@pytest.mark.parametrize("option", BEYOND)
def test_what_does_not_fit_is_told_with_its_largest_part(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sslrun.limits.free_memory", lambda: 200_000_000)
    recipe = read_recipe("quickstart", BEYOND[option])
    with pytest.raises(InputError, match=r"GB of memory or more .*0\.2 GB are free on cpu") as told:
        check_memory(recipe, (1, 16, 16), 1400, torch.device("cpu"))
    assert told.value.where == option


def test_nothing_is_made_for_what_does_not_fit(tmp_path: Path, sslrun: Callable[..., tuple[int, str, str]]) -> None:
    wide = ("network.projector={hidden: 1000000, out: 1000000}", "network.backbone.width=65536")
    code, _, said = sslrun("pretrain", "quickstart", *small(*wide), "--results", tmp_path)
    assert code == 2 and said.startswith("network: training takes")
    assert not list(tmp_path.glob("quickstart-*"))


@pytest.mark.parametrize("name", shipped())
def test_shipped_recipes_fit(name: str) -> None:
    recipe = read_recipe(name)
    shape = (recipe.data.dim,) if recipe.data.kind == "gaussian" else (3, 96, 96)
    assert 1000 < sum(memory_parts(recipe, shape, 100_000).values()) < 6e9
