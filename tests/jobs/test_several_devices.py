"""`pretrain --devices`: processes that are one run, from the command to its end, killed, stopped and taken up again."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
import torch.multiprocessing as mp
import warm
from safetensors.torch import load_file
from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.subprocess_handler import subprocess_handler
from torch.distributed.launcher import api as launching

from sslrun.errors import InputError, Interrupted, RunFailed
from sslrun.jobs import follow_job, places, pretrain_job, processes
from sslrun.networks.group import Group
from sslrun.recipe import read_recipe
from sslrun.runs.folder import RunFolder
from sslrun.runs.records import State
from sslrun.runs.status import state_of

Run = Callable[..., tuple[int, str, str]]
EPOCHS = 8
CHANGES = [
    *("data.limit=96", f"training={{epochs: {EPOCHS}, batch_size: 32}}", "optimizer.network.lr=0.001"),
    *("network.backbone.width=8", "run={threads: 1, checkpoint_minutes: 0, device: cpu}"),
    *("evaluation.knn.k=1", "evaluation.linear=null", "evaluation.baselines=[]"),
]
SMALL = [part for change in CHANGES for part in ("--set", change)]


def command(results: Path, devices: int = 2) -> list[str]:
    return ["pretrain", "quickstart", *SMALL, "--results", str(results), "--devices", str(devices)]


def start(results: Path, epoch: int) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    """The command, once it has done so many epochs, and the processes that it has started."""

    def forked(args: Sequence[str], env: dict[str, str], **how: Any) -> "subprocess.Popen[str]":
        one = warm.popen(args, env=env, **how)
        (results.parent / f"rank-{env['RANK']}").write_text(str(one.pid))
        return one

    launcher = warm.start(*command(results), prepare=lambda: setattr(subprocess_handler, "Popen", forked))
    deadline = time.monotonic() + 200
    while sum(len(path.read_text().splitlines()) for path in results.glob("*/history.jsonl")) <= epoch:
        assert launcher.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    return launcher, psutil.Process(launcher.pid).children()


def ended(launcher: subprocess.Popen[str], processes: list[psutil.Process]) -> str:
    """What it said; all that it started has gone."""
    _, err = launcher.communicate(timeout=60)
    _, alive = psutil.wait_procs(processes, timeout=30)
    assert not alive
    return err


def only(results: Path) -> RunFolder:
    (path,) = results.glob("quickstart-*")
    return RunFolder(path)


def one_of_two(rank: int, port: int, results: str) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE="2")
    recipe = read_recipe("quickstart", CHANGES)
    where = places(recipe, Path(results), None)
    with processes.joined("cpu") as group:
        if group.leads:
            pretrain_job(recipe, where, group=group)
        else:
            follow_job(recipe, where, group)


@pytest.fixture
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    results = tmp_path_factory.mktemp("undisturbed")
    warm.get_ready()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.start_processes(one_of_two, (port, str(results)), nprocs=2, start_method="fork")
    return only(results)


@pytest.mark.timeout(900)  # a machine that is busy
def test_killed_it_leaves_no_process_and_the_same_command_goes_on_to_the_same_bits(
    undisturbed: RunFolder, tmp_path: Path, sslrun: Run
) -> None:
    results, alone = tmp_path / "results", tmp_path / "alone"
    launcher, started = start(results, 1)
    launcher.kill()  # its processes are asked to stop
    assert "the state is saved" in ended(launcher, started)
    assert state_of(only(results)) == State.INTERRUPTED and only(results).checkpoint.exists()
    shutil.copytree(results, alone)

    launcher, started = start(results, 2)
    os.kill(int((tmp_path / "rank-1").read_text()), signal.SIGKILL)
    err = ended(launcher, started)
    assert launcher.returncode == 130
    assert "killed: process 1 of 2 (signal 9)" in err and "goes on" in err

    launcher, _ = start(results, 3)
    out, err = launcher.communicate(timeout=200)
    assert launcher.returncode == 0, err
    assert "2 × cpu" in " ".join(out.split()) and "this run" in out
    assert [row["epoch"] for row in only(results).history.read()] == list(range(EPOCHS + 1))
    ours, theirs = (load_file(folder.encoder) for folder in (only(results), undisturbed))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    (cell,), (expected,) = (list(folder.path.glob("evaluations/*.json")) for folder in (only(results), undisturbed))
    assert cell.name == expected.name

    code, out, _ = sslrun(*command(alone, devices=1))
    assert code == 0 and "going on after epoch" in out
    assert "it goes on in 1 process after 2: the same batches and draws, equal within rounding" in " ".join(out.split())
    for name, value in load_file(only(alone).encoder).items():
        torch.testing.assert_close(value, theirs[name], atol=1e-4, rtol=1e-3, msg=name)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_launcher_that_is_stopped_says_so_by_its_exit_code(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object) -> None:
        raise SignalException("stopped", signal.Signals(number))  # by torch's launcher, once its processes have ended

    monkeypatch.setattr(launching, "elastic_launch", lambda *_: stopped)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert processes.launch(2, command(Path("results"))) == 130


@pytest.mark.parametrize("devices", ["0", "two", "100000", "-1"])
def test_what_is_no_number_of_devices_is_refused(devices: str, tmp_path: Path, sslrun: Run) -> None:
    code, _, err = sslrun("pretrain", "quickstart", *SMALL, "--results", tmp_path, f"--devices={devices}")
    assert code == 2 and "--devices" in err and "or all" in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("job", [pretrain_job, follow_job])
@pytest.mark.parametrize(("last", "least"), [("drop", 32), ("keep", 6)])
def test_a_batch_of_fewer_images_than_devices_is_refused(
    job: Callable[..., None], last: str, least: int, tmp_path: Path
) -> None:
    recipe = read_recipe("quickstart", [*CHANGES, "data.limit=102", f"training.last_batch={last}"])
    with pytest.raises(InputError, match=f"a batch of {least} images can't be cut into parts for {least + 1} devices"):
        job(recipe, places(recipe, tmp_path, None), group=Group(0, least + 1))
    assert not list(tmp_path.iterdir())


def test_two_runs_on_one_port_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sslrun: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for name, value in {"ADDR": "127.0.0.1", "PORT": str(taken.getsockname()[1])}.items():
            monkeypatch.setenv(f"MASTER_{name}", value)
        monkeypatch.setenv("RANK", "0")
        monkeypatch.setenv("WORLD_SIZE", "2")
        code, _, err = sslrun("pretrain", "quickstart", *SMALL, "--results", tmp_path)
    assert code == 2 and "MASTER_PORT" in err and "a port of its own" in err


@pytest.mark.parametrize(
    ("device", "there", "expected"),
    [
        ("auto", 2, ["device 1", "nccl 1 of 2"]),
        ("cuda", 2, ["device 1", "nccl 1 of 2"]),
        ("auto", 0, ["gloo 1 of 2"]),
        ("cpu", 2, ["gloo 1 of 2"]),
        ("mps", 2, ["gloo 1 of 2"]),
        ("auto", 1, None),
    ],
)
def test_processes_meet_on_devices_of_their_own_where_there_are_some(
    device: str, there: int, expected: list[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def meet(backend: str, *, rank: int, world_size: int, timeout: timedelta) -> None:
        assert timeout >= timedelta(days=1)
        done.append(f"{backend} {rank} of {world_size}")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: there > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: there)
    monkeypatch.setattr(torch.cuda, "set_device", lambda number: done.append(f"device {number}"))
    monkeypatch.setattr(processes.dist, "init_process_group", meet)
    monkeypatch.setattr(processes.dist, "destroy_process_group", lambda: done.append("left"))
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    if expected is None:
        with pytest.raises(InputError, match=r"process 2 on this machine .* and 1 are there(.|\n)*as many processes"):
            processes.joined(device).__enter__()
        return
    with processes.joined(device) as group:
        assert (group.rank, group.size, done) == (1, 2, expected)
    assert done == [*expected, "left"]


@pytest.mark.parametrize(
    ("codes", "kind", "said"),
    [
        ({1: -9, 0: 130}, Interrupted, r"^killed: process 1 of 3 \(signal 9\); its last lines:\n    line 2\n"),
        ({0: -15, 1: 1, 2: 130}, RunFailed, r"^process 1 of 3 \(exit code 1\); its last lines:\n    line 2\n(.*\n){7}"),
        ({0: -15, 1: 2}, InputError, "line 9"),
        ({0: -9, 2: -15}, Interrupted, r"^killed: process 0 of 3 \(signal 9\)\n"),
    ],
)
def test_the_one_that_died_is_named_with_its_last_lines(
    codes: dict[int, int], kind: type[Exception], said: str, tmp_path: Path
) -> None:
    output = tmp_path / "run" / "attempt_0" / "1" / "stderr.log"
    output.parent.mkdir(parents=True)
    output.write_text("".join(f"line {number}\n" for number in range(10)))
    with pytest.raises(kind, match=said):
        processes.told(codes, 3, tmp_path)


def test_what_the_first_process_has_said_is_not_said_again(tmp_path: Path) -> None:
    assert processes.told({0: 2, 1: 2}, 2, tmp_path) == 2
    assert processes.told({0: 130, 1: -15}, 2, tmp_path) == 130


def test_processes_that_are_started_here_meet_at_a_port_of_their_own() -> None:
    assert processes.meeting(1) == (None, [{}])
    store, places_ = processes.meeting(2)
    assert [(one["RANK"], one["LOCAL_RANK"], one["WORLD_SIZE"]) for one in places_] == [
        ("0", "0", "2"),
        ("1", "1", "2"),
    ]
    assert {(one["MASTER_ADDR"], one["MASTER_PORT"]) for one in places_} == {("127.0.0.1", str(store.port))}


@pytest.mark.parametrize("names", [("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_NTASKS")])
def test_a_process_is_one_of_several_if_somebody_says_how_many_and_where(
    names: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "WORLD_SIZE", "SLURM_PROCID", "SLURM_NTASKS", "MASTER_ADDR"):
        monkeypatch.delenv(name, raising=False)
    rank, size = names
    monkeypatch.setenv(rank, "1")
    monkeypatch.setenv(size, "2")
    assert processes.place() is None
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    assert processes.place() == (1, 2)
    monkeypatch.setenv(rank, "0")
    monkeypatch.setenv(size, "1")
    assert processes.place() is None


@pytest.mark.parametrize(
    ("said", "together", "interrupted"),
    [
        ("Connection closed by peer", True, True),
        ("NCCL communicator was aborted", True, True),
        ("Connection closed by peer", False, False),
        ("shape mismatch", True, False),
    ],
)
def test_only_the_end_of_another_process_is_an_interruption(
    said: str, together: bool, interrupted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: together)
    with pytest.raises(Interrupted if interrupted else RuntimeError) as found, processes.others_needed():
        raise RuntimeError(said)
    assert ("The same command goes on" in str(found.value)) == interrupted
