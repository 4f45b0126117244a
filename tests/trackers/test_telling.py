"""Runs told to trackers from what they have kept: read back by the trackers' own readers where these are installed."""

import csv
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from report.synthetic_runs import make_run

from sslrun import load_encoder
from sslrun.drawing import panels
from sslrun.errors import InputError
from sslrun.networks.backbones import build_backbone
from sslrun.networks.weights import save_encoder
from sslrun.recipe.schema import Backbone
from sslrun.runs.folder import RunFolder
from sslrun.runs.records import State, Status
from sslrun.trackers.telling import tell, told_runs
from sslrun.trackers.told import TRACKERS, Told, choose, numbers

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _figures_are_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sslrun.report.plots.plot_run", lambda folder: panels(1, 1, 6, 3)[0])


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "results", 0, epochs=3)
    make_run(tmp_path / "results", 1, "method.predictor={kind: linear}", knn=0.5, epochs=3)
    return tmp_path / "results"


def runs_of(results: Path) -> list[RunFolder]:
    return [RunFolder(path) for path in sorted(results.iterdir())]


def test_event_files_are_read_back_by_tensorboards_own_reader(results: Path, sslrun: Run) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    hparams = pytest.importorskip("tensorboard.plugins.hparams.plugin_data_pb2")
    for _ in range(2):  # told again, it replaces what was there
        code, out, _ = sslrun("export-logs", "--to", "tensorboard")
        assert code == 0 and "2 runs written for tensorboard, in logs/tensorboard" in out
    for folder in runs_of(results):
        (events,) = (Path("logs/tensorboard") / folder.path.name).iterdir()
        found = reader.EventAccumulator(str(events.parent))
        found.Reload()
        for name, tag in (("loss", "training/loss"), ("std", "signals/std")):
            kept = [(row["epoch"], row[name]) for row in folder.history.read() if row[name] is not None]
            read = [(event.step, event.value) for event in found.Scalars(tag)]
            assert read == [(epoch, pytest.approx(value)) for epoch, value in kept]
        times = [event.wall_time for event in found.Scalars("signals/std")]
        assert times[-1] - times[0] == pytest.approx(9.0)  # the run's own seconds
        assert found.Scalars("final/knn")[0].value == pytest.approx(0.95 if folder.record.recipe["seed"] == 0 else 0.5)
        assert found.Images("spectra_and_signals")[0].width > 500
        started = hparams.HParamsPluginData.FromString(
            found.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
        ).session_start_info.hparams
        assert {"seed", "method.predictor.kind", "verdict"} <= set(started)
        assert "data.kind" not in started  # what is the same in all


def test_tables_hold_every_epoch_and_what_came_of_the_run(results: Path, sslrun: Run) -> None:
    first = runs_of(results)[0]
    for _ in range(2):
        assert sslrun("export-logs", "--to", "csv", "--out", "tables")[0] == 0
    rows = list(csv.DictReader((Path("tables") / f"{first.path.name}.csv").read_text().splitlines()))
    history = first.history.read()
    assert [int(row["epoch"]) for row in rows] == [row["epoch"] for row in history]
    assert {name: float(rows[-1][name]) for name in numbers(history[-1])} == numbers(history[-1])
    table = list(csv.DictReader(Path("tables/runs.csv").read_text().splitlines()))
    assert {row["run"] for row in table} == {folder.path.name for folder in runs_of(results)} and len(table) == 2
    assert {(row["method.predictor.kind"], float(row["knn"])) for row in table} == {
        ("directpred", 0.95),
        ("linear", 0.5),
    }


class Kept:
    """A tracker that keeps what it is told."""

    def __init__(self, told: Told, out: Path) -> None:
        self.rows: list[int] = []
        self.ends: list[str] = []
        KEPT[told.name] = self

    def tell(self, rows: Sequence[dict[str, Any]]) -> None:
        self.rows += [row["epoch"] for row in rows]

    def picture(self, name: str, epoch: int, figure: Any) -> None:
        self.rows.append(-epoch)

    def end(self, told: Told, status: Status) -> None:
        self.ends.append(status.state)


KEPT: dict[str, Kept] = {}


def test_runs_are_followed_until_they_end(tmp_path: Path) -> None:
    done, running = make_run(tmp_path, 0, epochs=2), make_run(tmp_path, 1, epochs=4)
    lines = running.history.path.read_text().splitlines(keepends=True)
    running.history.path.write_text(lines[0])
    whole = running.status
    running.write_status(replace(whole, state=State.QUEUED))
    waits = []

    def wait() -> None:
        waits.append(1)
        if len(waits) == 1:
            running.history.path.write_text("".join(lines[:3]) + lines[3][:20])  # half a line is not told
        else:
            running.history.path.write_text("".join(lines))
            running.write_status(whole)

    assert tell(lambda: told_runs(tmp_path), Kept, tmp_path, follow=True, wait=wait) == 2
    assert KEPT[done.path.name].rows == [0, 1, 2, -2]
    assert KEPT[running.path.name].rows == [0, 1, 2, 3, 4, -4]
    assert [kept.ends for kept in KEPT.values()] == [["done"], ["done"]]
    assert len(waits) == 2


