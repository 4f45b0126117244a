"""Streams of random numbers that must differ do: whatever draws has a stream of its own, in every kind of run."""

import importlib
import pkgutil
import sys
from collections import defaultdict
from itertools import combinations
from pathlib import Path
from types import FrameType

import numpy as np
import pytest
import torch

import sslrun
from sslrun.data import open_dataset
from sslrun.evaluation.judge import Judge
from sslrun.files import write_text
from sslrun.recipe import read_recipe
from sslrun.seeds import stream_seed
from sslrun.training.negatives import Negatives
from sslrun.training.pretrain import assemble
from sslrun.training.starting import starting_encoder
from sslrun.views.pipeline import Views

VIEWS = """
views:
  size: 16
  style: {kind: bss}
  colours: per_image_after
  flip: 0.5
  greyscale: 0.5
  jitter: {probability: 0.5}
  blur: {probability: [0.5, 0.5], kernel: 3}
  solarize: {probability: [0.5, 0.5]}
"""
REST = """
data: {kind: digits_styles, held_out: [neon], limit: 64}
training: {batch_size: 32, epochs: 1}
run: {threads: 1, device: cpu}
"""
PROBES = """
evaluation:
  knn: null
  linear: {decays: [0.1, 0.01], iterations: 5}
  authors_probe: {epochs: 2}
  udg: {fractions: [0.05, 1.0], decays: [0.1, 0.01], epochs: 2, least_steps: 2}
  analyses: {images_per_domain: 10, neighbours: 3}
"""
RESNET = "network: {backbone: {kind: small_resnet, width: 8}, projector: {hidden: 16, out: 8}}"
VIT = "network: {backbone: {kind: vit, patch: 8, width: 12, depth: 1, heads: 2}, projector: {hidden: 16, out: 8}}"
METHODS = {
    "byol": f"{RESNET}\nmethod: {{kind: byol, target: independent, predictor: {{kind: mlp, restart_every: 1}}}}",
    "swav": f"{RESNET}\nmethod: {{kind: swav, prototypes: 12, freeze_prototypes: 0}}",
    "msn": f"{VIT}\nmethod: {{kind: msn, prototypes: 12}}",
}


def modules() -> list[str]:
    found = pkgutil.walk_packages(sslrun.__path__, "sslrun.")
    return [module.name for module in found if not module.name.endswith("__main__")]


def place(frame: FrameType | None) -> str:
    """Where in the code a stream was asked for; a local function that names streams for its own passes it on."""
    while frame is not None and frame.f_code.co_name == "stream":
        frame = frame.f_back
    assert frame is not None
    return f"{frame.f_code.co_filename}:{frame.f_lineno}:{frame.f_lasti}"


@pytest.mark.parametrize("method", METHODS)
def test_no_two_places_draw_from_one_stream(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: defaultdict[int, set[str]] = defaultdict(set)
    names: dict[str, set[str]] = defaultdict(set)

    def noted(seed: int, name: str, *counters: int) -> int:
        found = stream_seed(seed, name, *counters)
        where = place(sys._getframe(1))
        asked[found].add(where)
        names[name].add(where)
        return found

    for name in modules():
        module = importlib.import_module(name)
        if vars(module).get("stream_seed") is stream_seed and name != "sslrun.seeds":
            monkeypatch.setattr(module, "stream_seed", noted)
    write_text(tmp_path / "all.yaml", VIEWS + REST + PROBES + METHODS[method])
    recipe = read_recipe(str(tmp_path / "all.yaml"))
    data, device = open_dataset(recipe.data, tmp_path), torch.device("cpu")
    images = data.images("pretrain")
    encoder = starting_encoder(recipe, data.shape[0])
    trainer = assemble(recipe, encoder, images, device)
    for iteration, batch_NCHW in enumerate(trainer.batches.epoch(0)):
        trainer.step(batch_NCHW, iteration)
    Negatives(recipe, images, device)(trainer.method, 0)
    if method == "byol":
        judge = Judge(recipe, data, tmp_path / "results", device)
        for kind in ("linear", "authors_probe", "udg", "analyses"):
            judge.metrics(getattr(recipe.evaluation, kind), judge.subject(encoder))
    shared = {found: places for found, places in asked.items() if len(places) > 1}
    assert not shared, "\n".join(" and ".join(sorted(places)) for places in shared.values())
    assert len(asked) > 20
    families = {"crop", "flip", "jitter", "greyscale", "blur", "solarize"}
    assert {f"views.{family}" for family in families} <= names.keys()
    assert {"style", "order", "initialisation", "hardness"} <= names.keys()
    assert method != "byol" or {"target", "probe", "finetune", "labels"} <= names.keys()


def test_what_is_drawn_for_a_view_is_independent_of_the_other_families(tmp_path: Path) -> None:
    n = 4000
    write_text(tmp_path / "all.yaml", VIEWS.replace("kind: bss", "kind: fa") + REST + METHODS["byol"])
    section = read_recipe(str(tmp_path / "all.yaml")).views
    views = Views(section, channels=3, stored=16)
    columns: dict[str, np.ndarray] = {}
    for view, draws in enumerate(views.draw(n, seed=3, step=5)):
        assert draws.jitter is not None and draws.blur is not None and draws.style is not None
        drawn = {
            "top": draws.crop.top_N,
            "flip": draws.flip_N,
            "greyscale": draws.greyscale_N,
            "blur": draws.blur.chosen_N,
            "solarize": draws.solarize_N,
        }
        for part in ("jitter", "style"):
            for name, value in vars(getattr(draws, part)).items():
                if isinstance(value, torch.Tensor) and value.shape == (n,):
                    drawn[f"{part}.{name}"] = value
        columns |= {
            f"{name} of view {view}": value.double().numpy() for name, value in drawn.items() if value is not None
        }
    varied = {name: column for name, column in columns.items() if column.std() > 0}
    assert len(varied) > 12
    for (one, x), (other, y) in combinations(varied.items(), 2):
        part = one.partition(".")[0]
        if "." in one and other.startswith(f"{part}.") and one[-1] == other[-1]:
            continue  # of one family and view
        assert abs(np.corrcoef(x, y)[0, 1]) < 0.08, (one, other)
