import json
import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from sslrun.errors import InputError
from sslrun.runs import load_runs
from sslrun.runs.folder import RunFolder, create
from sslrun.runs.lease import hold
from sslrun.runs.records import EvaluationRecord, Status
from sslrun.runs.status import overview

RECIPE = """
seed: {seed}
views:
  crop:
    scale: [0.08, 1.0]
  jitter: null
method:
  kind: byol
  predictor: {{kind: directpred, rho: 0.3, epsilon: 1e-1}}
evaluation:
  knn: {{k: 5, temperature: 0.07}}
  authors_probe: null
"""


def identity_of(number: int) -> str:
    return f"{number:016x}" * 4


def run(results: Path, seed: int, name: str = "quick") -> RunFolder:
    folder = create(results, name, identity_of(seed), RECIPE.format(seed=seed))
    folder.update_status(state="done", verdict="none", evidence={"std": 0.9, "rank": 9.0}, seconds=60.0, epoch=2)
    for epoch in (1, 2):
        folder.history.append({"epoch": epoch, "loss": -3.5 + epoch + seed, "std": 0.8, "spectrum": [0.9, 0.1]})
    return folder


def cell(kind: str, number: int, metrics: dict[str, Any], at: int | None = None, **settings: Any) -> EvaluationRecord:
    return EvaluationRecord(
        kind=kind, at=at, identity=identity_of(number), settings=settings, metrics=metrics, seconds=1.2
    )


def test_one_row_a_run_with_recipe_signals_and_evaluations(tmp_path: Path) -> None:
    for seed in (1, 0):
        folder = run(tmp_path, seed)
        metrics = {"accuracy": 0.97, "untrained.accuracy": 0.85, "pixels.accuracy": 0.96, "top5": 1.0}
        folder.write_evaluation(cell("knn", 1, metrics, k=5, temperature=0.07))
        folder.write_evaluation(cell("knn", 2, {"accuracy": 0.5}, at=100, k=5, temperature=0.07))
        folder.write_evaluation(cell("authors_probe", 3, {"last": 0.7, "best_on_test": 0.8}, epochs=50))
        folder.write_evaluation(cell("linear", 4, {"accuracy": 0.98, "untrained.accuracy": 0.9, "untrained.x": 2.0}))
    table = load_runs(tmp_path)
    assert table.attrs["left_out"] == []
    assert list(table["seed"]) == [0, 1]
    row = table.iloc[1].to_dict()
    expected = {
        "identity": identity_of(1),
        "name": "quick",
        "folder": f"quick-{identity_of(1)[:16]}",
        "status": "done",
        "verdict": "none",
        "verdict.std": 0.9,
        "views.crop.scale": (0.08, 1.0),
        "method.predictor.kind": "directpred",
        "method.predictor.epsilon": 0.1,
        "loss": -0.5,
        "spectrum": (0.9, 0.1),
        "epoch": 2,
        "knn": 0.97,
        "untrained.knn": 0.85,
        "pixels.knn": 0.96,
        "knn.top5": 1.0,
        "knn@100": 0.5,
        "authors_probe[epochs=50].last": 0.7,
        "authors_probe[epochs=50].best_on_test": 0.8,
        "linear": 0.98,
        "untrained.linear": 0.9,
        "untrained.linear.x": 2.0,
    }
    assert {name: row[name] for name in expected} == expected
    assert table["views.jitter"].isna().all()
    columns = list(table.columns)
    assert columns[:5] == ["identity", "name", "folder", "status", "verdict"]
    assert columns.index("seed") < columns.index("loss") < columns.index("knn")
    assert set(table.attrs["timing"]) >= {"created", "seconds", "knn.seconds", "linear.seconds", "knn@100.seconds"}
    assert table.groupby("views.crop.scale").size().tolist() == [2]