def test_what_was_begun_is_ended_when_it_is_stopped(tmp_path: Path) -> None:
    running = make_run(tmp_path, 1, epochs=4)
    running.write_status(replace(running.status, state=State.QUEUED))

    def stopped() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tell(lambda: told_runs(tmp_path), Kept, tmp_path, follow=True, wait=stopped)
    assert KEPT[running.path.name].ends == ["queued"]


def test_a_hub_gets_weights_a_configuration_and_a_card(results: Path, sslrun: Run) -> None:
    first, second = runs_of(results)
    about = {"architecture": "small_resnet", "stem": "imagenet", "width": 8, "channels": 1, "size": 16}
    about |= {"mean": None, "std": None}
    encoder = build_backbone(Backbone(kind="small_resnet", width=8), 1, seed=0).eval()
    save_encoder(first.encoder, encoder, about)
    code, _, err = sslrun("export-logs", first.path.name, "--to", "hub", "--out", "hub")
    assert code == 0, err
    folder = Path("hub") / first.path.name
    assert {path.name for path in folder.iterdir()} == {
        "README.md", "config.json", "model.safetensors", "recipe.yaml", "training.png",
    }  # fmt: skip
    card = (folder / "README.md").read_text()
    front = yaml.safe_load(card.split("---")[1])
    assert front["library_name"] == "sslrun" and front["pipeline_tag"] == "image-feature-extraction"
    knn = next(cell.metrics["accuracy"] for cell in first.evaluations() if cell.kind == "knn")
    assert f"| this run | {knn:.3f} |" in card and "no collapse" in card and first.identity in card
    assert json.loads((folder / "config.json").read_text())["encoder"]["width"] == 8
    assert "run" not in yaml.safe_load((folder / "recipe.yaml").read_text())
    x_NCHW = torch.rand(1, 1, 16, 16)
    torch.testing.assert_close(load_encoder(folder / "model.safetensors")(x_NCHW), encoder(x_NCHW))
    code, _, err = sslrun("export-logs", second.path.name, "--to", "hub")
    assert code == 2 and "has no encoder yet" in err
    code, out, _ = sslrun("export-logs", "--to", "hub", "--out", "all")
    assert code == 0 and f"{second.path.name}   left out: has no encoder yet" in out and "1 run written" in out
    first.encoder.unlink()
    code, _, err = sslrun("export-logs", "--to", "hub", "--out", "all")
    assert code == 2 and "there are no runs to tell of" in err
    first.history.path.unlink()
    assert f"{first.path.name}   no epoch yet" in sslrun("export-logs", "--to", "csv")[1]


def test_a_hub_gets_a_folder_of_timms_where_it_has_the_network(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    folder = make_run(tmp_path / "results", 0, epochs=1)
    encoder = build_backbone(Backbone(kind="timm", name="test_vit"), 3, seed=0, side=32).eval()
    about = {"architecture": "timm", "name": "test_vit", "stem": "imagenet", "width": 64, "channels": 3, "size": 32}
    save_encoder(folder.encoder, encoder, about | {"mean": None, "std": None})
    tell(lambda: told_runs(tmp_path / "results"), choose("hub").begin, tmp_path / "hub")
    model = timm.create_model(f"local-dir:{tmp_path / 'hub' / folder.path.name}", pretrained=True, num_classes=0).eval()
    x_NCHW = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(model(x_NCHW), encoder(x_NCHW))


def test_wandb_takes_runs_offline(results: Path, sslrun: Run) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed")
    code, _, err = sslrun("export-logs", "--to", "wandb", "--out", "w")
    assert code == 0, err
    assert {path.name[-16:] for path in Path("w/wandb").glob("offline-run-*")} == {
        folder.identity[:16] for folder in runs_of(results)
    }


def test_trackio_takes_runs_into_its_own_database(results: Path, sslrun: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    if "trackio" not in TRACKERS or not os.environ.get("TRACKIO_DIR"):
        monkeypatch.setenv("TRACKIO_DIR", str(results.parent / "t"))
    trackio = pytest.importorskip("trackio", reason="trackio is not installed")
    code, _, err = sslrun("export-logs", "--to", "trackio")
    assert code == 0, err
    assert {run.name for run in trackio.Api().runs("sslrun")} == {folder.path.name for folder in runs_of(results)}


def test_a_damaged_run_is_left_out_and_named(results: Path, sslrun: Run) -> None:
    whole, damaged = runs_of(results)
    (damaged.path / "status.json").write_text('{"bro')
    code, out, err = sslrun("export-logs", "--to", "csv")
    assert code == 0, err
    assert "1 run written for csv" in out and f"{damaged.path.name}   left out: " in out and "status.json" in out
    assert any(whole.path.name in path.read_text() for path in Path("logs/csv").rglob("*.csv"))
    code, _, err = sslrun("export-logs", damaged.path, "--to", "csv")
    assert code == 2 and "status.json" in err


def test_what_cannot_be_told_is_said(results: Path, sslrun: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments, told in {
        ("--to", "mlflow"): "tensorboard",
        ("--grid", "none"): "no grid 'none' here",
        ("quick", "--grid", "x"): "name runs, or a grid",
    }.items():
        code, _, err = sslrun("export-logs", *arguments)
        assert code == 2 and told in err
    monkeypatch.setattr("sslrun.trackers.told.find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install tensorboardX"):
        choose("tensorboard")
    with pytest.raises(InputError, match="no runs to tell of"):
        tell(lambda: ([], False), Kept, results)
