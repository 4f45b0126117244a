"""What goes wrong around a sweep and not in its jobs: machines that sleep, folders that go, helpers that are killed,
grids whose names meet."""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from multiprocessing import forkserver, process, resource_tracker, util
from pathlib import Path

import psutil
import pytest
from memory_engine import MemoryEngine
from scripted_sweeps import Silent, evaluate, plan_of, scripted, swept

from sslrun.errors import RunFailed
from sslrun.files import read_json
from sslrun.grids import read_grid
from sslrun.runs.folder import find
from sslrun.sweeps import local, scheduler
from sslrun.sweeps.engine import Outcome, Running
from sslrun.sweeps.local import LocalEngine
from sslrun.sweeps.scheduler import Sweep
from sslrun.sweeps.session import Options, planned
from sslrun.sweeps.slots import Device, Slots
from sslrun.sweeps.warming import LONGEST_FOLDER, warm_up
from sslrun.sweeps.work import Job, jobs_of

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def jobs(grid: Path, tmp_path: Path) -> list[Job]:
    return jobs_of(read_grid(grid).cells, tmp_path, {"device": "cpu", "threads": 1})


def test_a_machine_that_slept_starts_counting_heartbeats_anew(
    jobs: list[Job], grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept = [0.0]
    monkeypatch.setattr(scheduler.time, "time", lambda at=time.time: at() + slept[0])

    def turn(_: Running) -> Outcome | None:
        turns.append(1)
        if len(turns) == 4:
            slept[0] += 8 * 3600
        return Outcome("interrupted") if len(turns) > 12 else None

    turns: list[int] = []
    engine = MemoryEngine(turn)
    sweep = Sweep(plan_of(jobs, grid, tmp_path).entries, engine, Silent(), tmp_path, hang_after=1800.0)
    engine.turn = lambda one: turn(one) or (sweep.stop() if len(turns) == 12 else None)
    sweep.run()
    assert not [job for job, now in engine.cancelled if now] and not sweep.failures


@pytest.mark.parametrize("gone", ["run", "results"])
@pytest.mark.parametrize("kind", ["done", "failed", "crashed"])
def test_a_folder_that_goes_costs_its_own_cell_at_most(
    jobs: list[Job], grid: Path, tmp_path: Path, gone: str, kind: str
) -> None:
    results = tmp_path / "results"

    def script(job: Job, count: int) -> Outcome:
        folder = find(results, job.identity)
        if job is jobs[0] and count == 1 and folder is not None:
            evaluate(job, folder)
            shutil.rmtree(results) if gone == "results" else folder.path.rename(tmp_path / "elsewhere")
            return Outcome(kind, "why")
        return Outcome("done") if folder is not None else Outcome("failed", "lost")

    engine = scripted(script)
    if kind == "done":  # and its folder went right after
        engine.turn = lambda one, turn=engine.turn: script(one.job, 1) if one.job is jobs[0] else turn(one)
    sweep = Sweep(plan_of(jobs, grid, results).entries, engine, Silent(), results)
    sweep.run()
    lost = {str(failure.job) for failure in sweep.failures}
    assert lost <= set(map(str, jobs[:1] if gone == "run" else jobs[:2]))
    assert {str(job) for job in sweep.done} == set(map(str, jobs)) - lost
    assert (str(jobs[0]) in lost) == (kind != "crashed")
    assert all("gone" in failure.reason or "half-written" in failure.reason for failure in sweep.failures)


def test_a_job_whose_helper_was_killed_is_no_failure_of_the_job(jobs: list[Job], grid: Path, tmp_path: Path) -> None:
    def script(_: Job, count: int) -> Outcome:
        return Outcome("orphaned", "the process from which jobs start was killed") if count < 4 else Outcome("done")

    sweep, _ = swept(jobs, grid, tmp_path, script)
    assert len(sweep.done) == 4 and not sweep.failures
    sweep, _ = swept(jobs, grid, tmp_path / "again", lambda *_: Outcome("orphaned", "killed"))
    assert {failure.reason for failure in sweep.failures} == {"cut off: killed (try 5 of 5)"}


@pytest.fixture
def bare_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sslrun.sweeps.warming._PRELOAD", [])


@pytest.mark.usefixtures("bare_server")
def test_a_killed_server_and_tracker_are_started_again(jobs: list[Job], tmp_path: Path) -> None:
    engine = LocalEngine(Slots((Device("cpu"),), 1, 1), tmp_path)
    engine.warm_up()
    for helper in (forkserver._forkserver._forkserver_pid, resource_tracker._resource_tracker._pid):
        os.kill(helper, signal.SIGKILL)
        while psutil.Process(helper).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.001)
    ended, link = engine._fork(_say, Device("cpu"), None, jobs[0].data, tmp_path / "log", 1)
    assert link.recv() == "here"
    blocked = Path(f"/proc/{forkserver._forkserver._forkserver_pid}/status").read_text().split("SigBlk:")[1].split()[0]
    assert int(blocked, 16) >> (signal.SIGTERM - 1) & 1  # its jobs answer that, and need it till then
    ended.join()
    assert ended.exitcode == 0


