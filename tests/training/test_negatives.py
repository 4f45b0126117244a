"""Hardness as a run records it: of one encoder on both kinds of views, disturbing nothing else."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sslrun.data.images import ImageSet
from sslrun.methods import Method, build_encoder, build_method, set_up
from sslrun.networks.statistics import normalized_std
from sslrun.recipe import schema
from sslrun.runs.folder import RunFolder
from sslrun.seeds import stream_seed
from sslrun.training.negatives import Negatives, hardness, style_gap
from sslrun.training.pretrain import assemble, pretrain
from sslrun.views.pipeline import Views

CPU = torch.device("cpu")
RECORDED = {"own_column", "other_columns", "percentile_95", "largest", "negative_mass", "style_gap"}


def recipe(temperature: float = 0.2, method_views: str = "together", **views: Any) -> schema.Recipe:
    sections = {
        "name": "hard",
        "data": {"kind": "digits"},
        "views": {"blur": None, "style": {"kind": "bss"}, **views},
        "network": {
            "backbone": {"kind": "small_resnet", "width": 8},
            "projector": {"hidden": 8, "out": 4},
        },
        "method": {"kind": "simclr", "temperature": temperature, "views": method_views},
        "training": {"epochs": 2, "batch_size": 16},
    }
    return schema.Recipe.model_validate_json(json.dumps(sections))


def images(count: int = 40, domains: bool = True) -> ImageSet:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, 3, 12, 12), generator=generator, dtype=torch.uint8)
    names = ("day", "night") if domains else ()
    known = (torch.arange(count) % 2) if domains else None
    return ImageSet(pixels, torch.full((count,), -1), known, (), names)


def method_of(asked: schema.Recipe) -> Method:
    method = build_method(asked.method, set_up(asked, build_encoder(asked, 3), 3, 2, CPU))
    method.train()
    with torch.no_grad():
        method.online(torch.rand(32, 3, 12, 12))  # moves the running statistics away from their start
    return method


def outputs(method: Method, section: schema.Views, seen: ImageSet, seed: int, epoch: int, together: bool) -> Tensor:
    views = Views(section, channels=3, stored=12)
    made = views(seen.images, views.draw(len(seen), stream_seed(seed, "hardness"), epoch))
    network = deepcopy(method.online).train()
    with torch.no_grad():
        return (
            network(torch.cat(made)).view(len(made), len(seen), -1)
            if together
            else torch.stack(list(map(network, made)))
        )


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("method_views", ["apart", "together"])
@pytest.mark.parametrize("style", ["none", "fa", "bss"])
def test_both_kinds_of_views_of_the_epoch_at_the_methods_temperature(count: int, method_views: str, style: str) -> None:
    given = {"kind": style} | ({"ratio": [0.1, 0.3]} if style != "none" else {})
    asked, seen = recipe(temperature=0.5, method_views=method_views, count=count, style=given), images()
    method = method_of(asked)
    found = Negatives(asked, seen, CPU)(method, 3)
    bss = asked.views.style if style == "bss" else schema.BatchStyle(kind="bss")
    assert seen.domains is not None
    for name, used in (("hardness_none", schema.NoStyle(kind="none")), ("hardness_bss", bss)):
        section = asked.views.model_copy(update={"style": used})
        z_VND = outputs(method, section, seen, asked.seed, 3, method_views == "together")
        expected = {key: float(value) for key, value in hardness(z_VND, 0.5)._asdict().items()}
        expected["style_gap"] = float(style_gap(z_VND, seen.domains))
        for key, value in expected.items():
            assert found[f"{name}.{key}"] == pytest.approx(value, abs=1e-5), key
        if (name == "hardness_bss") == (style == "bss"):
            within = torch.stack([normalized_std(z_ND) for z_ND in z_VND]).mean()
            assert found["std_within"] == pytest.approx(float(within), abs=1e-5)
    assert found["hardness_none.own_column"] != found["hardness_bss.own_column"]
    assert len(found) == 2 * len(RECORDED) + 1


def test_nothing_in_the_method_changes_and_other_epochs_have_other_views() -> None:
    asked = recipe()
    method = method_of(asked)
    before = {name: value.clone() for name, value in method.state_dict().items()}
    state = torch.get_rng_state()
    negatives = Negatives(asked, images(), CPU)
    first, again, later = negatives(method, 1), negatives(method, 1), negatives(method, 2)
    assert torch.equal(torch.get_rng_state(), state)
    assert method.training
    assert first == again != later
    for name, value in method.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_small_views_are_left_out_and_many_images_are_spread_over_the_set() -> None:
    asked = recipe().model_copy(
        update={
            "method": schema.Swav(kind="swav", prototypes=4),
            "views": recipe().views.model_copy(update={"small": schema.SmallViews(count=2, size=8)}),
        }
    )
    negatives = Negatives(asked, images(1000), CPU)
    assert negatives.images_NCHW.shape == (256, 3, 12, 12)
    assert sorted(torch.bincount(negatives.domains_N).tolist()) == [128, 128]
    assert set(negatives(method_of(asked), 0)) >= {f"hardness_none.{name}" for name in RECORDED}


def rows(folder: Path, seen: ImageSet) -> list[dict[str, Any]]:
    asked = recipe()
    folder.mkdir()
    (folder / "identity.json").write_text('{"identity": "00", "recipe": {}}')
    run = RunFolder(folder)
    trainer = assemble(asked, build_encoder(asked, 3), seen, CPU)
    pretrain(asked, trainer, seen, run, encoder_metadata={})
    return run.history.read()


def test_every_epochs_row_has_them_where_there_are_domains_and_training_is_the_same_without(tmp_path: Path) -> None:
    asked = {f"{name}.{key}" for name in ("hardness_none", "hardness_bss") for key in RECORDED} | {"std_within"}
    with_domains, without = rows(tmp_path / "with", images()), rows(tmp_path / "without", images(domains=False))
    assert len(with_domains) == len(without) == 3
    for row, plain in zip(with_domains, without, strict=True):
        assert set(row) - set(plain) == asked
        assert all(isinstance(row[key], float) for key in asked)
        assert {row[key] for key in ("loss", "std", "rank")} == {plain[key] for key in ("loss", "std", "rank")}


def test_one_domain_has_no_gap(tmp_path: Path) -> None:
    seen = images()
    assert seen.domains is not None
    alone = ImageSet(seen.images, seen.labels, torch.zeros_like(seen.domains), (), ("day",))
    assert rows(tmp_path / "one", alone)[-1]["hardness_none.style_gap"] is None