def test_settings_unlike_the_recipes_are_in_the_columns_name(tmp_path: Path) -> None:
    folder = run(tmp_path, 0)
    folder.write_evaluation(cell("knn", 1, {"accuracy": 0.1, "untrained.accuracy": 0.2}, k=20, temperature=0.07))
    folder.write_evaluation(cell("knn", 2, {"accuracy": 0.3}, k=5, temperature=0.07))
    folder.write_evaluation(cell("domains", 3, {"accuracy": 0.4}, target="sketch", decays=[0.1, 0.2]))
    folder.write_evaluation(cell("domains", 4, {"accuracy": 0.5}, target="photo", decays=[0.1, 0.2]))
    folder.write_evaluation(cell("finetune", 5, {"accuracy": 0.6}, fraction=0.01))
    row = load_runs(tmp_path).iloc[0]
    assert (row["knn"], row["knn[k=20]"], row["untrained.knn[k=20]"]) == (0.3, 0.1, 0.2)
    assert row["domains[target=sketch,decays=[0.1,0.2]]"] == 0.4
    assert row["domains[target=photo,decays=[0.1,0.2]]"] == 0.5
    assert row["finetune[fraction=0.01]"] == 0.6
    assert "domains" not in row and "finetune" not in row


def test_what_no_recipe_asks_for_is_called_the_same_in_every_run(tmp_path: Path) -> None:
    """Else a mean over runs would be over different questions."""
    plain, other = run(tmp_path, 0), run(tmp_path, 1)
    plain.write_evaluation(cell("authors_probe", 1, {"last": 0.7}, baselines=["pixels"]))
    other.write_evaluation(cell("authors_probe", 2, {"last": 0.2}, epochs=1, baselines=["pixels"]))
    table = load_runs(tmp_path)
    assert table["authors_probe.last"].tolist()[0] == 0.7 and math.isnan(table["authors_probe.last"][1])
    assert table["authors_probe[epochs=1].last"].tolist()[1] == 0.2


def test_foreign_and_half_written_folders_are_left_out_and_named(tmp_path: Path) -> None:
    kept = run(tmp_path, 0)
    kept.write_evaluation(cell("knn", 1, {"accuracy": 0.9}))
    broken_cell = kept.path / "evaluations" / "linear-0000000000000000.json"
    broken_cell.write_text('{"kind": "linear"')
    (kept.path / "evaluations" / "foreign.json").write_text("{}")
    run(tmp_path, 1).set_aside()
    no_status, bad_status, bad_identity, no_history = (run(tmp_path, number) for number in (2, 3, 4, 5))
    (no_status.path / "status.json").unlink()
    (bad_status.path / "status.json").write_text('{"state":')
    (bad_identity.path / "identity.json").write_text("[1, 2]")
    no_history.history.path.unlink()
    with kept.history.path.open("a") as file:
        file.write('{"epoch": 3, "lo')
    for name in ("tables", ".hidden", "notes"):
        (tmp_path / name).mkdir()
    (tmp_path / "grid.yaml").write_text("axes: {}\n")
    table = load_runs(tmp_path)
    assert list(table["seed"]) == [0, 5]
    assert table["loss"].iloc[0] == -1.5
    assert math.isnan(table["loss"].iloc[1])
    assert table["knn"].iloc[0] == 0.9
    left_out = {Path(path).name: why for path, why in table.attrs["left_out"]}
    assert len(left_out) == len(table.attrs["left_out"]) == 8
    assert left_out["history.jsonl"] == "ends at epoch 0 of 2: rows have gone"
    assert left_out["notes"] == "not a run: no identity.json"
    assert left_out[no_status.path.name] == "half-written: no status.json"
    assert left_out[bad_status.path.name].startswith("damaged")
    assert left_out[bad_identity.path.name].startswith("foreign")
    assert left_out[broken_cell.name].startswith("damaged")
    assert "not an evaluation" in left_out["foreign.json"]
    assert "set aside by --fresh" in left_out.values()


def test_a_history_that_ends_before_its_run_is_named_and_tells_nothing_of_the_end(tmp_path: Path) -> None:
    """Its earlier rows are not the run's last ones: of those, the verdict has the std and the rank."""
    kept = run(tmp_path, 0)
    kept.update_status(
        verdict="none", evidence={"std": 0.75, "std_threshold": 0.05, "rank": 9.5, "rank_threshold": 2.0}
    )
    whole = load_runs(tmp_path)
    assert whole.attrs["left_out"] == [] and "loss" in whole
    lines = kept.history.path.read_text().splitlines(keepends=True)
    kept.history.path.write_text(lines[0] + lines[1][:20])
    table = load_runs(tmp_path)
    assert table[["epoch", "std", "rank", "status"]].to_numpy().tolist() == [[2, 0.75, 9.5, "done"]]
    assert "loss" not in table
    gone = (str(kept.history.path), "ends at epoch 1 of 2: rows have gone")
    assert table.attrs["left_out"] == [gone]
    assert overview(tmp_path).left_out == [gone]
    assert f"left out      {gone[0]}: {gone[1]}" in list(overview(tmp_path).lines())


