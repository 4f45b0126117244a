"""`sslrun clean` removes what it lists, asks first, and never touches a run at work."""

import os
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest

from sslrun.errors import InputError
from sslrun.runs.cleaning import removals, remove
from sslrun.runs.folder import RunFolder, create
from sslrun.runs.lease import hold
from sslrun.runs.records import State, Status


def run(results: Path, digit: str, state: State) -> RunFolder:
    folder = create(results, "quick", digit * 64, "name: quick\n")
    folder.write_status(Status(state=state))
    folder.checkpoint.write_bytes(b"x" * 1000)
    return folder


@pytest.fixture
def results(tmp_path: Path) -> Path:
    run(tmp_path, "a", "done")
    run(tmp_path, "b", "failed")
    run(tmp_path, "c", "running")
    run(tmp_path, "d", "done").set_aside()
    left_over = tmp_path / ".status.json.x1.part"
    left_over.write_text("half")
    os.utime(left_over, (time.time() - 10_000,) * 2)
    (tmp_path / ".status.json.x2.part").write_text("being written")
    (tmp_path / "notes-old-ones").mkdir()
    return tmp_path


def names(results: Path, **asked: bool) -> list[str]:
    return [one.path.relative_to(results).as_posix().partition("-old-2")[0] for one in removals(results, **asked)]


def test_what_is_listed(results: Path) -> None:
    aside, part = "quick-dddddddddddddddd", ".status.json.x1.part"
    assert names(results) == [aside, part]
    assert names(results, failed=True) == ["quick-bbbbbbbbbbbbbbbb", aside, part]
    assert names(results, checkpoints=True) == ["quick-aaaaaaaaaaaaaaaa/checkpoint.pt", aside, part]
    with hold(RunFolder(results / "quick-bbbbbbbbbbbbbbbb")):
        assert names(results, failed=True) == [aside, part]
    with pytest.raises(InputError, match="no such results folder"):
        removals(results / "none")


def test_only_what_is_listed_goes(results: Path) -> None:
    listed = removals(results, failed=True, checkpoints=True)
    before = set(results.rglob("*"))
    with hold(RunFolder(results / "quick-bbbbbbbbbbbbbbbb")):
        assert remove(listed) == [results / "quick-bbbbbbbbbbbbbbbb"]
    assert remove(removals(results, failed=True)) == []
    gone = {path for path in before if not path.exists()}
    assert gone == {path for path in before for one in listed if path == one.path or one.path in path.parents}
    assert RunFolder(results / "quick-aaaaaaaaaaaaaaaa").status.state == "done"


@pytest.mark.parametrize(("answer", "stays"), [("n\n", True), ("", True), ("y\n", False)])
def test_it_asks_first(
    results: Path,
    answer: str,
    stays: bool,
    sslrun: Callable[..., tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", StringIO(answer))
    _, said, _ = sslrun("clean", "--results", results)
    assert "set aside by --fresh" in said and "Remove these 2?" in said
    assert bool(list(results.glob("*-old-2*"))) is stays
    assert ("removed 2 files or folders" in said) is not stays
    assert "1 failed run not listed: add --failed" in said
    _, said, _ = sslrun("clean", "--results", results, "--failed", "--yes")
    assert "add --failed" not in said
