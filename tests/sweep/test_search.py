"""Searches: what is asked, told, pruned and shared; with an engine in memory, and with real sweepers and a kill."""

import shlex
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import psutil
import pytest
from memory_engine import MemoryEngine
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from sslrun.errors import InputError, RecipeError
from sslrun.grids import Grid, read_grid
from sslrun.jobs import identify, places
from sslrun.recipe import read_recipe, to_yaml
from sslrun.runs import load_runs
from sslrun.runs.folder import RunFolder, create, find
from sslrun.runs.lease import hold
from sslrun.runs.records import EvaluationRecord
from sslrun.runs.status import overview
from sslrun.sweeps.engine import Outcome, Running
from sslrun.sweeps.scheduler import Sweep
from sslrun.sweeps.search import trials as search_module
from sslrun.sweeps.search.command import command
from sslrun.sweeps.search.trials import Trials
from sslrun.sweeps.work import Job

Start = Callable[..., "subprocess.Popen[str]"]

GRID = """\
base: base.yaml
set: {training.epochs: 4}
search:
  trials: 6
  sampler: random
  fields:
    optimizer.network.lr: {low: 0.003, high: 0.1, log: true}
    training.batch_size: {low: 32, high: 64, step: 16}
    method.predictor: {choices: [{kind: directpred, rho: 0.5}, {kind: linear}]}
  objectives: {knn: maximise}
"""


def write(base: Path, text: str) -> Path:
    path = base.with_name("look.yaml")
    path.write_text(text)
    return path


def study_of(results: Path) -> optuna.Study:
    storage = JournalStorage(JournalFileBackend(str(results / "sweeps" / "look.journal")))
    (name,) = optuna.get_all_study_names(storage)
    return optuna.load_study(storage=storage, study_name=name)


def score(job: Job) -> float:
    """What the stand-in gives a run as its accuracy."""
    network = job.recipes[0].optimizer.network
    return round(network.lr * 5 + job.cells[0].seed / 10, 6)


def training(
    fails: Callable[[Job], bool] = lambda _: False, std: Callable[[Job], float] = lambda _: 1.0, jobs: int = 2
) -> MemoryEngine:
    """An engine that trains each job an epoch a turn, computing nothing; `fails` and `std` say how that goes."""

    def turn(one: Running) -> Outcome | None:
        one.folder.write_status(replace(one.folder.status, state="running"))
        if fails(one.job):
            return Outcome("failed", "NaN at step 3")
        epoch = (one.folder.history.last() or {"epoch": -1})["epoch"] + 1
        one.folder.history.append({"epoch": epoch, "std": std(one.job) if epoch else 1.0, "loss": -1.0})
        if epoch < one.job.recipes[0].training.epochs:
            return None
        finish(one.job, one.folder)
        return Outcome("done")

    return MemoryEngine(turn, at_once=jobs)


def finish(job: Job, folder: RunFolder) -> None:
    for identity, name in job.evaluations.items():
        metrics = {"accuracy": score(job)}
        record = EvaluationRecord(kind=name.kind, identity=identity, settings={}, metrics=metrics, seconds=1.0)
        folder.write_evaluation(record)
    folder.update_status(state="done", verdict="none")


class Silent:
    def event(self, text: str) -> None:
        pass

    def draw(self, sweep: Sweep) -> None:
        pass


def searched(
    grid: Grid, results: Path, most: float = float("inf"), **how: Any
) -> tuple[Trials, list[str], list[optuna.trial.FrozenTrial]]:
    """The search carried out in memory, the runs that were started, and all its trials."""
    trials, engine, told = searched_by(training(**how), grid, results, most)
    return trials, [job.identity for job, _, _ in engine.started], told


def searched_by(
    engine: MemoryEngine, grid: Grid, results: Path, most: float = float("inf")
) -> tuple[Trials, MemoryEngine, list[optuna.trial.FrozenTrial]]:
    assert grid.space is not None
    trials = Trials(grid, grid.space, results, results, engine.run_options)
    trials.most = most
    Sweep((), engine, Silent(), results, feed=trials).run()
    return trials, engine, study_of(results).trials