def _say(link, *_):  # type: ignore[no-untyped-def]
    link.send("here")


@pytest.mark.usefixtures("bare_server")
def test_where_no_job_can_be_started_it_is_said(
    jobs: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise EOFError("unexpected EOF")

    engine = LocalEngine(Slots((Device("cpu"),), 1, 1), tmp_path)
    monkeypatch.setattr(engine._context.Process, "start", gone)
    with pytest.raises(RunFailed, match=f"was gone {local._STARTS} times: unexpected EOF"):
        engine._fork(_say, Device("cpu"), None, jobs[0].data, tmp_path / "log", 1)


@pytest.mark.usefixtures("bare_server")
def test_a_long_tmpdir_is_no_hindrance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    monkeypatch.setitem(process.current_process()._config, "tempdir", None)
    monkeypatch.setattr(forkserver, "_forkserver", forkserver.ForkServer())
    monkeypatch.setattr(forkserver, "ensure_running", forkserver._forkserver.ensure_running)
    monkeypatch.setattr(forkserver, "set_forkserver_preload", forkserver._forkserver.set_forkserver_preload)
    warm_up(1)
    assert tempfile.gettempdir() == str(long)
    assert len(util.get_temp_dir()) < LONGEST_FOLDER
    forkserver._forkserver._stop()


def test_two_grids_of_one_name_keep_both_their_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LocalEngine, "warm_up", lambda _: None)
    results = tmp_path / "results"
    texts = {
        "a/table": "base: quickstart\naxes: {lr: {low: {optimizer.network.lr: 0.01}, high: {}}}\n",
        "b/table": "base: quickstart\naxes: {crop: {small: {views.crop.scale: [0.2, 1]}, whole: {}}}\n",
        "c/table": "base: quickstart\naxes: {lr: {low: {optimizer.network.lr: 0.02}, high: {}}}\n",
    }

    def swept_as(name: str, start: bool = True) -> tuple[str, str]:
        path = tmp_path / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(texts[name])
        with planned(read_grid(path), Options(results, device="cpu", limit=0), start=start) as (plan, _):
            return plan.name, plan.text()

    assert swept_as("a/table")[0] == "table"
    for start in (False, True, True):
        name, said = swept_as("b/table", start)
        assert name == "table-2" and "called table-2 here: table is another grid" in said
    assert swept_as("c/table")[0] == "table-3"
    assert swept_as("a/table")[0] == "table"
    texts["a/table"] = texts["a/table"].replace("high: {}", "high: {}, higher: {optimizer.network.lr: 1}")
    assert swept_as("a/table")[0] == "table"  # the same file, with one label more
    texts["a/copy/table"] = texts["a/table"]
    assert swept_as("a/copy/table")[0] == "table"  # the same cells, all of them
    texts["a/table"] = texts["b/table"].replace("0.2", "0.3")
    assert swept_as("a/table")[0] == "table-4"  # the same file, now of another axis
    axes = {path.stem: list(read_json(path)["axes"]) for path in (results / "sweeps").glob("*.json")}
    assert axes == {"table": ["lr"], "table-2": ["crop"], "table-3": ["lr"], "table-4": ["crop"]}
