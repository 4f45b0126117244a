import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext, suppress
from pathlib import Path
from threading import Barrier, Thread

import pytest

from sslrun.errors import RunHeld
from sslrun.runs import lease
from sslrun.runs.folder import RunFolder, create
from sslrun.runs.lease import hold, holder

HOLD = """
import sys, time
from pathlib import Path
from sslrun.errors import RunHeld
from sslrun.runs.folder import RunFolder
from sslrun.runs.lease import hold
folder, start, seconds = RunFolder(Path(sys.argv[1])), float(sys.argv[2]), float(sys.argv[3])
time.sleep(max(0.0, start - time.time()))
try:
    with hold(folder, "sslrun pretrain quick.yaml"):
        print("held", flush=True)
        time.sleep(seconds)
except RunHeld:
    print("refused", flush=True)
"""


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return create(tmp_path, "quick", "0123456789abcdef" * 4, "name: quick\n")


@pytest.fixture
def processes() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def start(processes: ExitStack, folder: RunFolder, at: float = 0, seconds: float = 60) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", HOLD, str(folder.path), str(at), str(seconds)]
    process = processes.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    processes.callback(process.kill)
    return process


def says(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def rewrite(folder: RunFolder, **changes: object) -> None:
    path = folder.path / "lease.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_the_second_is_told_who_holds_it_and_gets_it_afterwards(folder: RunFolder) -> None:
    assert holder(folder) is None
    with hold(folder, "sslrun pretrain quick.yaml"):
        found = holder(folder)
        assert found is not None
        assert found.pid == os.getpid()
        with pytest.raises(
            RunHeld, match=rf"process {os.getpid()} on .* since .*: sslrun pretrain quick\.yaml"
        ) as held:
            hold(folder).__enter__()
        assert str(folder.path) in str(held.value)
    assert holder(folder) is None
    assert not (folder.path / "lease.json").exists()
    with hold(folder):
        assert holder(folder) is not None


def test_it_is_given_back_when_work_fails(folder: RunFolder) -> None:
    with pytest.raises(ZeroDivisionError), hold(folder):
        _ = 1 / 0
    assert holder(folder) is None


def test_kill_9_frees_it_at_once_even_before_the_parent_has_noticed(folder: RunFolder, processes: ExitStack) -> None:
    process = start(processes, folder)
    assert says(process) == "held"
    found = holder(folder)
    assert found is not None
    assert found.pid == process.pid
    with pytest.raises(RunHeld):
        hold(folder).__enter__()
    os.kill(process.pid, signal.SIGKILL)
    while Path(f"/proc/{process.pid}/stat").read_text().split()[2] != "Z":  # not reaped: a zombie
        time.sleep(0.01)
    assert holder(folder) is None
    with hold(folder):
        mine = holder(folder)
        assert mine is not None
        assert mine.pid == os.getpid()


def test_of_several_at_once_exactly_one_gets_it(folder: RunFolder, processes: ExitStack) -> None:
    at = time.time() + 1.5
    racing = [start(processes, folder, at, 3) for _ in range(4)]
    assert sorted(map(says, racing)) == ["held", "refused", "refused", "refused"]


def test_of_several_at_once_exactly_one_takes_over_from_the_dead(folder: RunFolder, processes: ExitStack) -> None:
    with hold(folder):
        text = (folder.path / "lease.json").read_text()
    (folder.path / "lease.json").write_text(text)
    rewrite(folder, born="1")
    at = time.time() + 1.5
    racing = [start(processes, folder, at, 3) for _ in range(4)]
    assert sorted(map(says, racing)) == ["held", "refused", "refused", "refused"]


@pytest.mark.parametrize("left", [None, "dead", "damaged"])
def test_without_locks_exactly_one_gets_it_too(
    folder: RunFolder, left: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "locked", lambda path: nullcontext())  # as on a network drive that has none
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(40):
            if left is not None:
                with hold(folder):
                    text = (folder.path / "lease.json").read_text()
                dead = json.dumps({**json.loads(text), "born": "0"}) if left == "dead" else "{"
                (folder.path / "lease.json").write_text(dead)
            got, over, all_here = list[int](), Barrier(6, timeout=20), Barrier(6, timeout=20)

            def take(number: int, got: list[int] = got, over: Barrier = over, here: Barrier = all_here) -> None:
                here.wait()
                with suppress(RunHeld), ExitStack() as stack:
                    stack.enter_context(hold(folder))
                    got.append(number)
                    over.wait()  # none gives it back before all have tried
                    return
                over.wait()

            threads = [Thread(target=take, args=(number,)) for number in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(got) == 1
            assert not list(folder.path.glob("lease.json*"))
    finally:
        sys.setswitchinterval(before)


def test_a_reused_pid_is_not_the_holder(folder: RunFolder) -> None:
    with hold(folder):
        assert holder(folder) is not None
        rewrite(folder, born="12345")
        assert holder(folder) is None


def test_another_host_is_believed_until_its_heart_has_stopped(folder: RunFolder) -> None:
    with hold(folder):
        rewrite(folder, boot="elsewhere", host="elsewhere", machine="elsewhere", born="1")
        found = holder(folder)
        assert found is not None
        assert found.host == "elsewhere"
        long_ago = time.time() - 100
        os.utime(folder.path / "lease.json", (long_ago, long_ago))
        assert holder(folder) is not None
        assert holder(folder, timeout=99) is None
        with hold(folder, timeout=99):
            pass


def test_another_container_on_this_boot_is_judged_by_its_heartbeat(folder: RunFolder) -> None:
    with hold(folder):
        rewrite(folder, namespace="pid:[1]", pid=2**22 + 1)
        assert holder(folder) is not None
        assert holder(folder, timeout=0) is None


def test_a_reboot_of_this_host_ends_it_at_once(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "_here", lambda: ("boot 1", "machine", "pid:[1]"))
    with hold(folder):
        assert holder(folder) is not None
        monkeypatch.setattr(lease, "_here", lambda: ("boot 2", "machine", "pid:[1]"))
        assert holder(folder) is None


def test_the_heart_beats_and_notices_a_loss(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder.path / "lease.json"
    with hold(folder) as ours:
        os.utime(path, (1000, 1000))
        ours.beat()  # too soon to touch the disk
        assert path.stat().st_mtime == 1000
        monkeypatch.setattr(lease, "BEAT_SECONDS", 0)
        ours.beat()
        assert time.time() - path.stat().st_mtime < 60
        rewrite(folder, token="another", command="sslrun sweep")
        with pytest.raises(RunHeld, match="sslrun sweep"):
            ours.beat()
    assert path.exists()  # another's lease is not ours to remove


def test_a_damaged_lease_holds_nobody_and_a_folder_set_aside_is_left(folder: RunFolder) -> None:
    (folder.path / "lease.json").write_text('{"pid": 1')
    assert holder(folder) is None
    with hold(folder):
        old = folder.set_aside()
    assert not folder.path.exists()
    assert old.exists()


def test_without_proc_the_same_questions_are_answered(processes: ExitStack) -> None:
    process = processes.enter_context(subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE))
    born = lease._born_without_proc(process.pid)
    assert born
    assert born == lease._born_without_proc(process.pid)
    process.kill()
    process.wait()
    assert lease._born_without_proc(process.pid) == ""