def test_each_trial_is_a_run_and_its_value_the_runs_own(grid: Path, tmp_path: Path) -> None:
    trials, started, told = searched(read_grid(write(grid, GRID)), tmp_path)
    assert [trial.state for trial in told] == [TrialState.COMPLETE] * 6
    table = load_runs(tmp_path).set_index("identity")
    for trial in told:
        (run,) = trial.user_attrs["runs"]
        assert trial.value == table.loc[run, "knn"]
        point = trials.study.point(trial)
        assert table.loc[run, "optimizer.network.lr"] == point["optimizer.network.lr"]
        assert point["optimizer.network.lr"] == float(f"{trial.params['optimizer.network.lr']:.6g}")
        assert table.loc[run, "training.batch_size"] in (32, 48, 64)
        assert table.loc[run, "method.predictor.kind"] == point["method.predictor"]["kind"]
    assert len(set(started)) == len(started) == 6
    assert trials.study.best()[0].value == max(trial.value or 0 for trial in told)
    again, started, _ = searched(read_grid(write(grid, GRID.replace("trials: 6", "trials: 8"))), tmp_path)
    assert len(started) == 2 and again.counts["done"] == 8


def test_the_printed_command_is_the_same_run(grid: Path, tmp_path: Path) -> None:
    text = GRID.replace("{training.epochs: 4}", "{training.epochs: 4, method.predictor: {kind: directpred, rho: 0.1}}")
    trials, _, told = searched(read_grid(write(grid, text), ["evaluation.knn.k=7"]), tmp_path)
    for trial in told:
        sslrun, pretrain, base, *settings = shlex.split(command(trials, trial))
        assert (sslrun, pretrain, set(settings[::2])) == ("sslrun", "pretrain", {"--set"})
        recipe = read_recipe(base, settings[1::2])
        assert [identify(recipe, places(recipe, data=tmp_path).data)] == trial.user_attrs["runs"]
        assert recipe.evaluation.knn is not None and recipe.evaluation.knn.k == 7


def test_what_is_there_is_told_without_computing(grid: Path, tmp_path: Path) -> None:
    fields = GRID[GRID.index("    optimizer") : GRID.index("  objectives")]
    text = GRID.replace(fields, "    optimizer.network.lr: {choices: [0.01, 0.02]}\n")
    _, started, told = searched(read_grid(write(grid, text)), tmp_path)
    assert len(started) == 2
    assert {trial.value for trial in told} == {0.05, 0.1}
    # Another search over the same runs, by another metric.
    other = grid.with_name("other.yaml")
    other.write_text(text.replace("{knn: maximise}", "{std: maximise, loss: minimise}"))
    trials, started, _ = searched(read_grid(other), tmp_path)
    assert started == []
    assert [trial.values for trial in trials.study.trials()] == [[1.0, -1.0]] * 6
    assert len(trials.study.best()) == 6


def test_a_failed_run_is_a_failed_trial_and_the_search_goes_on(grid: Path, tmp_path: Path) -> None:
    _, started, told = searched(
        read_grid(write(grid, GRID)), tmp_path, fails=lambda job: job.recipes[0].training.batch_size == 48
    )
    failed = {trial.number for trial in told if trial.params["training.batch_size"] == 48}
    assert 0 < len(failed) < 6 and len(started) == 6
    for trial in told:
        assert trial.state == (TrialState.FAIL if trial.number in failed else TrialState.COMPLETE)
        assert trial.user_attrs.get("reason") == ("NaN at step 3" if trial.number in failed else None)


def test_a_point_that_the_images_dont_suit_is_a_failed_trial(grid: Path, tmp_path: Path) -> None:
    text = GRID.replace("    method.predictor", "    evaluation.knn.k: {choices: [5, 300]}\n    method.predictor")
    trials, started, told = searched(read_grid(write(grid, text)), tmp_path)
    failed = [trial for trial in told if trials.study.point(trial)["evaluation.knn.k"] == 300]
    assert 0 < len(failed) < 6 and len(started) == 6 - len(failed)
    for trial in told:
        assert trial.state == (TrialState.FAIL if trial in failed else TrialState.COMPLETE)
    assert "300 neighbours of 256 labelled training images" in failed[0].user_attrs["reason"]