def test_what_systems_leave_beside_runs_and_in_them_is_passed_over(tmp_path: Path) -> None:
    kept = run(tmp_path, 0)
    kept.write_evaluation(cell("knn", 1, {"accuracy": 0.9}))
    for folder in (tmp_path, kept.path, kept.path / "evaluations"):
        (folder / "@eaDir").mkdir()
        (folder / "Thumbs.db").write_bytes(b"x")
    name = next((kept.path / "evaluations").glob("knn*")).name
    (kept.path / "evaluations" / f"._{name}").write_bytes(b"\0\5\x16\7")  # as macOS leaves on foreign drives
    table = load_runs(tmp_path)
    assert list(table["knn"]) == [0.9]
    assert table.attrs["left_out"] == []


def test_a_damaged_history_costs_the_signals_alone(tmp_path: Path) -> None:
    folder = run(tmp_path, 0)
    folder.history.path.write_text('{"epoch": 1, "loss": -3.5}\n[1]\n')
    table = load_runs(tmp_path)
    assert (table["seed"].tolist(), "loss" in table) == ([0], False)
    assert table.attrs["left_out"] == [(str(folder.history.path), "damaged: not a row: [1]")]


def test_a_run_whose_process_is_gone_is_interrupted(tmp_path: Path) -> None:
    folder = run(tmp_path, 0)
    folder.update_status(state="running")
    assert list(load_runs(tmp_path)["status"]) == ["interrupted"]
    with hold(folder):
        assert list(load_runs(tmp_path)["status"]) == ["running"]


def test_an_empty_and_an_absent_folder(tmp_path: Path) -> None:
    assert len(load_runs(tmp_path)) == 0
    with pytest.raises(InputError, match="no such results folder\nName one with --results DIR"):
        load_runs(tmp_path / "absent")


def test_a_thousand_runs_are_read_in_time(tmp_path: Path) -> None:
    settings = {f"section{i}": {f"option{j}": i + j / 7 for j in range(10)} for i in range(10)}
    history = json.dumps({"epoch": 60, "loss": -3.2, "spectrum": [1 / (i + 1) for i in range(64)]}) + "\n"
    for number in range(1000):
        path = tmp_path / f"quick-{identity_of(number)[:16]}"
        path.mkdir()
        (path / "evaluations").mkdir()
        metrics = {"accuracy": 0.9, "untrained.accuracy": 0.8, "pixels.accuracy": 0.7}
        for name, content in {
            "identity": {"identity": identity_of(number), "recipe": {"seed": number, **settings}},
            "status": asdict(Status(state="done", verdict="none", evidence={"std": 0.9})),
            "evaluations/knn-0": asdict(cell("knn", number, metrics)),
            "evaluations/linear-0": asdict(cell("linear", number, metrics)),
        }.items():
            (path / f"{name}.json").write_text(json.dumps(content))
        (path / "history.jsonl").write_text(history * 60)
    began = time.process_time()
    table = load_runs(tmp_path)
    assert time.process_time() - began < 3
    assert table.shape[0] == 1000
    assert table["seed"].tolist() == list(range(1000))


def test_simclr_has_the_epoch_in_which_its_loss_left_that_of_constant_outputs(tmp_path: Path) -> None:
    recipe = (
        RECIPE[: RECIPE.index("method:")] + "method: {{kind: simclr, negatives: all}}\ntraining: {{batch_size: 64}}\n"
    )
    for number, losses in enumerate([(None, 4.84, 4.7, 4.5, 4.0), (None, 4.84, 4.7, 4.61, 4.61)]):
        folder = create(tmp_path, "simclr", identity_of(number), recipe.format(seed=number))
        for epoch, loss in enumerate(losses):
            folder.history.append({"epoch": epoch, "loss": loss, "std": 0.8})
    found = load_runs(tmp_path)["plateau"].tolist()
    assert found[0] == 3  # log(2 · 64 − 1) = 4.844, less 5 %: 4.602
    assert math.isnan(found[1])
