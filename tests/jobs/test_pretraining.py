"""A job from Python: what its folder tells at each moment, what it does again and what not, and what it hands on."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from sslrun.data.images import ImageSet
from sslrun.errors import Interrupted, RunHeld
from sslrun.files import read_json, write_text
from sslrun.jobs import evaluate_run, places, pretrain_job
from sslrun.recipe import read_recipe
from sslrun.recipe.schema import Recipe
from sslrun.runs.folder import RunFolder, run_folders
from sslrun.runs.lease import hold, holder

RECIPE = """
data: {kind: digits, size: 16, limit: 48}
views: {size: 16, blur: null}
network: {backbone: {kind: small_resnet, width: 8}, projector: {hidden: 16, out: 8}}
method: {kind: byol, predictor: {kind: linear}}
training: {epochs: 4, batch_size: 16, keep_encoder_at: [1, 3]}
evaluation: {knn: {k: 3}, linear: {decays: [0.1], iterations: 5}, baselines: [untrained]}
run: {threads: 1, device: cpu}
"""


def recipe(folder: Path, *changes: str) -> Recipe:
    write_text(folder / "tiny.yaml", RECIPE)
    return read_recipe(str(folder / "tiny.yaml"), changes)


class Job:
    """Does a recipe's job once, and keeps what it was shown."""

    def __init__(self, folder: Path, *changes: str, **options: Any) -> None:
        self.rows: list[dict[str, Any]] = []
        self.begun: list[ImageSet | None] = []
        self.said: list[str] = []
        asked = recipe(folder, *changes)
        self.folder, self.cells = pretrain_job(
            asked,
            places(asked, folder / "results"),
            watch=self.rows.append,
            begin=lambda _, images: self.begun.append(images),
            say=self.said.append,
            **options,
        )


def test_a_run_is_trained_judged_and_done_once(tmp_path: Path) -> None:
    first = Job(tmp_path)
    status = first.folder.status
    assert status.state in ("done", "collapsed")
    assert (status.epoch, status.epochs, status.threads, status.reason) == (4, 4, 1, None)
    assert status.created <= (status.started or "") <= (status.finished or "")
    assert 0 < status.seconds < 600
    assert (status.verdict == "none") == (status.state == "done")
    last = first.folder.history.read()[-1]
    assert status.evidence["std"] == last["std"] and status.evidence["rank"] == last["rank"]
    assert [row["epoch"] for row in first.rows] == [0, 1, 2, 3, 4]
    assert [images is not None and len(images) for images in first.begun] == [48]
    assert [(cell.kind, cell.at) for cell in first.cells] == [("knn", None), ("linear", None)]
    assert {"accuracy", "untrained.accuracy"} <= first.cells[0].metrics.keys()
    assert first.folder.kept_epochs() == [1, 3]
    assert holder(first.folder) is None
    assert read_json(first.folder.environment)["threads"] == 1
    assert len(read_json(first.folder.environment)["data"]) == 64

    before = {path: path.stat().st_mtime_ns for path in first.folder.path.rglob("*.*") if "lease" not in path.name}
    again = Job(tmp_path)
    assert (again.folder, again.cells, again.rows, again.begun) == (first.folder, first.cells, [], [None])
    assert before == {path: path.stat().st_mtime_ns for path in before}
    more = Job(tmp_path, "evaluation.kept=true", "evaluation.linear=null")
    assert [(cell.kind, cell.at) for cell in more.cells] == [("knn", None), ("knn", 1), ("knn", 3)]
    assert more.cells[0] == first.cells[0]
    assert more.rows == []


def test_fresh_sets_the_old_run_aside_and_begins_anew(tmp_path: Path) -> None:
    first = Job(tmp_path)
    second = Job(tmp_path, fresh=True)
    assert second.folder == first.folder
    assert len(second.rows) == 5
    (old,) = (tmp_path / "results").glob("*-old-*")
    assert second.said == [f"the old run is kept as {old.name}"]
    assert RunFolder(old).history.read()[-1]["loss"] == second.folder.history.read()[-1]["loss"]
    new = Job(tmp_path / "other", fresh=True)  # with nothing to set aside
    assert new.said == []


