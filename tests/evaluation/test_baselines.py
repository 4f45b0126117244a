"""What is kept of baselines: shared by all runs for which it is the same, and by no other."""

import re
from pathlib import Path

import pytest
import torch

from sslrun.data import open_dataset
from sslrun.evaluation.baselines import baseline_metrics
from sslrun.evaluation.judge import Judge
from sslrun.files import write_text
from sslrun.networks.backbones import build_backbone
from sslrun.networks.group import Group
from sslrun.networks.weights import save_encoder
from sslrun.recipe import read_recipe
from sslrun.training.starting import starting_encoder

RECIPE = """
data: {kind: digits, size: 16, limit: 48}
views: {size: 16, blur: null, normalize: null}
network: {backbone: {kind: small_resnet, width: 8}, projector: {hidden: 16, out: 8}}
method: {kind: byol, predictor: {kind: linear}}
training: {batch_size: 16}
evaluation: {knn: {k: 3}, linear: null}
run: {threads: 1, device: cpu}
"""


def kept(folder: Path, *changes: str, fingerprint: str | None = None) -> dict[str, set[str]]:
    """The files of baselines, by baseline, once a run of the changed recipe has been judged there."""
    write_text(folder / "small.yaml", RECIPE)
    recipe = read_recipe(str(folder / "small.yaml"), changes)
    data = open_dataset(recipe.data, folder)
    if fingerprint is not None:
        vars(data)["fingerprint"] = fingerprint  # as if it had other images
    judge = Judge(recipe, data, folder / "results", torch.device("cpu"))
    section = recipe.evaluation.knn
    assert section is not None
    judge.cell(section, judge.subject(starting_encoder(recipe, judge.channels)))
    names = [path.name for path in (folder / "results" / "baselines").iterdir()]
    return {baseline: {name for name in names if name.startswith(baseline)} for baseline in ("untrained", "pixels")}


@pytest.mark.parametrize(
    "change", ["method.predictor={kind: mlp}", "optimizer.network.lr=1", "training.epochs=3", "views.flip=0", "name=x"]
)
def test_runs_that_differ_in_training_share_them(tmp_path: Path, change: str) -> None:
    first = kept(tmp_path)
    assert [len(names) for names in first.values()] == [1, 1]
    assert all(
        re.fullmatch(r"(untrained|pixels)-knn-[0-9a-f]{16}\.json", name) for names in first.values() for name in names
    )
    assert kept(tmp_path, change) == first


@pytest.mark.parametrize(
    ("change", "pixels"),
    [
        ("seed=1", 2),
        ("data.limit=40", 2),
        ("evaluation.knn.k=5", 2),
        ("views.size=12", 2),
        ("views.normalize={mean: [0.5], std: [0.5]}", 2),
        ("training.precision=bf16", 2),
        ("training.channels_last=false", 2),
        ("network.backbone.width=16", 1),  # pixels have no network
    ],
)
def test_runs_with_other_numbers_have_their_own(tmp_path: Path, change: str, pixels: int) -> None:
    kept(tmp_path)
    second = kept(tmp_path, change)
    assert {baseline: len(names) for baseline, names in second.items()} == {"untrained": 2, "pixels": pixels}
    assert kept(tmp_path, change) == second


def test_other_images_other_weights_and_other_threads_have_their_own(tmp_path: Path) -> None:
    kept(tmp_path)
    other = kept(tmp_path, fingerprint="second")
    assert [len(names) for names in other.values()] == [2, 2]
    recipe = read_recipe(str(tmp_path / "small.yaml"))
    for seed in (5, 6):  # in the same place
        save_encoder(tmp_path / "weights.safetensors", build_backbone(recipe.network.backbone, 1, seed), {})
        found = kept(tmp_path, f"network.weights={tmp_path / 'weights.safetensors'}")
        assert len(found["untrained"]) == 2 + seed - 4
        assert len(found["pixels"]) == 2
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)
        assert len(kept(tmp_path)["pixels"]) == 3
    finally:
        torch.set_num_threads(threads)


def test_a_damaged_or_foreign_file_is_computed_anew(tmp_path: Path) -> None:
    first = kept(tmp_path)
    for name in first["pixels"] | first["untrained"]:
        path = tmp_path / "results" / "baselines" / name
        good = path.read_text()
        for text in ("", "[]", '{"identity": "another", "metrics": {"accuracy": 7}}'):
            path.write_text(text)
            assert kept(tmp_path) == first
            assert path.read_text() == good


def test_of_several_processes_the_first_one_writes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = read_recipe("quickstart")
    data, section = open_dataset(recipe.data, tmp_path), recipe.evaluation.knn
    assert section is not None
    for rank in (1, 0):
        group = Group(rank, 2)
        monkeypatch.setattr(group, "any", lambda _: True)
        found = baseline_metrics(
            "untrained", recipe, data, tmp_path, torch.device("cpu"), section, lambda: {"accuracy": 0.5}, group
        )
        assert found == {"accuracy": 0.5} and len(list(tmp_path.glob("baselines/*"))) == 1 - rank
    alone = ("untrained", recipe, data, tmp_path, torch.device("cpu"), section)
    assert baseline_metrics(*alone, lambda: pytest.fail("computed again")) == {"accuracy": 0.5}
