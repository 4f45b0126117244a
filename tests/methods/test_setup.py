"""What a recipe gives every method, number by number and stream by stream; and that every kind has what builds it."""

from typing import Any

import pytest
import torch

from sslrun.errors import InputError
from sslrun.methods import Setup, build_encoder, build_method, set_up
from sslrun.networks.backbones import build_backbone
from sslrun.networks.heads import build_projector
from sslrun.networks.predictors import build_predictor
from sslrun.recipe import read_recipe
from sslrun.recipe.schema import Method, Predictor
from sslrun.recipe.schema.base import concrete
from sslrun.seeds import stream_seed

CHANGES = [
    "seed=5",
    "views.count=3",
    "method={kind: simclr}",
    "network.backbone.width=8",
    "network.projector={hidden: 7, out: 6}",
    "training={epochs: 4, batch_size: 11}",
]


def made(*changes: str) -> Setup:
    recipe = read_recipe("quickstart", [*CHANGES, *changes])
    return set_up(recipe, build_encoder(recipe, 2), 2, 9, torch.device("cpu"))


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_numbers_are_the_recipes() -> None:
    found = made()
    assert (found.seed, found.views, found.batch_size) == (5, 3, 11)
    assert (found.steps_per_epoch, found.epochs, found.steps) == (9, 4, 36)
    assert found.projector.out_dim == 6


def test_each_network_has_a_stream_of_its_own() -> None:
    found, recipe = made(), read_recipe("quickstart", CHANGES)
    for stream, (encoder, projector) in (
        ("initialisation", (found.encoder, found.projector)),
        ("target", found.independent()),
    ):
        expected = build_backbone(recipe.network.backbone, 2, stream_seed(5, stream, 0), side=recipe.views.size)
        assert same(encoder, expected)
        assert same(projector, build_projector(recipe.network.projector, 32, stream_seed(5, stream, 1)))
    drawn = torch.rand(3, generator=found.generator())
    assert torch.equal(
        drawn, torch.rand(3, generator=torch.Generator().manual_seed(stream_seed(5, "initialisation", 2)))
    )
    assert torch.equal(drawn, torch.rand(3, generator=found.generator()))
    other = made("seed=6")
    assert not same(other.encoder, found.encoder)
    assert not same(other.projector, found.projector)
    assert not same(other.independent()[0], found.independent()[0])


@pytest.mark.parametrize(("precision", "dtype"), [("float32", torch.float32), ("bf16", torch.bfloat16)])
def test_the_networks_run_in_the_recipes_precision(precision: str, dtype: torch.dtype) -> None:
    found = made(f"training.precision={precision}")
    with found.autocast():
        assert found.projector(torch.rand(4, 32)).dtype == dtype


@pytest.mark.parametrize(("family", "build"), [(Method, build_method), (Predictor, build_predictor)])
def test_every_kind_is_built_by_something(family: Any, build: Any) -> None:
    assert len(concrete(family)) > 4
    assert all(build.dispatch(section) is not build.dispatch(object) for section in concrete(family))


def test_a_section_that_nothing_builds_is_an_error_that_says_so() -> None:
    with pytest.raises(InputError, match="no method is registered for Method"):
        build_method(Method(kind="none"), made())
    with pytest.raises(InputError, match="no predictor is registered for Predictor"):
        build_predictor(Predictor(kind="none"), 4, torch.Generator())