def test_an_interrupted_run_says_how_far_it_is_and_goes_on_with_its_threads(tmp_path: Path) -> None:
    asked = recipe(tmp_path, "run.checkpoint_minutes=0")
    where = places(asked, tmp_path / "results")

    def stop(row: dict[str, Any]) -> None:
        if row["epoch"] == 2:
            raise Interrupted("enough")

    with pytest.raises(Interrupted):
        pretrain_job(asked, where, watch=stop)
    (path,) = (tmp_path / "results").glob("tiny-*")
    folder = RunFolder(path)
    status = folder.status
    assert (status.state, status.epoch, status.finished, status.reason) == ("running", 2, None, None)
    assert holder(folder) is None
    folder.update_status(seconds=1000.0, threads=2, started="2026-01-01T00:00:00Z")
    try:
        pretrain_job(asked, where)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    status = folder.status
    assert status.started == "2026-01-01T00:00:00Z"
    assert 1000 < status.seconds < 1600
    assert [row["epoch"] for row in folder.history.read()] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_every_way_of_being_asked_to_stop_saves_the_state(tmp_path: Path, number: signal.Signals) -> None:
    asked = recipe(tmp_path, "run.checkpoint_minutes=1000")
    where = places(asked, tmp_path / "results")
    before = signal.getsignal(number)

    def stop(row: dict[str, Any]) -> None:
        if row["epoch"] == 2:
            os.kill(os.getpid(), number)
            if number not in (signal.SIGINT, signal.SIGTERM):  # a terminal that closes sends two
                os.kill(os.getpid(), number)

    with pytest.raises(Interrupted, match="state is saved") as stopped:
        pretrain_job(asked, where, watch=stop)
    assert stopped.value.exit_code == 130
    assert signal.getsignal(number) is before
    (folder,) = run_folders(where.results)
    position = torch.load(folder.checkpoint, weights_only=True)["position"]
    assert (position["epoch"], position["step"]) == (2, 1)

    signal.signal(number, signal.SIG_IGN)  # as under `nohup`
    try:
        pretrain_job(asked, where, watch=stop)
    finally:
        signal.signal(number, before)
    assert folder.status.finished_well


def test_a_run_that_is_held_is_left_alone(tmp_path: Path) -> None:
    first = Job(tmp_path)
    with hold(first.folder), pytest.raises(RunHeld, match="held by"):
        Job(tmp_path)
    with hold(first.folder), pytest.raises(RunHeld):
        Job(tmp_path, fresh=True)
    assert not list((tmp_path / "results").glob("*-old-*"))


def test_probes_on_the_way_come_every_so_many_epochs(tmp_path: Path) -> None:
    job = Job(tmp_path, "evaluation.every=2")
    probed = [row["epoch"] for row in job.folder.history.read() if "probe.knn.accuracy" in row]
    assert probed == [2, 4]
    last = job.folder.history.read()[-1]
    assert last["probe.knn.accuracy"] == job.cells[0].metrics["accuracy"]
    assert "probe.linear.accuracy" in last and "probe.linear.held_out" not in last


def test_what_goes_wrong_is_kept_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device", "/somewhere/checkpoint.pt")

    monkeypatch.setattr("sslrun.training.pretrain.save_checkpoint", full)
    with pytest.raises(Exception, match="No space left"):
        Job(tmp_path)
    (path,) = (tmp_path / "results").glob("tiny-*")
    status = RunFolder(path).status
    assert status.state == "failed"
    assert "No space left" in (status.reason or "") and "/somewhere/checkpoint.pt" in (status.reason or "")
    assert status.finished is not None
    monkeypatch.undo()
    job = Job(tmp_path)
    assert job.folder.status.finished_well and job.folder.status.reason is None


@pytest.mark.parametrize(("has", "said"), [(False, True), (True, False), (None, False)])
def test_bf16_that_is_emulated_is_told_before_the_long_wait(
    has: bool | None, said: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sslrun.jobs.pretraining.has_bf16", lambda _: has)
    job = Job(tmp_path, "training.precision=bf16", "training.epochs=1", "training.keep_encoder_at=[]")
    assert any("bf16 is emulated" in line for line in job.said) == said


def test_a_kept_run_is_judged_by_what_is_asked_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Job(tmp_path, "evaluation.linear=null").folder
    torch.set_num_threads(folder.status.threads + 1)  # sums in another order have other bits
    assert [cell.kind for cell in evaluate_run(folder, [])[1]] == ["knn"]
    assert torch.get_num_threads() == folder.status.threads
    _, (one,) = evaluate_run(folder, ["linear"], ["evaluation.linear.decays=[0.1]"])
    assert one.kind == "linear" and one.metrics["decay"] == 0.1
    _, (other,) = evaluate_run(folder, ["knn"], ["evaluation.knn.k=7"])
    assert other.settings["k"] == 7
    _, (at,) = evaluate_run(folder, ["knn"], at=3)
    assert at.at == 3
    assert len(folder.evaluations()) == 4
    path = folder.evaluation_path(other.name, other.identity)
    path.write_text(path.read_text()[:50])
    _, (again,) = evaluate_run(folder, ["knn"], ["evaluation.knn.k=7"])
    assert again.metrics == other.metrics and len(folder.evaluations()) == 4
    assert f"{path}: damaged: " in (said := capsys.readouterr().err) and "it is computed again" in said
    with pytest.raises(Exception, match="changes what was pretrained"):
        evaluate_run(folder, ["knn"], ["training.epochs=9"])
    with pytest.raises(Exception, match=r"no encoder was kept after epoch 2 \(kept: 1, 3\)"):
        evaluate_run(folder, ["knn"], at=2)
