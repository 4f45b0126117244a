"""`pretrain --devices`: processes that are one run, from the command to its end, killed, stopped and taken up again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file

from sslrun.runs.folder import RunFolder
from sslrun.runs.records import State
from sslrun.runs.status import state_of

Run = Callable[..., tuple[int, str, str]]
SMALL = [
    *("--set", "data.limit=96", "--set", "training={epochs: 8, batch_size: 32}", "--set", "optimizer.network.lr=0.001"),
    *("--set", "network.backbone.width=8", "--set", "run={threads: 1, checkpoint_minutes: 0}"),
    *("--set", "evaluation.knn.k=1", "--set", "evaluation.linear=null", "--set", "evaluation.baselines=[]"),
]


def command(results: Path, devices: int = 2) -> list[str]:
    return ["pretrain", "quickstart", *SMALL, "--results", str(results), "--devices", str(devices), "--device", "cpu"]


def start(results: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "sslrun", *command(results)], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


@pytest.fixture
def begun(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], list[psutil.Process]]]:
    """A run of two processes in the middle of its training, and these processes."""
    launcher = start(tmp_path)
    try:
        deadline = time.monotonic() + 120
        while sum(len(path.read_text().splitlines()) for path in tmp_path.glob("*/history.jsonl")) < 3:
            assert launcher.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        yield launcher, psutil.Process(launcher.pid).children()
    finally:
        launcher.kill()


def only(results: Path) -> RunFolder:
    (path,) = results.glob("quickstart-*")
    return RunFolder(path)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    results = tmp_path_factory.mktemp("undisturbed")
    launcher = start(results)
    out, err = launcher.communicate(timeout=200)
    assert launcher.returncode == 0, err
    assert "2 × cpu" in out.splitlines()[0] and "this run" in out
    folder = only(results)
    assert [row["epoch"] for row in folder.history.read()] == list(range(9))
    return folder


def ended(launcher: subprocess.Popen[str], processes: list[psutil.Process]) -> str:
    """What it said; all that it started has gone."""
    _, err = launcher.communicate(timeout=60)
    _, alive = psutil.wait_procs(processes, timeout=30)
    assert not alive
    return err


def test_a_process_is_killed_the_run_ends_and_the_same_command_goes_on_to_the_same_bits(
    begun: tuple[subprocess.Popen[str], list[psutil.Process]], undisturbed: RunFolder, tmp_path: Path
) -> None:
    launcher, processes = begun
    os.kill(next(one.pid for one in processes if one.environ()["RANK"] == "1"), signal.SIGKILL)
    err = ended(launcher, processes)
    assert launcher.returncode == 130
    assert "killed: process 1 of 2 (signal 9)" in err and "goes on" in err
    again = start(tmp_path)
    assert again.communicate(timeout=200) and again.returncode == 0
    ours, theirs = (load_file(folder.encoder) for folder in (only(tmp_path), undisturbed))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_launcher_that_is_killed_leaves_no_process_behind_and_the_state_saved(
    begun: tuple[subprocess.Popen[str], list[psutil.Process]], tmp_path: Path
) -> None:
    launcher, processes = begun
    launcher.kill()
    ended(launcher, processes)
    assert state_of(only(tmp_path)) == State.INTERRUPTED and only(tmp_path).checkpoint.exists()


def test_stopped_it_saves_and_one_process_takes_it_up(
    begun: tuple[subprocess.Popen[str], list[psutil.Process]], undisturbed: RunFolder, tmp_path: Path, sslrun: Run
) -> None:
    launcher, processes = begun
    launcher.send_signal(signal.SIGTERM)
    assert "the state is saved" in ended(launcher, processes)
    assert launcher.returncode == 130
    assert only(tmp_path).checkpoint.exists()
    code, out, _ = sslrun(*command(tmp_path, devices=1))
    assert code == 0 and "going on after epoch" in out
    ours, theirs = (load_file(folder.encoder) for folder in (only(tmp_path), undisturbed))
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, atol=1e-4, rtol=1e-3, msg=name)


@pytest.mark.parametrize("devices", ["0", "two", "100000", "-1"])
def test_what_is_no_number_of_devices_is_refused(devices: str, tmp_path: Path, sslrun: Run) -> None:
    code, _, err = sslrun("pretrain", "quickstart", *SMALL, "--results", tmp_path, f"--devices={devices}")
    assert code == 2 and "--devices" in err and "or all" in err
    assert not list(tmp_path.iterdir())
