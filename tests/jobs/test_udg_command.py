"""Unseen domains through the command line, on digits in styles: cells, tables, baselines that runs share, refusals."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sslrun.runs import load_runs
from sslrun.runs.folder import RunFolder

Run = Callable[..., tuple[int, str, str]]

RECIPE = """
data: {kind: digits_styles, held_out: [ink], limit: 120}
views: {crop: {scale: [0.5, 1.0]}, flip: 0.0, size: 16, blur: null}
network: {backbone: {kind: small_resnet, width: 8}, projector: {hidden: 16, out: 8}}
method: {kind: simclr}
training: {epochs: 1, batch_size: 60}
evaluation: {knn: null, linear: null, udg: {fractions: [0.01, 1.0], epochs: 2, least_steps: 1, decays: [0.01, 0.1]}}
run: {threads: 1, device: cpu}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "styles.yaml"
    path.write_text(RECIPE)
    return path


def only(results: Path) -> RunFolder:
    (path,) = results.glob("styles-*")
    return RunFolder(path)


def test_pretrain_shows_the_table_and_keeps_erm_for_other_runs(sslrun: Run, recipe: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    code, out, err = sslrun("pretrain", recipe, "--results", results)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    head = next(number for number, line in enumerate(lines) if line.startswith("unseen: ink"))
    columns = "unseen: ink nearest neighbour 1 % rounded up to 25 %, linear 100 %, fine-tuned"
    assert " ".join(lines[head].split()) == columns  # 1 % is one of the four of each class
    rows = [line[:34].rstrip() for line in lines[head + 1 : head + 5]]
    assert rows == ["this run", "untrained encoder", "ERM (fine-tuned untrained encoder)", "raw pixels"]
    assert lines[head + 2].split()[3:] == lines[head + 4].split()[3:] == ["–", "–"]  # only ERM is fine-tuned
    assert lines[head + 3].split()[4] == "–" != lines[head + 3].split()[5]
    (cell,) = only(results).evaluations()
    metrics = cell.metrics
    assert {"nn.avg", "1.avg", "1.decay", "100.ink", "100.overall", "100.epoch"} <= metrics.keys()
    assert {"untrained.nn.avg", "untrained.1.epoch", "untrained.100.avg", "pixels.nn.avg"} <= metrics.keys()
    assert "pixels.1.avg" not in metrics
    assert (metrics["1.labelled"], metrics["1.part"], metrics["100.labelled"]) == (30, 0.25, 120)
    assert f"{metrics['100.avg']:.3f}" in lines[head + 1]

    baselines = {path: path.stat().st_mtime_ns for path in (results / "baselines").iterdir()}
    assert len(baselines) == 2
    others = ("--set", "method.temperature=0.3", "--set", "views.greyscale=0")
    code, out, _ = sslrun("pretrain", recipe, "--results", results, "--json", *others)
    assert code == 0
    (other,) = json.loads(out)["evaluations"]
    ours = {key: value for key, value in metrics.items() if key.startswith(("untrained", "pixels"))}
    assert ours == {key: other["metrics"][key] for key in ours}
    assert {path: path.stat().st_mtime_ns for path in (results / "baselines").iterdir()} == baselines

    table = load_runs(results)
    assert {"udg.1.avg", "udg.100.ink", "untrained.udg.100.avg", "pixels.udg.nn.avg"} <= set(table)
    code, out, err = sslrun("report", results, "--metric", "udg.100.avg", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["metrics"] == ["udg.100.avg"]
    code, out, _ = sslrun("report", results, "--json")
    assert json.loads(out)["metrics"] == ["udg.nn.avg", "udg.1.avg", "udg.100.avg"]
    code, out, _ = sslrun("report", results)
    said = " ".join(out.split())  # a fine-tuned network is not called untrained
    assert "the untrained encoder, mean over conditions and seeds: udg.nn.avg" in said
    assert "the untrained encoder, fine-tuned, mean over conditions and seeds: udg.1.avg" in said


def test_an_encoder_from_a_file_is_not_called_untrained(sslrun: Run, recipe: Path, tmp_path: Path) -> None:
    sslrun("pretrain", recipe, "--results", tmp_path / "first", "--set", "evaluation.udg=null")
    changes = (f"network.weights={only(tmp_path / 'first').encoder}", "evaluation.knn={}", "evaluation.analyses={}")
    asked = [part for change in changes for part in ("--set", change)]
    code, out, err = sslrun("pretrain", recipe, "--results", tmp_path / "second", *asked)
    assert (code, err) == (0, "")
    labels = [line.split("   ")[0] for line in out.splitlines()]
    assert labels.count("starting encoder (encoder.safetensors)") == 2  # by analyses, and its neighbours
    assert labels.count("fine-tuned from starting encoder (encoder.safetensors)") == 1
    code, analysed, _ = sslrun("analyse", "styles", "--results", tmp_path / "second")
    assert code == 0
    assert "starting encoder (encoder.safetensors)" in analysed
    for text in (out, analysed):
        assert "untrained encoder" not in text
        assert "ERM" not in text


def test_evaluate_adds_the_cell_and_other_crops_make_another_erm(sslrun: Run, recipe: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    sslrun("pretrain", recipe, "--results", results, "--set", "evaluation.udg=null")
    before = only(results).encoder.read_bytes()
    asked = ("evaluate", only(results).path.name, "--results", results, "--udg", "--set")
    options = "{fractions: [1.0], epochs: 1, least_steps: 1}"
    code, out, err = sslrun(*asked, f"evaluation.udg={options}")
    assert (code, err) == (0, "")
    assert "unseen: ink" in out
    assert "kNN" not in out
    (cell,) = only(results).evaluations()
    assert cell.settings["epochs"] == 1
    assert only(results).encoder.read_bytes() == before
    code, again, _ = sslrun(*asked, f"evaluation.udg={options}")
    assert (code, len(only(results).evaluations())) == (0, 1)
    table = [line for line in out.splitlines() if line.startswith("this run")]
    assert table == [line for line in again.splitlines() if line.startswith("this run")]

    asked_for = ("--set", "views.crop.scale=[0.9, 1.0]", "--set", f"evaluation.udg={options}")
    sslrun("pretrain", recipe, "--results", results, *asked_for)
    names = [path.name.split("-")[0] for path in (results / "baselines").iterdir()]
    assert sorted(names) == ["pixels", "untrained", "untrained"]


def test_data_without_a_held_out_domain_is_refused_where_it_stands(sslrun: Run, recipe: Path, tmp_path: Path) -> None:
    recipe.write_text(RECIPE.replace("held_out: [ink], ", ""))
    code, _, err = sslrun("pretrain", recipe, "--results", tmp_path / "results")
    assert code == 2
    assert f"{recipe}:7" in err
    assert "no domain is unseen" in err
    assert "data.held_out" in err
