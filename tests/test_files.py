"""Files written whole or not at all by whoever may, and locks: one holder at a time, where there are locks."""

import errno
import fcntl
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from optuna.storages.journal import JournalFileBackend

from sslrun import files
from sslrun.drawing import save
from sslrun.files import locked, remove_parts, replacing, write_json, write_text
from sslrun.networks.weights import save_encoder
from sslrun.runs.history import History

HOLD = "import sys, time\nfrom pathlib import Path\nfrom sslrun.files import locked\n" + (
    "with locked(Path(sys.argv[1])):\n    print('held', flush=True)\n    input()\n"
)


def test_waiting_is_called_until_the_lock_is_free(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    command = [sys.executable, "-c", HOLD, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        calls = []

        def waiting() -> None:
            calls.append(other.poll())
            if len(calls) == 3 and other.stdin is not None:
                other.stdin.write("\n")
                other.stdin.flush()

        with locked(lock, waiting):
            assert len(calls) >= 3
            other.wait(10)
    with locked(lock, waiting):
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
@pytest.mark.parametrize("waiting", [None, lambda: None])
def test_a_file_system_without_locks_has_no_waiting(
    number: int, waiting: Callable[[], None] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with locked(tmp_path / "lock", waiting):
        assert tmp_path in files.unlocked
    with pytest.raises(OSError, match="Input/output"), monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "Input/output error")))
        with locked(tmp_path / "lock", waiting):
            pass


def as_somebody_else(work: Callable[[], Any]) -> bool:
    """Whether `work` succeeds in a process that has no rights but those that everybody has."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] == 0
    try:
        if os.getuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        work()
        os._exit(0)
    except BaseException:
        os._exit(1)


def test_another_users_lock_file_can_be_locked() -> None:
    with TemporaryDirectory() as folder:  # pytest's own folders are private
        Path(folder).chmod(0o755)
        lock = Path(folder, "lock")
        lock.touch()
        lock.chmod(0o444)

        def take() -> None:
            with locked(lock):
                pass

        assert as_somebody_else(take)


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_the_umask_says_who_may_read(umask: int, mode: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        for _ in range(2):
            write_json(tmp_path / "status.json", {})
            assert (tmp_path / "status.json").stat().st_mode & 0o777 == mode
    finally:
        os.umask(before)


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    write_text(tmp_path / "kept", "text")
    with replacing(tmp_path / "checkpoint.pt") as part:
        (tmp_path / f".other{part.name}").write_text("left")
        part.write_text("")
    remove_parts(tmp_path, older_than=60)
    assert len(list(tmp_path.iterdir())) == 3
    remove_parts(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint.pt", "kept"]


def write_tensors(path: Path) -> None:
    with replacing(path) as part:
        torch.save({"a": torch.arange(30_000)}, part)


def write_safetensors(path: Path) -> None:
    save_encoder(path, torch.nn.Linear(100, 100), {})


def write_figure(path: Path) -> None:
    figure = Figure()
    figure.subplots().imshow(np.random.default_rng(0).random((50, 50)))
    save(figure, path)


WRITERS: dict[str, Callable[[Path], None]] = {
    "checkpoint.pt": write_tensors,
    "encoder.safetensors": write_safetensors,
    "figure.png": write_figure,
    "figure.svg": write_figure,
    "figure.pdf": write_figure,
    "table.csv": lambda path: write_text(path, "1,2\n" * 20_000),
    "status.json": lambda path: write_json(path, list(range(10_000))),
}


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file grows beyond `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_one_and_the_same_error_for_every_writer(name: str, tmp_path: Path) -> None:
    path, write = tmp_path / name, WRITERS[name]
    write(path)
    whole = path.read_bytes()
    steps = 4 if name.startswith("figure") else 20  # they take a while to draw
    for step in range(steps):
        with room_for(len(whole) * step // steps), pytest.raises(OSError) as refused:
            write(path)
        assert refused.value.errno in files.FULL
        assert refused.value.filename == str(path)
        assert path.read_bytes() == whole
        assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(ZeroDivisionError), replacing(path):
        _ = 1 / 0  # any other error stays what it is


def test_a_history_and_a_journal_have_whole_lines_after_a_full_disk(tmp_path: Path) -> None:
    history = History(tmp_path / "history.jsonl")
    history.append({"epoch": 0, "text": "x" * 100})
    with room_for(history.path.stat().st_size + 20), pytest.raises(OSError) as refused:
        history.append({"epoch": 1, "text": "x" * 100})
    assert refused.value.errno in files.FULL
    history.append({"epoch": 1})
    assert [row["epoch"] for row in history.read()] == [0, 1]

    journal = JournalFileBackend(str(tmp_path / "study.jsonl"))
    with room_for(10), pytest.raises(OSError) as refused:
        journal.append_logs([{"value": "x" * 100}])
    assert refused.value.errno in files.FULL
