"""Results folders that others own, that can't be written, or that lie on a file system without locks."""

import errno
import fcntl
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from killed import BASE, on_its_own

import sslrun
import sslrun.jobs.screen
import sslrun.report.summary  # once, and not again in every process that is forked
from sslrun.runs.folder import RunFolder, run_folders

Run = Callable[..., tuple[int, str, str]]
GROUP, OTHER = 64001, 64002
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
_PRIVATE = [str(at) for at in Path(sslrun.__file__).parents if not at.stat().st_mode & 0o001]
reachable = pytest.mark.skipif(bool(_PRIVATE), reason=f"nobody else may enter {', '.join(_PRIVATE)}, where sslrun lies")


@pytest.fixture
def shared(sslrun: Run) -> Iterator[Path]:
    """A folder that everybody can reach (pytest's own are private), with the recipe."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "tiny.yaml").write_text(BASE)
        (folder / "results").mkdir()
        # What a command imports on its way it imports here: somebody else may not even read Python's own files.
        assert sslrun("pretrain", folder / "tiny.yaml", "--results", folder / "warm")[0] == 0
        yield folder


def pretrained(shared: Path, user: int, umask: int, seed: int) -> tuple[int, str]:
    """What user `user` of the group gets who pretrains with that umask: the exit code and what was said."""
    said = shared / f"said-{user}-{seed}"
    said.touch()
    said.chmod(0o666)

    def prepare() -> None:
        os.dup2(os.open(said, os.O_WRONLY), 1)
        os.dup2(1, 2)
        for name, number in (("stdout", 1), ("stderr", 2)):
            setattr(__import__("sys"), name, os.fdopen(number, "w"))
        os.umask(umask)
        if os.getuid() == 0:
            os.setgroups([])
            os.setgid(GROUP)
            os.setuid(user)

    command = ("pretrain", shared / "tiny.yaml", "--results", shared / "results", "--set", f"seed={seed}")
    return on_its_own(prepare, *command), said.read_text()


def modes(run: RunFolder) -> set[int]:
    return {path.stat().st_mode & 0o777 for path in run.path.rglob("*") if path.is_file()}


@as_root
@reachable
def test_a_group_shares_a_folder_whose_modes_and_umasks_say_so(shared: Path) -> None:
    results = shared / "results"
    os.chown(results, 0, GROUP)
    results.chmod(0o2775)
    for user, seed in ((OTHER, 0), (OTHER + 1, 1), (OTHER + 1, 0), (OTHER, 1)):  # each its own, then the other's
        code, said = pretrained(shared, user, 0o002, seed)
        assert code == 0, said
    for run in run_folders(results):
        assert run.path.stat().st_gid == GROUP
        assert modes(run) <= {0o664}


@as_root
@reachable
def test_a_run_is_private_under_a_private_umask(shared: Path) -> None:
    os.chown(shared / "results", OTHER, GROUP)
    code, said = pretrained(shared, OTHER, 0o077, 0)
    assert code == 0, said
    (run,) = run_folders(shared / "results")
    assert run.path.stat().st_mode & 0o777 == 0o700
    assert modes(run) == {0o600}


@as_root
@reachable
def test_what_belongs_to_another_is_named_with_its_owner(shared: Path) -> None:
    results = shared / "results"
    code, said = pretrained(shared, OTHER, 0o022, 0)
    assert code == 2
    assert said.startswith(f"{results}/.lock: Permission denied\n{results} belongs to root (drwxr-xr-x)")
    os.chown(results, 0, GROUP)
    results.chmod(0o2775)
    assert pretrained(shared, OTHER, 0o022, 0)[0] == 0
    (run,) = run_folders(results)
    run.update_status(state="running")
    code, said = pretrained(shared, OTHER + 1, 0o022, 0)
    assert code in (1, 2)
    assert f"belongs to user {OTHER}" in said and str(run.path) in said and "Traceback" not in said


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_without_locks_it_works_with_a_note(
    number: int, sslrun: Run, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    results = shared / "results"
    code, out, err = sslrun("pretrain", shared / "tiny.yaml", "--results", results)
    assert (code, err) == (0, "")
    assert f"{results} is on a file system without locks" in out


@as_root
def test_a_results_folder_on_a_read_only_disk_can_be_read_and_is_named(sslrun: Run, shared: Path) -> None:
    results = shared / "results"
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(results)], capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        command = ("pretrain", shared / "tiny.yaml", "--results", results)
        assert sslrun(*command)[0] == 0
        subprocess.run(["mount", "-o", "remount,ro", str(results)], check=True)
        for again in (command, (*command, "--set", "seed=1")):
            code, _, err = sslrun(*again)
            assert code == 2
            assert err.startswith(f"{results}/") and "Read-only file system\nName a place" in err
        for reading in (("status", results), ("report", results), ("plot", "tiny", "--results", results)):
            out = ("--out", shared / "plot.png") if reading[0] == "plot" else ()
            assert sslrun(*reading, *out)[0] == 0
    finally:
        subprocess.run(["umount", str(results)], check=True)