def test_the_value_is_the_mean_over_seeds(grid: Path, tmp_path: Path) -> None:
    trials, started, told = searched(read_grid(write(grid, GRID + "seeds: [3, 5]\n")), tmp_path, most=2)
    assert len(told) == 2 and len(started) == 4
    for trial in told:
        lr = trials.study.point(trial)["optimizer.network.lr"]
        assert trial.value == pytest.approx(5 * lr + 0.4, abs=1e-6)


def test_the_pruner_looks_at_histories(grid: Path, tmp_path: Path) -> None:
    text = GRID.replace("epochs: 4", "epochs: 9").replace("trials: 6", "trials: 12").replace("step: 16", "step: 32")
    text += "  pruning: {signal: std, after_epochs: 3, after_trials: 2}\n"
    good = {"kind": "directpred", "rho": 0.5}
    engine = training(std=lambda job: 0.8 if "directpred" in str(job) else 0.1, jobs=1)
    trials, engine, told = searched_by(engine, read_grid(write(grid, text)), tmp_path)
    firsts = [trial.number for trial in told if trial.state == TrialState.COMPLETE][:2]
    pruned = [trial for trial in told if trial.state == TrialState.PRUNED]
    assert pruned and len(engine.cancelled) == len(pruned)
    for trial in told:
        bad = trials.study.point(trial)["method.predictor"] != good and trial.number > firsts[-1]
        folder = find(tmp_path, trial.user_attrs["runs"][0])
        assert folder is not None
        assert min(trial.intermediate_values) == 3  # the untrained encoder's std of 1 is not among them
        if trial in pruned:
            assert bad and max(trial.intermediate_values) == 3
            assert folder.status.state == "pruned"
        else:
            assert trial.state == TrialState.COMPLETE
            assert [row["epoch"] for row in folder.history.read()] == list(range(10))


