"""NVIDIA MPS for a sweep's jobs, with a control program that only writes down what it is asked."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sslrun.errors import InputError, RunFailed
from sslrun.runs.history import History
from sslrun.sweeps import local, slots
from sslrun.sweeps.local import LocalEngine
from sslrun.sweeps.mps import CONTROL, Daemon, Sharing
from sslrun.sweeps.slots import Device, Slots

SCRIPT = """#!/bin/sh
if [ "$1" = -d ]; then
  [ -e "$FAKE/refuse" ] && { echo "Cannot find any GPU"; exit 1; }
  echo "start $CUDA_MPS_PIPE_DIRECTORY $CUDA_VISIBLE_DEVICES" >> "$FAKE/log"; exit 0
fi
read question
case $question in
  get_server_list) echo 4321 ;;
  "get_client_list 4321") echo 11; echo 12 ;;
  quit*) echo "quit $CUDA_MPS_PIPE_DIRECTORY" >> "$FAKE/log" ;;
esac
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the program, which is first on PATH, and its log."""
    program = tmp_path / CONTROL
    program.write_text(SCRIPT)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    monkeypatch.delenv("CUDA_MPS_PIPE_DIRECTORY", raising=False)
    return tmp_path


def log(fake: Path) -> list[str]:
    return (fake / "log").read_text().splitlines() if (fake / "log").exists() else []


def eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_daemon_has_folders_of_its_own_and_leaves_nothing(fake: Path) -> None:
    daemon = Daemon()
    assert daemon.start() is None
    pipe = Path(daemon.environment["CUDA_MPS_PIPE_DIRECTORY"])
    assert pipe.is_dir() and pipe.parent.stat().st_mode & 0o777 == 0o700
    assert log(fake) == [f"start {pipe} "]  # it sees every GPU, whatever the sweep's jobs see
    assert daemon.clients() == [11, 12]
    daemon.stop()
    assert log(fake)[1:] == [f"quit {pipe}"] and not pipe.parent.exists() and daemon.environment == {}
    daemon.stop()


def test_a_daemon_ends_when_the_sweep_is_killed(fake: Path) -> None:
    code = "from sslrun.sweeps.mps import Daemon; d = Daemon(); d.start(); print(d.environment, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as sweep:
        assert sweep.stdout and b"CUDA_MPS" in sweep.stdout.readline()
        pipe = Path(log(fake)[0].split()[1])
        sweep.send_signal(signal.SIGKILL)
    eventually(lambda: not pipe.parent.exists())
    assert log(fake)[1:] == [f"quit {pipe}"]


def test_a_daemon_that_does_not_start_says_why_and_leaves_nothing(
    fake: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (fake / "refuse").touch()
    before = set(Path("/tmp").glob("sslrun-mps-*"))
    sharing = Sharing("auto")
    sharing.start()
    assert "jobs on one GPU take turns: Cannot find any GPU; MPS did not start" in capsys.readouterr().out
    with pytest.raises(RunFailed, match="Cannot find any GPU"):
        Sharing("on").start()
    assert sharing.daemon.environment == {} and set(Path("/tmp").glob("sslrun-mps-*")) <= before


def test_what_is_said_of_how_jobs_share_a_gpu(fake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "a daemon" not in str(Sharing("off")) and "off" in str(Sharing("off"))
    assert "of this sweep's own" in str(Sharing("auto"))
    assert "that CUDA_MPS_PIPE_DIRECTORY names" in str(Sharing("on", {"CUDA_MPS_PIPE_DIRECTORY": "/x"}))
    monkeypatch.setenv("PATH", "/nowhere")
    assert f"{CONTROL} is not on PATH" in str(Sharing("auto"))
    with pytest.raises(InputError, match="not on PATH"):
        Sharing("on")


def test_jobs_find_the_daemon_and_are_counted(
    fake: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Process:
        pid, exitcode, sentinel = 0, None, 0

        def __init__(self, **given: Any) -> None:
            environments.append(given["args"][4])

        def start(self) -> None: ...

        def join(self) -> None: ...

    class OneJob:
        recipes, data, identity, history, log = (None,), None, "a", History(fake / "history"), fake / "job.log"
        status = type("status", (), {"threads": None})

    environments: list[dict[str, str]] = []
    engine = LocalEngine(Slots((Device("cuda:0", "3"),), 2, 1), fake, Sharing("auto"))
    monkeypatch.setattr(engine._context, "Process", Process, raising=False)
    monkeypatch.setattr(local, "warm_up", lambda _: None)
    monkeypatch.setattr(local, "wait", lambda *_: None)
    monkeypatch.setattr(local, "_ATTACHED_AFTER", -1.0)
    monkeypatch.setattr(engine, "cancel", lambda *_, **__: None)
    engine.rooms[Device("cuda:0", "3")].allowed = 2  # as has been measured
    assert engine.foresee([])[1:] == ["jobs on one GPU share it through an MPS daemon of this sweep's own"]
    assert not log(fake)
    for _ in range(2):
        engine.start(OneJob, OneJob)  # type: ignore[arg-type]  # all that is looked at
        engine.wait(0)
    engine.wait(0)
    assert capsys.readouterr().out.count("MPS: 2 of 2 jobs attached") == 1
    engine.close()
    pipe = log(fake)[0].split()[1]
    assert [one["CUDA_VISIBLE_DEVICES"] for one in environments] == ["3", "3"]
    assert {one["CUDA_MPS_PIPE_DIRECTORY"] for one in environments} == {pipe}
    assert log(fake)[1:] == [f"quit {pipe}"]


def test_named_slices_of_a_gpu_are_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-a,MIG-b")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    assert slots._gpus("cuda") == (Device("cuda:0", "MIG-a"), Device("cuda:1", "MIG-b"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert slots._gpus("cuda:1") == (Device("cuda:1", "5"),)
