"""Every recipe that ships validates, resolves to itself, and trains two steps on stand-in images."""

from pathlib import Path

import pytest
import torch

from sslrun.data.images import ImageSet
from sslrun.methods import build_encoder
from sslrun.recipe import read_recipe, to_yaml
from sslrun.recipe.schema import Camelyon17, Cifar, Digits, DigitsCasts, DigitsStyles, NonContrastive, Stl10
from sslrun.recipe.shipped import shipped
from sslrun.training.pretrain import assemble


def is_grid(path: Path) -> bool:
    return any(line.startswith("base:") for line in path.read_text().splitlines())


RECIPES = {name: path for name, path in shipped().items() if not is_grid(path)}
SIDES = {Digits: 16, Stl10: 96, Cifar: 32, DigitsStyles: 32, DigitsCasts: 16, Camelyon17: 96}  # others say it: `store`


@pytest.mark.parametrize("name", RECIPES)
def test_a_shipped_recipe_is_whole(name: str, tmp_path: Path) -> None:
    recipe = read_recipe(RECIPES[name])
    again = tmp_path / f"{recipe.name}.yaml"
    again.write_text(to_yaml(recipe))
    assert read_recipe(again) == recipe
    title = RECIPES[name].read_text().splitlines()[0]
    assert title.startswith("# ")
    assert len(title) < 120


@pytest.mark.parametrize("name", [name for name in RECIPES if name != "linear_theory"])  # vectors: tests/theory
def test_a_shipped_recipe_trains_two_steps(name: str) -> None:
    changes = ["training.batch_size=4", "network.projector.hidden=32", "run.device=cpu"]
    dense = read_recipe(RECIPES[name]).network.backbone.kind == "densenet121"  # of one width: smaller views then
    changes.append("views.size=32" if dense else "network.backbone.width=8")
    recipe = read_recipe(RECIPES[name], changes)
    side = getattr(recipe.data, "store", None) or SIDES[type(recipe.data)]
    channels = 1 if isinstance(recipe.data, Digits) else 3
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (8, channels, side, side), dtype=torch.uint8, generator=generator)
    images = ImageSet(pixels, torch.full((8,), -1), class_names=("a",))
    trainer = assemble(recipe, build_encoder(recipe, channels), images, torch.device("cpu"))
    trainer.method.train()
    before = [p.detach().clone() for p in trainer.method.encoder.parameters()]
    losses = [float(trainer.step(batch, n)) for n, batch in enumerate(trainer.batches.epoch(0))]
    trainer.updates.raise_if_not_finite()
    assert len(losses) == 2
    if isinstance(recipe.method, NonContrastive):
        assert all(-4.01 < loss < 4.01 for loss in losses)
    after = trainer.method.encoder.parameters()
    assert all(not torch.equal(a, b) for a, b in zip(before, after, strict=True) if a.requires_grad and a.ndim > 1)
