"""Sweeps that are killed, doubled or stopped end with the very table that an undisturbed one ends with."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from sslrun.runs import load_runs

Start = Callable[..., "subprocess.Popen[str]"]


def differing(one: Path, other: Path) -> list[str]:
    """The columns, but for timing, in which the tables of two results folders are not the same, byte for byte."""
    left, right = load_runs(one), load_runs(other)
    assert left.attrs["left_out"] == right.attrs["left_out"] == []
    assert list(left.columns) == list(right.columns)
    columns = [name for name in left.columns if name not in left.attrs["timing"]]
    return [name for name in columns if left[[name]].to_csv() != right[[name]].to_csv()]


def began_anew(results: Path) -> dict[str, int]:
    """How often each run was begun from nothing."""
    return {log.parent.name: log.read_text().count("after epoch 0") for log in results.glob("*/log.txt")}


def test_killed_at_random_moments_and_restarted(tmp_path: Path, grid: Path, start: Start) -> None:
    # Moments are counted in epochs, not seconds, so that no machine is too fast for both to find work left:
    # four runs have 52 lines of history, and each kill waits for at most 12 more of them.
    longer = ("--set", "training.epochs=12")
    moments = random.Random(5)
    disturbed, left_alone = tmp_path / "disturbed", tmp_path / "left_alone"
    for _ in range(2):
        enough = epochs_told(disturbed) + moments.randint(2, 12)
        process = start(grid, disturbed, *longer)
        begun = time.time()
        while epochs_told(disturbed) < enough:
            assert process.poll() is None and time.time() - begun < 60
            time.sleep(0.01)
        everyone = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        for one in moments.sample(everyone, len(everyone)):
            one.kill()
        process.communicate()
    for results in (disturbed, left_alone):
        process = start(grid, results, *longer)
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 0, said
    assert differing(disturbed, left_alone) == []


def epochs_told(results: Path) -> int:
    """The lines in the histories of all runs, those of earlier sessions included."""
    return sum(len(history.read_text().splitlines()) for history in results.glob("*/history.jsonl"))


def test_jobs_end_with_a_scheduler_that_is_killed_and_ctrl_c_saves_their_state(
    tmp_path: Path, grid: Path, start: Start
) -> None:
    longer = ("--set", "training.epochs=2000", "--jobs", "1")
    process = start(grid, tmp_path, *longer)
    jobs = wait_for_jobs(tmp_path, process)
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(jobs, timeout=15)
    assert not alive
    process = start(grid, tmp_path, *longer)
    wait_for_jobs(tmp_path, process)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "jobs save their state" in said and "The same command goes on" in said
    (run,) = (path.parent for path in tmp_path.glob("*/history.jsonl"))
    assert (run / "checkpoint.pt").exists()
    assert not (run / "lease.json").exists()


def wait_for_jobs(results: Path, process: "subprocess.Popen[str]") -> list[psutil.Process]:
    """The processes of the jobs, once one has trained for an epoch in this session."""
    begun = time.time()
    while time.time() - begun < 60:
        assert process.poll() is None
        for lease in results.glob("*/lease.json"):
            history = lease.parent / "history.jsonl"
            if history.exists() and history.stat().st_mtime > begun and len(history.read_text().splitlines()) > 2:
                return [one for one in psutil.Process(process.pid).children(recursive=True) if one.pid in sessions()]
        time.sleep(0.1)
    raise AssertionError("no job trains")


def sessions() -> set[int]:
    """Processes that lead a session of their own, as jobs do."""
    return {pid for pid in psutil.pids() if _leads(pid)}


def _leads(pid: int) -> bool:
    try:
        return os.getsid(pid) == pid
    except OSError:
        return False


def test_two_sweepers_share_the_work(tmp_path: Path, grid: Path, start: Start, undisturbed: Path) -> None:
    both = [start(grid, tmp_path, "--jobs", "1") for _ in range(2)]
    for process in both:
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 0, said
        assert "8 done" in said
    assert began_anew(tmp_path) == dict.fromkeys(began_anew(undisturbed), 1)
    assert differing(tmp_path, undisturbed) == []


def test_a_finished_sweep_has_nothing_to_do(grid: Path, start: Start, undisturbed: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in undisturbed.glob("*-*/*")}
    process = start(grid, undisturbed, "--plan")
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "8 cached" in said and "nothing to do here" in said
    assert {path: path.stat().st_mtime_ns for path in undisturbed.glob("*-*/*")} == before


@pytest.mark.parametrize("wrong", [("--only", "k=6"), ("--budget", "6"), ("--jobs", "1000")])
def test_wrong_options_are_told_before_anything_starts(
    tmp_path: Path, grid: Path, start: Start, wrong: tuple[str, str]
) -> None:
    process = start(grid, tmp_path, *wrong)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert wrong[0] in said and "Traceback" not in said
    assert not list(tmp_path.glob("small-*"))
