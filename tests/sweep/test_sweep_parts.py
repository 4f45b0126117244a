"""The parts of a sweep by themselves: what it decides, what it costs, where jobs go."""

import os
import re
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from scripted_sweeps import Silent, evaluate, folder_of, plan_of, scripted, swept

from sslrun.cli.options import seconds
from sslrun.console import span
from sslrun.errors import InputError, RecipeError, RunFailed
from sslrun.files import read_json
from sslrun.grids import read_grid
from sslrun.grids.grid import select
from sslrun.jobs import places
from sslrun.jobs.measuring import Cost, measure
from sslrun.runs.folder import find
from sslrun.runs.lease import hold
from sslrun.runs.records import EvaluationRecord
from sslrun.runs.status import overview
from sslrun.sweeps.costs import earlier, recipe_key
from sslrun.sweeps.engine import Outcome, Running
from sslrun.sweeps.local import LocalEngine
from sslrun.sweeps.progress import counts, seconds_left
from sslrun.sweeps.scheduler import Sweep
from sslrun.sweeps.session import Options, carry_out, opened, planned
from sslrun.sweeps.slots import Device, Slots, cores, slots
from sslrun.sweeps.started import Started
from sslrun.sweeps.work import Job, grid_record, jobs_of

CPU = Device("cpu")


@pytest.fixture
def jobs(grid: Path, tmp_path: Path) -> list[Job]:
    return jobs_of(read_grid(grid).cells, tmp_path, {"device": "cpu", "threads": 1})


def test_cells_that_differ_in_evaluation_share_a_job(jobs: list[Job], tmp_path: Path) -> None:
    assert len(jobs) == 4
    for job in jobs:
        assert [recipe.evaluation.knn and recipe.evaluation.knn.k for recipe in job.recipes] == [5, 20]
        assert len(job.evaluations) == 2
        assert job.recipes[0].run.threads == 1
    assert str(jobs[0]) == "predictor linear · k 5|20 · seed 0"


def test_the_state_of_a_job_is_read_from_its_folder(jobs: list[Job], tmp_path: Path) -> None:
    job = jobs[0]
    assert job.state(None) == "missing"
    folder = folder_of(job, tmp_path)
    assert job.state(folder) == "queued"
    folder.update_status(state="running")
    assert job.state(folder) == "interrupted"
    with hold(folder):
        assert job.state(folder) == "running"
    folder.update_status(state="failed", reason="crashed")
    assert job.state(folder) == "failed"
    folder.update_status(state="done", reason=None)
    assert job.state(folder) == "unjudged"
    folder.update_status(reason="an evaluation crashed")
    assert job.state(folder) == "failed"
    evaluate(job, folder)
    assert job.state(folder) == "done"


def test_the_plan_adds_up(jobs: list[Job], grid: Path, tmp_path: Path) -> None:
    evaluate(jobs[0], folder_of(jobs[0], tmp_path, state="done", epoch=2))
    folder_of(jobs[1], tmp_path, state="running", epoch=1)
    folder_of(jobs[2], tmp_path, state="failed", reason="x")
    plan = plan_of(jobs, grid, tmp_path)
    assert plan.cells == {"done": 2, "interrupted": 2, "failed": 2, "missing": 2}
    assert [entry.job for entry in plan.ours] == [jobs[1], jobs[3]]
    assert [entry.seconds for entry in plan.ours] == [10 + 2 * 5, 20 + 2 * 5]
    assert sum(entry.bytes for entry in plan.ours) == 4_000_000
    text = plan.text()
    assert "8 cells (predictor 2 × k 2 × 2 seeds) that share 4 pretrainings" in text
    assert "2 new · 2 to be finished · 2 cached · 2 failed before" in text
    assert "2 runs now: about 50s of device time · 4 MB of disk · done in 30s" in text
    assert "2 at once in memory; measured on a few steps" in text
    assert re.search(r"done in 30s, \w{3} \d\d \w{3} \d{4}, \d\d:\d\d", text)
    assert len(plan_of(jobs, grid, tmp_path, retry=True).ours) == 3
    assert [entry.job for entry in plan_of(jobs, grid, tmp_path, limit=1).ours] == [jobs[1]]
    assert [entry.job for entry in plan_of(jobs, grid, tmp_path, budget=49).ours] == [jobs[1]]


