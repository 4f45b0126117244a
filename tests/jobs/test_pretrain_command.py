"""`sslrun pretrain` and `evaluate` as a user meets them, on 256 real digits."""

import json
import shlex
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny import class_folder, small

from sslrun.runs import load_runs
from sslrun.runs.folder import RunFolder

Run = Callable[..., tuple[int, str, str]]


def only_run(results: Path) -> RunFolder:
    (path,) = [path for path in results.glob("quickstart-*") if "-old-" not in path.name]
    return RunFolder(path)


def without_timing(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    return [{key: row[key] for key in row.keys() - {"seconds", "images_per_second"}} for row in rows]


def test_a_run_shows_its_science_its_table_its_verdict_and_where_it_is_kept(sslrun: Run, tmp_path: Path) -> None:
    code, out, err = sslrun("pretrain", "quickstart", "--results", tmp_path, *small())
    folder = only_run(tmp_path)
    assert (code, err) == (0, "")
    first = out.splitlines()[0]
    assert first.startswith(folder.path.name)
    assert "digits 16 px · 256 images · small ResNet · BYOL + DirectPred (rho 0.3, epsilon 0.1)" in first
    for label in ("kNN", "linear", "this run", "untrained encoder", "raw pixels", "effective rank", "kept in"):
        assert label in out
    assert {"done", "collapsed"} >= {folder.status.state}
    assert [row["epoch"] for row in folder.history.read()] == [0, 1, 2]
    for path in (folder.recipe, folder.environment, folder.checkpoint, folder.encoder, folder.log):
        assert path.exists()

    encoder = folder.encoder.read_bytes()
    code, out, _ = sslrun("pretrain", "quickstart", "--results", tmp_path, *small())
    assert code == 0
    assert "already done" in out
    assert "this run" in out
    assert folder.encoder.read_bytes() == encoder


def test_json_is_one_document_with_the_numbers_of_the_table(sslrun: Run, tmp_path: Path) -> None:
    code, out, _ = sslrun("pretrain", "quickstart", "--results", tmp_path, "--json", *small())
    assert code == 0
    told = json.loads(out)
    assert told["verdict"] in ("none", "complete", "dimensional")
    knn = next(cell for cell in told["evaluations"] if cell["kind"] == "knn")
    assert 0 <= knn["metrics"]["accuracy"] <= 1
    assert {"untrained.accuracy", "pixels.accuracy"} <= knn["metrics"].keys()


def test_the_same_seed_gives_the_same_bits_and_another_seed_another_run(sslrun: Run, tmp_path: Path) -> None:
    for place, seed in (("a", 0), ("b", 0), ("c", 1)):
        sslrun("pretrain", "quickstart", "--results", tmp_path / place, *small(f"seed={seed}"))
    a, b, c = (only_run(tmp_path / place) for place in "abc")
    assert a.identity == b.identity != c.identity
    assert a.encoder.read_bytes() == b.encoder.read_bytes() != c.encoder.read_bytes()
    assert without_timing(a.history.read()) == without_timing(b.history.read())


def test_killed_and_started_again_a_run_ends_with_the_same_bits(
    sslrun: Run, started: Callable[..., object], tmp_path: Path
) -> None:
    """Checkpoints after every step, `kill -9` at three moments, against a run that nobody disturbed."""
    settings = small("training.epochs=4", "run.checkpoint_minutes=0", "evaluation.linear=null")
    sslrun("pretrain", "quickstart", "--results", tmp_path / "calm", *settings)
    for steps in (2, 7, 11):
        process = started("pretrain", "quickstart", "--results", tmp_path / "killed", *settings)
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:  # type: ignore[attr-defined]
            if steps_saved(tmp_path / "killed") >= steps:
                process.kill()  # type: ignore[attr-defined]
            time.sleep(0.01)
        assert process.wait() == -signal.SIGKILL  # type: ignore[attr-defined]
    code, _, err = sslrun("pretrain", "quickstart", "--results", tmp_path / "killed", *settings)
    assert (code, err) == (0, "")
    calm, killed = only_run(tmp_path / "calm"), only_run(tmp_path / "killed")
    assert killed.encoder.read_bytes() == calm.encoder.read_bytes()
    assert without_timing(killed.history.read()) == without_timing(calm.history.read())
    accuracies = [[cell.metrics for cell in run.evaluations()] for run in (calm, killed)]
    assert accuracies[0] == accuracies[1]


def steps_saved(results: Path) -> int:
    for path in results.glob("*/checkpoint.pt"):
        position = torch.load(path, weights_only=True)["position"]
        return int(position["epoch"] * 4 + position["step"])
    return 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_saves_says_so_and_goes_on(
    number: signal.Signals, sslrun: Run, started: Callable[..., object], tmp_path: Path
) -> None:
    settings = small("training.epochs=400", "evaluation={linear: null, knn: null}")
    process = started("pretrain", "quickstart", "--results", tmp_path, *settings)
    while not list(tmp_path.glob("*/history.jsonl")) or len(only_run(tmp_path).history.read()) < 3:
        assert process.poll() is None  # type: ignore[attr-defined]
        time.sleep(0.05)
    process.send_signal(number)  # type: ignore[attr-defined]
    _, err = process.communicate(timeout=60)  # type: ignore[attr-defined]
    assert process.returncode == 130  # type: ignore[attr-defined]
    assert "state is saved" in err
    assert "Traceback" not in err
    folder = only_run(tmp_path)
    position = torch.load(folder.checkpoint, weights_only=True)["position"]
    assert position["epoch"] >= 2
    assert len(folder.history.read()) == position["epoch"] + 1


def test_the_second_process_on_a_run_says_who_holds_it(
    sslrun: Run, started: Callable[..., object], tmp_path: Path
) -> None:
    settings = small("training.epochs=400")
    process = started("pretrain", "quickstart", "--results", tmp_path, *settings)
    while not list(tmp_path.glob("*/history.jsonl")):
        assert process.poll() is None  # type: ignore[attr-defined]
        time.sleep(0.05)
    code, _, err = sslrun("pretrain", "quickstart", "--results", tmp_path, *settings)
    assert code == 1
    assert str(process.pid) in err  # type: ignore[attr-defined]


def test_non_finite_training_fails_by_name_and_spoils_no_checkpoint(sslrun: Run, tmp_path: Path) -> None:
    code, _, err = sslrun("pretrain", "quickstart", "--results", tmp_path, *small("optimizer.network.lr=1e25"))
    assert code == 1
    assert "at step" in err
    folder = only_run(tmp_path)
    assert folder.status.state == "failed"
    assert "at step" in (folder.status.reason or "")
    if folder.checkpoint.exists():
        state = torch.load(folder.checkpoint, weights_only=True)
        assert all(value.isfinite().all() for value in state["method"].values())


@pytest.mark.parametrize("bad", ["train/cat/0.png", "val/dog/1.png"])
def test_a_picture_that_can_not_be_read_is_told_before_training_with_the_command_that_lists_all(
    bad: str, sslrun: Run, tmp_path: Path
) -> None:
    root = tmp_path / "my data"
    class_folder(root / "set")
    (root / "set" / bad).write_bytes(b"nothing")
    changes = small("data={kind: folder, path: set, store: 16}", "training.batch_size=8")[2:]
    code, _, err = sslrun("pretrain", "quickstart", *changes, "--results", tmp_path / "r", "--data", root)
    run = only_run(tmp_path / "r")
    assert code == 2 and f"{root / 'set' / bad}: not readable as a picture" in err
    assert run.status.state == "failed" and run.history.last() is None
    command = err[err.index("sslrun data check") :].strip()
    assert command == f"sslrun data check {run.recipe} --data '{root}'"
    code, out, _ = sslrun(*shlex.split(command)[1:])
    assert code == 2 and f"1 picture can't be read\n  {root / 'set' / bad}: " in out
    (root / "set" / bad).unlink()
    assert sslrun(*shlex.split(command)[1:])[0] == 0


def test_fresh_keeps_the_old_run_under_another_name(sslrun: Run, tmp_path: Path) -> None:
    sslrun("pretrain", "quickstart", "--results", tmp_path, *small())
    before = only_run(tmp_path).encoder.read_bytes()
    code, out, _ = sslrun("pretrain", "quickstart", "--results", tmp_path, "--fresh", *small())
    assert code == 0
    (old,) = tmp_path.glob("*-old-*")
    assert old.name in out
    assert (old / "encoder.safetensors").read_bytes() == before == only_run(tmp_path).encoder.read_bytes()


def test_a_damaged_checkpoint_is_told_and_nothing_is_lost(sslrun: Run, tmp_path: Path) -> None:
    settings = small("training.epochs=3")
    sslrun("pretrain", "quickstart", "--results", tmp_path, *settings)
    folder = only_run(tmp_path)
    folder.update_status(state="running")
    folder.checkpoint.write_bytes(folder.checkpoint.read_bytes()[:1000])
    code, _, err = sslrun("pretrain", "quickstart", "--results", tmp_path, *settings)
    assert code == 1
    assert "checkpoint.pt" in err
    assert "--fresh" in err
    assert folder.encoder.exists()


def test_evaluate_adds_a_cell_without_pretraining_again(sslrun: Run, tmp_path: Path) -> None:
    settings = small("evaluation.linear=null", "training.keep_encoder_at=[1]")
    sslrun("pretrain", "quickstart", "--results", tmp_path, *settings)
    folder = only_run(tmp_path)
    history = (folder.path / "history.jsonl").stat().st_mtime_ns
    asked = ("evaluate", folder.path.name, "--results", tmp_path)
    code, out, err = sslrun(*asked, "--authors-probe", "--set", "evaluation.authors_probe.epochs=2")
    assert (code, err) == (0, "")
    assert "best on test" in out
    code, out, _ = sslrun(*asked, "--knn", "--at", "1", "--json")
    at_one = json.loads(out)["evaluations"][0]
    assert at_one["at"] == 1
    assert (folder.path / "history.jsonl").stat().st_mtime_ns == history
    assert {(cell.kind, cell.at) for cell in folder.evaluations()} == {
        ("knn", None),
        ("authors_probe", None),
        ("knn", 1),
    }
    kept = load_file(folder.encoder_at(1))
    assert kept.keys() == load_file(folder.encoder).keys()
    code, _, err = sslrun(*asked, "--knn", "--at", "7")
    assert code == 2
    assert "kept: 1" in err
    code, _, err = sslrun(*asked, "--knn", "--set", "training.epochs=9")
    assert code == 2
    assert "changes what was pretrained" in err


def test_encoders_kept_on_the_way_are_judged_where_the_recipe_says_so(sslrun: Run, tmp_path: Path) -> None:
    settings = small("evaluation.linear=null", "training.keep_encoder_at=[1]")
    asked = ("pretrain", "quickstart", "--results", tmp_path, *settings)
    sslrun(*asked)
    trained = only_run(tmp_path).encoder.stat().st_mtime_ns
    code, out, _ = sslrun(*asked, "--set", "evaluation.kept=true")
    assert code == 0
    assert [line.split()[:3] for line in out.splitlines() if "epoch" in line][-1] == ["after", "epoch", "1"]
    assert only_run(tmp_path).encoder.stat().st_mtime_ns == trained
    row = load_runs(tmp_path).iloc[0]
    assert 0 < row["knn@1"] != row["knn"] > 0
    code, _, err = sslrun(*asked, "--set", "evaluation.kept=true", "--set", "training.keep_encoder_at=[]")
    assert code == 2
    assert "no encoder is kept on the way" in err


def test_probes_on_the_way_are_kept_in_the_history(sslrun: Run, tmp_path: Path) -> None:
    probe = "evaluation={knn: null, linear: null, authors_probe: {epochs: 2}, every: 1, baselines: []}"
    code, out, _ = sslrun("pretrain", "quickstart", "--results", tmp_path, *small(probe))
    assert code == 0
    rows = only_run(tmp_path).history.read()
    assert all("probe.authors_probe.best_on_test" in row for row in rows[1:])
    assert "chosen on the test set" in out


def test_a_wrong_recipe_exits_with_2_and_points(sslrun: Run, tmp_path: Path) -> None:
    recipe = tmp_path / "typo.yaml"
    recipe.write_text(
        "data: {kind: digits}\nmethod:\n  kind: byol\n  predictor:\n    kind: directpred\n    epsilom: 0.1\n"
    )
    code, out, err = sslrun("pretrain", recipe, "--results", tmp_path)
    assert (code, out) == (2, "")
    assert f"{recipe}:6:5" in err
    assert "did you mean 'epsilon'?" in err
    assert "Traceback" not in err


def test_on_collapse_stop_ends_a_complete_collapse_early(sslrun: Run, tmp_path: Path) -> None:
    settings = small("training={epochs: 20, batch_size: 64, on_collapse: stop, collapse: {std: 2.0}}")
    code, _, _ = sslrun("pretrain", "quickstart", "--results", tmp_path, *settings)
    assert code == 0
    status = only_run(tmp_path).status
    assert (status.state, status.verdict, status.epoch) == ("collapsed", "complete", 4)
