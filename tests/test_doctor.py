"""The doctor: what it reports of any machine, and whether its estimate of a run's memory can be believed."""

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from sslrun.cli import app
from sslrun.doctor import examine, fit, fit_lines, machine_lines, training_memory
from sslrun.jobs import places
from sslrun.jobs.places import folders
from sslrun.recipe import read_recipe

NARROW = ("network.backbone.width=8", "network.projector.hidden=16", "network.projector.out=8")


def test_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSLRUN_DATA", str(tmp_path / "images"))
    monkeypatch.delenv("SSLRUN_RESULTS", raising=False)
    found = examine(*folders(None, tmp_path / "runs"))
    assert json.loads(json.dumps(found)) == found
    assert found["torch"]["version"] == torch.__version__
    assert found["variables"] == {"SSLRUN_RESULTS": None, "SSLRUN_DATA": str(tmp_path / "images")}
    cpu = found["devices"][0]
    assert cpu["device"] == "cpu" and 0 < cpu["free_gib"] <= cpu["memory_gib"]
    assert cpu["bf16"] in (True, False, None)
    for name, folder in (("results", "runs"), ("data", "images")):
        disk = found["disks"][name]
        assert disk["folder"] == str(tmp_path / folder)
        assert not disk["exists"] and disk["writable"] and disk["free_gib"] > 0
    labels = [label for label, _ in machine_lines(found)]
    assert {"torch", "cpu", "results", "data", "SSLRUN_DATA", "cmaes"} <= set(labels)


def test_missing_extras_say_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sslrun.doctor.find_spec", lambda module: None)
    told = dict(machine_lines(examine(tmp_path, tmp_path)))
    assert "not installed (pip install 'sslrun[search]')" in told["cmaes"]


def test_a_gpu_that_torch_cannot_use_is_told(tmp_path: Path) -> None:
    found = examine(tmp_path, tmp_path)
    found["gpus_seen"], found["torch"]["cuda"] = ["Some GPU"], False
    assert "torch can't use Some GPU" in dict(machine_lines(found))["lacking"]


def test_a_recipe_whose_images_are_built_in_is_ready(tmp_path: Path) -> None:
    recipe = read_recipe("quickstart", [*NARROW, "run.device=cpu"])
    fitted = fit(recipe, places(recipe, data=tmp_path).data)
    assert fitted["data"]["ready"]
    memory = fitted["memory"]
    assert memory["device"] == "cpu" and memory["enough"] and memory["images_resident"]


def test_too_little_memory_and_emulated_bf16_are_told(tmp_path: Path) -> None:
    recipe = read_recipe("quickstart", [*NARROW, "run.device=cpu"])
    fitted = fit(recipe, places(recipe, data=tmp_path).data)
    fitted["memory"]["enough"] = False
    fitted["precision"] = {"wanted": "bf16", "bf16": False}
    lacking = [text for label, text in fit_lines(fitted) if label == "lacking"]
    assert any("training.batch_size" in text for text in lacking)
    assert any("training.precision: float32" in text for text in lacking)


def test_network_memory_counts_weights_gradients_and_states() -> None:
    changes = [*NARROW, "method={kind: simsiam, predictor: {kind: none}}"]
    network, _ = training_memory(read_recipe("quickstart", changes), (1, 16, 16))
    adamw, _ = training_memory(read_recipe("quickstart", [*changes, "optimizer.network.kind=adamw"]), (1, 16, 16))
    weights = adamw - network  # AdamW keeps one more state a weight than SGD
    assert 3 * weights < network < 3.2 * weights  # weight, gradient, momentum; and the batch norms' buffers


def test_activation_memory_follows_batch_and_precision() -> None:
    def activations(*changes: str) -> int:
        return training_memory(read_recipe("quickstart", [*NARROW, *changes]), (1, 16, 16))[1]

    small, large = activations("training.batch_size=32"), activations("training.batch_size=64")
    assert 1.9 * small < large <= 2 * small  # twice the batch, but for what does not grow with it
    assert activations("training.batch_size=64", "training.precision=bf16") == pytest.approx(large / 2, rel=0.01)
    more = ["method={kind: simclr}", "training.batch_size=32"]
    assert activations(*more, "views.count=4") == pytest.approx(2 * activations(*more, "views.count=2"), rel=0.02)
    # Two views through the first convolution alone keep its 8-channel output twice: for the norm, and after the ReLU.
    assert large > 2 * 64 * 8 * 16 * 16 * 4 * 2


def test_the_command(tmp_path: Path) -> None:
    folder = ["--data", str(tmp_path), "--results", str(tmp_path / "runs"), "--device", "cpu"]
    changes = [part for change in NARROW for part in ("--set", change)]
    ready = CliRunner().invoke(app, ["doctor", "quickstart", "--json", *folder, *changes])
    assert ready.exit_code == 0, ready.output
    assert json.loads(ready.output)["recipe"]["data"]["ready"]
    missing = CliRunner().invoke(app, ["doctor", "imagenette_directpred", *folder, *changes])
    assert missing.exit_code == 2
    assert "no such folder" in missing.output
    assert CliRunner().invoke(app, ["doctor", *folder]).exit_code == 0