def test_a_run_that_can_not_be_read_is_named_and_costs_its_own_cells_alone(
    jobs: list[Job], grid: Path, tmp_path: Path
) -> None:
    (folder_of(jobs[0], tmp_path).path / "status.json").write_text("{")
    plan = plan_of(jobs, grid, tmp_path, retry=True)
    assert [entry.job for entry in plan.ours] == jobs[1:]
    text = plan.text()
    assert "6 new · 2 damaged\n" in text and text.count("left as it is: ") == 1
    assert f"{jobs[0].identity[:16]}/status.json: damaged: " in text and "pretrain --fresh" in text
    done = SimpleNamespace(work=lambda entries, quiet: SimpleNamespace(failures=[], stops=0))
    with pytest.raises(RunFailed, match=r"^1 of 4 runs failed\n  predictor linear .*: damaged: "):
        carry_out(plan, cast(Any, done))


def test_the_cells_of_a_plan_are_counted_with_seeds_and_exclusions(grid: Path, tmp_path: Path) -> None:
    path = grid.with_name("counted.yaml")
    path.write_text(grid.read_text() + 'exclude: [{predictor: linear, k: "5"}]\n')
    jobs = jobs_of(read_grid(path).cells, tmp_path, {"device": "cpu", "threads": 1})
    whole = plan_of(jobs, path, tmp_path).text()
    assert "6 cells (predictor 2 × k 2 × 2 seeds, 2 excluded) that share 4 pretrainings" in whole
    part = plan_of(jobs[:2], path, tmp_path).text()
    assert "3 cells (of 6: predictor 2 × k 2 × 2 seeds, 2 excluded) that share 2 pretrainings" in part


def test_a_missing_evaluation_costs_what_its_kind_took_with_other_settings(
    jobs: list[Job], grid: Path, tmp_path: Path
) -> None:
    (first, name), (second, _) = jobs[0].evaluations.items()
    folder = folder_of(jobs[0], tmp_path, state="done", epoch=2)
    cell = EvaluationRecord(kind=name.kind, identity=first, settings={}, metrics={}, seconds=1.25)
    folder.write_evaluation(cell)
    assert [entry.seconds for entry in plan_of(jobs[:1], grid, tmp_path).ours] == [1.25]
    folder.evaluation_path(name, first).write_text("{")  # damaged: both are to be made
    assert [entry.seconds for entry in plan_of(jobs[:1], grid, tmp_path).ours] == [10]
    folder.write_evaluation(cell)
    folder.write_evaluation(replace(cell, identity=second))
    assert plan_of(jobs[:1], grid, tmp_path).ours == []


def test_costs_come_from_earlier_runs_of_the_same_kind(jobs: list[Job], undisturbed: Path, tmp_path: Path) -> None:
    costs = earlier(undisturbed)
    recipe = jobs[0].recipes[0]
    assert set(costs) == {recipe_key(recipe)}
    assert recipe_key(recipe) != recipe_key(
        jobs[0].recipes[0].model_copy(update={"run": recipe.run.model_copy(update={"threads": 2})})
    )
    cost = costs[recipe_key(recipe)]
    timed = measure(recipe, places(recipe, tmp_path, tmp_path))
    assert cost.evaluation > 0
    assert 0 < timed.epoch < 60 and 0 < cost.epoch < 60
    assert 0 < timed.evaluation < 60
    # Weights, momenta and the encoder: what is estimated is what the folder came to hold, within its small files.
    assert timed.size < cost.size < timed.size + 100_000


@pytest.mark.parametrize(
    ("only", "count"), [((), 8), (("k=5",), 4), (("k=5", "seed=1"), 2), (("k=5", "k=20", "predictor=linear"), 4)]
)
def test_only(grid: Path, only: tuple[str, ...], count: int) -> None:
    assert len(select(read_grid(grid), only)) == count