def test_a_trial_whose_sweeper_died_is_resumed(grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while it asked, leaving half a trial and half a line; and killed after its run had begun."""
    monkeypatch.setattr(search_module, "_YOUNG", search_module.timedelta(seconds=0.5))
    plan = read_grid(write(grid, GRID))
    assert plan.space is not None
    dead = Trials(plan, plan.space, tmp_path, tmp_path, {"device": "cpu", "threads": 1})
    with dead.study.alone():
        begun = dead.study.ask()
        dead.study.note(begun, "runs", ["0" * 64])
    study_of(tmp_path).ask().suggest_float("optimizer.network.lr", 0.003, 0.1, log=True)
    with (tmp_path / "sweeps" / "look.journal").open("ab") as journal:
        journal.write(b'{"op_code":4,"wor')
    _, started, told = searched(plan, tmp_path)
    assert [trial.state for trial in told] == [TrialState.COMPLETE] * 6
    assert all(len(trial.params) == 3 for trial in told)
    assert told[0].params == begun.params and told[0].user_attrs["runs"] != ["0" * 64]
    assert len(started) == 6


def test_a_trial_under_way_elsewhere_is_watched(grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_module, "_YOUNG", search_module.timedelta(0))
    plan = read_grid(write(grid, GRID))
    assert plan.space is not None
    other = Trials(plan, plan.space, tmp_path, tmp_path, {"device": "cpu", "threads": 1})
    with other.study.alone():
        trial = other.study.ask()
    (job,) = other.jobs(trial)
    folder = create(tmp_path, "run", job.identity, to_yaml(job.recipes[0]))
    folder.update_status(state="running")

    def std(_: Job) -> float:
        finish(job, folder)  # meanwhile, the other's run ends
        return 1.0

    with hold(folder):
        folder.history.append({"epoch": 0, "std": 1.0})
        _, started, told = searched(plan, tmp_path, std=std)
    assert [one.state for one in told] == [TrialState.COMPLETE] * 6
    assert job.identity not in started and len(started) == 5
    assert told[0].value == score(job)


BROKEN = [
    ("low: 0.003, high", "low: 0.2, high", "7:33", "low must be below high"),
    ("low: 0.003", "low: 0", "7:33", "must be above 0"),
    ("optimizer.network.lr", "optimizer.network.rate", "7:5", "optimizer.network.rate"),
    ("low: 32, high: 64, step: 16", "low: 32.5, high: 64", "8:32", "32.5 is not allowed"),
    ("low: 32, high: 64, step: 16", "low: 1, high: 64", "8:32", "1 is not allowed"),
    ("step: 16", "step: 15", "8:42", "whole number of steps"),
    ("low: 32, high: 64, step: 16", "low: 32, high: 64, step: 0.5", "8:52", "whole numbers"),
    ("log: true", "log: true, step: 0.01", "7:68", "log and step"),
    ("{kind: linear}]", "{kind: linera}]", "9:71", "did you mean 'linear'?"),
    ("{kind: linear}]", "{kind: linear, rho: 0.5}]", "9:79", "it belongs to directpred"),
    (", {kind: linear}]", "]", "9:33", "two choices or more"),
    ("rho: 0.5}, {kind: linear}]", "rho: 0.5}, {kind: linear}], low: 1", "9:33", "choices stand alone"),
    ("{knn: maximise}", "{kn: maximise}", "10:16", "did you mean 'knn'?"),
    ("{knn: maximise}", "{linear: maximise}", "10:16", "no such metric"),
    ("{knn: maximise}", "{knn: larger}", "10:21", "one of maximise, minimise"),
    ("{knn: maximise}", "{}", "10:3", "names no metric"),
    ("random", "cmaes", "9:5", "cmaes searches ranges of numbers only"),
    ("random", "grid", "5:12", "one of tpe, random, cmaes"),
    ("trials: 6", "trials: 0", "4:11", "at least 1"),
    ("{knn: maximise}", "{knn: maximise, std: maximise}\n  pruning: {signal: std}", "11:3", "single objective"),
    ("{knn: maximise}", "{knn: maximise}\n  pruning: {signal: probe.knn.accuracy}", "11:21", "evaluation.every"),
    ("{knn: maximise}", "{knn: maximise}\n  pruning: {signal: std}\nseeds: 2", "12:8", "one seed"),
    ("search:", "axes: {k: {a: {}}}\nsearch:", "3:1", "a search takes the place of axes"),
    ("optimizer.network.lr", "seed", "7:5", "seeds"),
    ("training.batch_size: {low", "optimizer.network: {low", "8:5", "optimizer.network and optimizer.network.lr"),
    ("    training", "    method.predictor.rho: {low: 0, high: 1}\n    training", "10:5", "part of the other"),
]


@pytest.mark.parametrize(("old", "new", "where", "told"), BROKEN)
def test_errors_point_at_the_mistake(grid: Path, old: str, new: str, where: str, told: str) -> None:
    assert old in GRID
    path = write(grid, GRID.replace(old, new))
    with pytest.raises(RecipeError) as caught:
        read_grid(path)
    assert f"{path.name}:{where}:" in str(caught.value).splitlines()[0], caught.value
    assert told in str(caught.value)


def test_domains_held_out_choose_nothing(grid: Path) -> None:
    text = "base: bss/digits_styles\nsearch:\n  trials: 2\n  fields: {training.epochs: {low: 1, high: 9}}\n"
    with pytest.raises(RecipeError, match="knn: it is of the domains held out, which must not choose"):
        read_grid(write(grid, text))
    found = read_grid(write(grid, text + "  objectives: {udg.10.validation: maximise}\n"))
    assert found.space is not None and list(found.space.search.objectives) == ["udg.10.validation"]


def test_options_that_only_together_are_wrong_are_found_before_the_start(grid: Path) -> None:
    both = "    training.epochs: {low: 4, high: 9}\n    training.keep_encoder_at: {choices: [[], [9]]}\n"
    with pytest.raises(RecipeError, match="epoch 9 never comes") as caught:
        read_grid(write(grid, GRID.replace("    method", f"{both}    method", 1)))
    assert "training.epochs 4, training.keep_encoder_at [9]" in caught.value.what
    with pytest.raises(RecipeError, match=r"^--set optimizer.network.lr=1: .* is what the search varies"):
        read_grid(write(grid, GRID), ["optimizer.network.lr=1"])


def test_cmaes_searches_numbers_and_names_its_package(
    grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "".join(line for line in GRID.splitlines(keepends=True) if "choices" not in line)
    plan = read_grid(write(grid, text.replace("random", "cmaes")))
    _, _, told = searched(plan, tmp_path)
    assert len({trial.params["optimizer.network.lr"] for trial in told}) == 6
    assert any("cma" in name for trial in told for name in trial.system_attrs)
    monkeypatch.setattr("sslrun.sweeps.search.study.find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"pip install 'sslrun\[search\]'"):
        searched(plan, tmp_path / "without")


REAL = """\
base: base.yaml
set: {training: {epochs: 6, on_collapse: stop}}
search:
  trials: 5
  sampler: random
  fields:
    optimizer.network.lr: {low: 0.003, high: 0.1, log: true}
    training.collapse.std: {choices: [0, 2]}
"""


def test_two_sweepers_of_which_one_is_killed(tmp_path: Path, grid: Path, start: Start) -> None:
    path = write(grid, REAL)
    first, second = (start(path, tmp_path, "--jobs", "1") for _ in range(2))
    assert first.stdout is not None
    while "trial" not in first.stdout.readline():
        assert first.poll() is None
    time.sleep(0.7)
    victims = [psutil.Process(first.pid), *psutil.Process(first.pid).children(recursive=True)]
    for one in victims:
        one.kill()
    first.wait()
    first.stdout.close()
    said, _ = second.communicate(timeout=120)
    assert second.returncode == 0, said
    assert "5 of 5 trials ended" in said

    told = study_of(tmp_path).trials
    table = load_runs(tmp_path).set_index("identity")
    assert [trial.state for trial in told] == [TrialState.COMPLETE] * 5
    assert len(table) == 5
    for trial in told:
        (run,) = trial.user_attrs["runs"]
        assert trial.value == table.loc[run, "knn"]
        stopped = trial.params["training.collapse.std"] == "2"
        assert table.loc[run, "epoch"] == (3 if stopped else 6)
        assert stopped == (table.loc[run, "verdict"] == "complete")
    assert set(table["verdict"]) > {"complete"}

    journal = (tmp_path / "sweeps" / "look.journal").read_bytes()
    again, started, _ = searched(read_grid(path), tmp_path)
    assert again.counts["done"] == 5 and not started
    assert (tmp_path / "sweeps" / "look.journal").read_bytes() == journal


PRUNED = """\
base: base.yaml
set: {training.epochs: 40}
search:
  trials: 2
  sampler: random
  fields:
    optimizer.network.lr: {choices: [0.03, 1.0e-9]}
  pruning: {signal: loss, after_epochs: 2, after_trials: 1}
"""


def test_a_pruned_job_saves_its_state(tmp_path: Path, grid: Path, start: Start) -> None:
    process = start(write(grid, PRUNED), tmp_path, "--jobs", "1")
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    told = study_of(tmp_path).trials
    assert [trial.params["optimizer.network.lr"] for trial in told] == ["0.03", "1e-09"]
    assert [trial.state for trial in told] == [TrialState.COMPLETE, TrialState.PRUNED]
    folder = find(tmp_path, told[1].user_attrs["runs"][0])
    assert folder is not None
    assert folder.checkpoint.exists() and not (folder.path / "lease.json").exists()
    assert overview(tmp_path).grids == {"look": {"done": 1, "pruned": 1}}
    assert "trial 1   pruned after epoch" in said and "1e-09" not in said.split("again")[1]