@pytest.mark.parametrize(
    ("only", "told"),
    [
        ("kk=5", "did you mean 'k'?"),
        ("k", r"names no label of k\n.*k=LABEL  \(labels: 5, 20"),
        ("k=6", "labels: 5, 20"),
    ],
)
def test_only_is_checked(grid: Path, only: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        select(read_grid(grid), [only])


def test_only_a_start_writes_the_record_and_a_trial_has_its_own(
    grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LocalEngine, "warm_up", lambda _: None)
    monkeypatch.setattr(LocalEngine, "measure", lambda *_: Cost(10.0, 5.0, 2_000_000))
    options = Options(tmp_path, tmp_path, "cpu", jobs=1)

    def records(*changes: str, start: bool) -> dict[str, int]:
        with planned(read_grid(grid, changes), options, start=start) as (plan, _):
            assert plan.text().startswith(plan.grid.record_name)
        files = {path.stem: read_json(path) for path in (tmp_path / "sweeps").glob("*.json")}
        assert all(record["grid"] == name for name, record in files.items())
        return {name: len(record["cells"]) for name, record in files.items()}

    assert records(start=False) == {}
    assert records(start=True) == {"small": 8}
    whole = (tmp_path / "sweeps" / "small.json").read_bytes()
    assert records("training.epochs=1", start=False) == {"small": 8}
    both = records("training.epochs=1", start=True)
    assert len(both) == 2 and set(both.values()) == {8}
    assert (tmp_path / "sweeps" / "small.json").read_bytes() == whole


def test_the_grid_says_what_carries_its_runs_out(grid: Path, tmp_path: Path) -> None:
    path = grid.with_name("engine.yaml")
    path.write_text(f"{grid.read_text()}engine: {{kind: local, jobs: 1}}\n")
    for jobs, at_once in ((None, 1), (cores(), cores())):
        with opened(read_grid(path), Options(tmp_path, tmp_path, "cpu", jobs), start=False) as session:
            assert (session.engine.at_once, session.engine.run_options["device"]) == (at_once, "cpu")
            assert isinstance(session.engine, LocalEngine)
    path.write_text(f"{grid.read_text()}engine: {{kind: locale}}\n")
    with pytest.raises(RecipeError, match="did you mean 'local'"):
        read_grid(path)


def test_cores_are_never_oversubscribed() -> None:
    assert slots("cpu") == Slots((CPU,), cores(), 1)
    assert slots("cpu", threads=cores()).jobs == 1
    with pytest.raises(InputError, match="cores"):
        slots("cpu", jobs=cores() + 1)


@pytest.mark.parametrize(
    ("jobs", "threads", "running", "room", "alone"),
    [
        (1, 4, [], "cuda:0", "cuda:0"),
        (1, 4, [(0, 1, False)], "cuda:1", "cuda:1"),  # resumed with one thread: no room for a second job beside it
        (1, 4, [(0, 1, False), (1, 1, False)], None, None),
        (2, 2, [(0, 1, False), (0, 1, False), (1, 2, False)], "cuda:1", None),
        (2, 2, [(0, 4, False), (1, 1, False)], "cuda:1", None),  # resumed with more threads than its slot has
        (2, 2, [(0, 2, True), (1, 2, False), (1, 2, False)], None, None),
    ],
)
def test_a_device_has_as_many_jobs_as_slots_whatever_their_threads(
    jobs: int, threads: int, running: list[tuple[int, int, bool]], room: str | None, alone: str | None, tmp_path: Path
) -> None:
    devices = (Device("cuda:0", "0"), Device("cuda:1", "1"))
    engine = LocalEngine(Slots(devices, jobs, threads), tmp_path)
    for one in engine.rooms.values():
        one.allowed = jobs  # each has been found to be worth it
    engine.started = {
        cast(Running, number): cast(Started, SimpleNamespace(device=devices[device], threads=count, alone=by_itself))
        for number, (device, count, by_itself) in enumerate(running)
    }
    found = engine.free(), engine.free(alone=True)
    assert tuple(device and device.name for device in found) == (room, alone)
    assert (engine.room(), engine.room(alone=True)) == (room is not None, alone is not None)
    assert engine.at_once == 2 * jobs


@pytest.mark.parametrize(
    ("text", "length"), [("90s", 90), ("30m", 1800), ("6h", 21600), ("1h30m", 5400), ("1.5h", 5400), ("2d", 172800)]
)
def test_lengths_of_time(text: str, length: float) -> None:
    assert seconds(text, "--budget") == length


def test_lengths_of_time_shown_and_refused() -> None:
    assert [span(length) for length in (19, 3599, 7387, 273600 + 86400)] == [
        "19s",
        "59m 59s",
        "2h 03m",
        "4d 4h",
    ]
    for wrong in ("6", "h", "6 hours", "", "0h", "-1h"):
        with pytest.raises(InputError, match="--budget"):
            seconds(wrong, "--budget")


def test_out_of_memory_is_tried_again_alone_and_after_the_others(jobs: list[Job], grid: Path, tmp_path: Path) -> None:
    def script(job: Job, count: int) -> Outcome:
        return Outcome("memory", "too big") if job is jobs[0] and count == 1 else Outcome("done")

    sweep, engine = swept(jobs, grid, tmp_path, script)
    assert len(sweep.done) == 4 and not sweep.failures
    assert engine.started[-1] == (jobs[0], True, 0)
    assert [alone for _, alone, _ in engine.started] == [False] * 4 + [True]


def test_a_designed_error_is_not_tried_again_and_a_crash_once(
    jobs: list[Job], grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    monkeypatch.setattr(Silent, "event", lambda _, text: events.append(text))
    for job in jobs[:2]:
        folder_of(job, tmp_path, state="queued").log.write_text("raise\nNaN at step 3\n")
    ends = {jobs[0].identity: Outcome("failed", "NaN at step 3"), jobs[1].identity: Outcome("crashed", "exit code 7")}
    sweep, engine = swept(jobs, grid, tmp_path, lambda job, _: ends.get(job.identity, Outcome("done")))
    assert [sum(job is one for job, _, _ in engine.started) for one in jobs] == [1, 2, 1, 1]
    assert {failure.job.identity: failure.reason for failure in sweep.failures} == {
        jobs[0].identity: "NaN at step 3",
        jobs[1].identity: "crashed: exit code 7 (try 2 of 2)",
    }
    assert f"{jobs[0]}   given up: NaN at step 3" in events  # which its log says too
    assert f"{jobs[1]}   given up: crashed: exit code 7 (try 2 of 2)\n    raise\n    NaN at step 3" in events
    for failure in sweep.failures:
        folder = find(tmp_path, failure.job.identity)
        assert folder is not None
        assert (folder.status.state, folder.status.reason) == ("failed", failure.reason)
    again, engine = swept(jobs, grid, tmp_path, lambda *_: Outcome("done"), retry=True)
    assert [job for job, _, _ in engine.started] == jobs[:2]
    assert len(again.done) == 2 and not again.failures


def test_what_another_sweep_gives_up_while_it_waits_here_is_not_tried_again(
    jobs: list[Job], grid: Path, tmp_path: Path
) -> None:
    folder = folder_of(jobs[0], tmp_path)

    def script(job: Job, count: int) -> Outcome:
        if job is jobs[0] and count == 1:
            return Outcome("memory", "too big")
        if job is jobs[3]:
            folder.update_status(state="failed", finished="2999-01-01T00:00:00Z", reason="given up there")
        return Outcome("done")

    sweep, engine = swept(jobs, grid, tmp_path, script)
    assert [job for job, _, _ in engine.started] == jobs
    assert [(failure.job, failure.reason) for failure in sweep.failures] == [(jobs[0], "given up there")]


def test_a_failed_evaluation_leaves_the_run_done(jobs: list[Job], grid: Path, tmp_path: Path) -> None:
    folder = folder_of(jobs[0], tmp_path, state="done", verdict="none")
    sweep, _ = swept(jobs[:1], grid, tmp_path, lambda *_: Outcome("crashed", "exit code 7"))
    assert len(sweep.failures) == 1
    assert folder.status.state == "done"
    assert jobs[0].state(folder) == "failed"
    swept(jobs[:1], grid, tmp_path, lambda *_: Outcome("done"), retry=True)
    assert folder.status.reason is None
    assert jobs[0].state(folder) == "done"


def test_a_run_held_elsewhere_is_watched_until_it_is_done(jobs: list[Job], grid: Path, tmp_path: Path) -> None:
    folder = folder_of(jobs[0], tmp_path, state="running")
    with hold(folder):
        plan = plan_of(jobs, grid, tmp_path)
        assert [entry.state for entry in plan.entries] == ["running", "missing", "missing", "missing"]
        engine = scripted(lambda *_: Outcome("done"))
        sweep = Sweep(plan.entries, engine, Silent(), tmp_path)
        evaluate(jobs[0], folder)
        folder.update_status(state="done")
        sweep.run()
    assert len(sweep.done) == 4
    assert jobs[0] not in [job for job, _, _ in engine.started]


def test_what_is_left_is_judged_by_what_is_done(jobs: list[Job], grid: Path, tmp_path: Path) -> None:
    entries = plan_of(jobs, grid, tmp_path).entries
    assert [entry.seconds for entry in entries] == [30.0] * 4
    engine = scripted(lambda *_: Outcome("done"), takes=3 * 30.0)
    sweep = Sweep(entries, engine, Silent(), tmp_path)
    sweep.run()
    assert sweep.expected(jobs[0]) == pytest.approx(90, rel=0.1)
    sweep.queue.append(jobs[0])
    assert seconds_left(sweep) == pytest.approx(90 / engine.at_once, rel=0.1)


def test_stop_on_failure_starts_nothing_more(jobs: list[Job], grid: Path, tmp_path: Path) -> None:
    sweep, engine = swept(jobs, grid, tmp_path, lambda *_: Outcome("failed", "NaN"), {"stop_on_failure": True})
    assert len(engine.started) == 2 and len(sweep.queue) == 2
    assert {failure.reason for failure in sweep.failures} == {"NaN"}


def test_a_run_that_is_ended_beside_one_that_fails_says_so(jobs: list[Job], grid: Path, tmp_path: Path) -> None:
    folder = folder_of(jobs[0], tmp_path, state="queued")

    def script(job: Job, _: int) -> Outcome | None:
        if job is jobs[0]:
            folder.update_status(state="running")
        return Outcome("failed", "NaN") if job is jobs[1] else None

    swept(jobs, grid, tmp_path, script, {"stop_on_failure": True})
    assert (jobs[0].state(folder), folder.status.reason) == ("interrupted", "stopped by the sweep")


def test_cells_are_counted_as_status_counts_them(jobs: list[Job], grid: Path, tmp_path: Path) -> None:
    evaluate(jobs[0], folder_of(jobs[0], tmp_path, state="collapsed", verdict="complete"))
    ends = {jobs[1].identity: Outcome("failed", "NaN")}
    sweep, _ = swept(jobs, grid, tmp_path, lambda job, _: ends.get(job.identity, Outcome("done")))
    cells = [len(job.cells) for job in jobs]
    assert counts(sweep) == f"{sum(cells[2:])} done · {cells[0]} complete collapse · {cells[1]} failed"
    grid_record(read_grid(grid), jobs).write(tmp_path)
    assert any(line.endswith(f": {counts(sweep)}") for line in overview(tmp_path).lines())


def test_jobs_run_side_by_side_and_one_that_shows_no_life_is_ended(jobs: list[Job], grid: Path, tmp_path: Path) -> None:
    def script(job: Job, count: int) -> Outcome | None:
        return None if job is jobs[0] or (job is jobs[1] and count == 1) else Outcome("done")

    sweep, engine = swept(jobs, grid, tmp_path, script, {"hang_after": 0.1})
    assert [beside for _, _, beside in engine.started[:2]] == [0, 1]
    assert all(now for _, now in engine.cancelled)
    assert sorted(map(str, sweep.done)) == sorted(map(str, jobs[1:]))
    (failure,) = sweep.failures
    assert (failure.job, failure.reason) == (jobs[0], "hung: no heartbeat for 0s (try 2 of 2)")
    assert [sum(job is one for job, _, _ in engine.started) for one in jobs] == [2, 2, 1, 1]
    assert [sum(job is one for job, _ in engine.cancelled) for one in jobs] == [2, 1, 0, 0]


def test_a_stop_lets_jobs_save_their_state_and_a_second_one_ends_them(
    jobs: list[Job], grid: Path, tmp_path: Path
) -> None:
    engine = scripted(lambda *_: None)
    sweep = Sweep(plan_of(jobs, grid, tmp_path).entries, engine, Silent(), tmp_path)

    def turn(_: Running) -> None:
        if not sweep.stops:
            sweep.stop()
            sweep.stop()

    engine.turn = turn
    sweep.run()
    assert engine.cancelled == [(jobs[0], False), (jobs[1], False), (jobs[0], True), (jobs[1], True)]
    assert sorted(map(str, sweep.queue)) == sorted(map(str, jobs)) and not sweep.failures and not sweep.done
    assert [job.state(find(tmp_path, job.identity)) for job in jobs] == ["queued"] * 2 + ["missing"] * 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_signals_stop_a_sweep_and_a_warning_that_comes_twice_is_one(
    number: signal.Signals, jobs: list[Job], grid: Path, tmp_path: Path
) -> None:
    engine = scripted(lambda *_: None)
    sweep = Sweep(plan_of(jobs, grid, tmp_path).entries, engine, Silent(), tmp_path)

    def turn(_: Running) -> None:
        for _ in range(2 if not sweep.stops else 0):
            os.kill(os.getpid(), number)

    engine.turn = turn
    sweep.run()
    at_once = number in (signal.SIGINT, signal.SIGTERM)
    assert engine.cancelled == [(job, now) for now in ((False, True) if at_once else (False,)) for job in jobs[:2]]
    assert len(sweep.queue) == len(jobs)


def test_a_cell_that_can_not_be_timed_is_planned_without_a_time(jobs: list[Job], grid: Path, tmp_path: Path) -> None:
    engine = scripted(lambda *_: Outcome("done"), cost=RunFailed("signal 11 (segmentation fault)", where="some.log"))
    plan = plan_of(jobs, grid, tmp_path, engine, budget=60)
    assert [(entry.chosen, entry.seconds) for entry in plan.entries] == [(True, None)] * 4
    text = plan.text()
    assert "4 runs now: how long they take is not known here" in text
    assert "without a time: predictor linear · k 5|20 · seed 0 and its like" in text
    assert text.count("signal 11 (segmentation fault)") == 1 and "some.log" in text
    sweep = Sweep(plan.entries, engine, Silent(), tmp_path)
    sweep.run()
    assert len(sweep.done) == 4 and seconds_left(sweep) == 0


@pytest.mark.parametrize(("silent", "lines"), [(0.0, 2), (60.0, 1)])
def test_a_long_timing_says_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], silent: float, lines: int
) -> None:
    monkeypatch.setattr("sslrun.sweeps.costs._SILENT_SECONDS", silent)
    text = "base: quickstart\naxes: {batch: {small: {training.batch_size: 32}, large: {training.batch_size: 64}}}\n"
    (tmp_path / "sizes.yaml").write_text(f"{text}seeds: [0, 1]\n")
    jobs = jobs_of(read_grid(tmp_path / "sizes.yaml").cells, tmp_path, {"device": "cpu", "threads": 1})
    plan_of(jobs, tmp_path / "sizes.yaml", tmp_path / "results")
    said = capsys.readouterr().err.splitlines()
    assert len(said) == lines and said[0].startswith("timing a few steps here")
    assert said[1:] == ["1 kind of run timed, now batch large · seed 0"][: lines - 1]


@pytest.mark.parametrize(("large", "said"), [(32, "2 cells are the same as others"), (64, None)])
def test_labels_that_set_the_same_are_named(tmp_path: Path, large: int, said: str | None) -> None:
    sizes = f"{{small: {{training.batch_size: 32}}, large: {{training.batch_size: {large}}}}}"
    (tmp_path / "sizes.yaml").write_text(f"base: quickstart\naxes: {{batch: {sizes}}}\nseeds: [0, 1]\n")
    jobs = jobs_of(read_grid(tmp_path / "sizes.yaml").cells, tmp_path, {"device": "cpu", "threads": 1})
    text = plan_of(jobs, tmp_path / "sizes.yaml", tmp_path / "results").text()
    assert ("the same as others" in text) == (said is not None)
    assert said is None or f"{said} by all that decides numbers: batch small|large · seed 0" in text


def test_a_plan_of_finished_cells_asks_for_no_costs(
    jobs: list[Job], grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for job in jobs:
        evaluate(job, folder_of(job, tmp_path, state="done", epoch=2))
    monkeypatch.setattr("sslrun.sweeps.costs.earlier", lambda _: pytest.fail("costs were asked for"))
    assert "nothing to do here" in plan_of(jobs, grid, tmp_path).text()
