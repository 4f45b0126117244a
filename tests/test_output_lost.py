"""Whatever becomes of stdout and stderr, what is computed goes on: no reader, no stream, no room, another encoding."""

import errno
import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pandas  # noqa: F401  # once, and not again in every process that is forked
import pytest
from killed import on_its_own

import sslrun.jobs
import sslrun.jobs.screen
import sslrun.report.document
import sslrun.report.summary  # noqa: F401
from sslrun import console
from sslrun.runs.folder import run_folders
from sslrun.streams import streams

RECIPE = """\
data: {kind: gaussian, count: 64, dim: 4}
views: {noise: 0.3, crop: null, flip: 0, jitter: null, greyscale: 0, blur: null}
network: {backbone: {kind: linear, width: 4}, projector: {kind: none}}
method: {kind: byol, loss: squared, predictor: {kind: linear}}
training: {epochs: 3, batch_size: 32}
evaluation: {knn: null, linear: null, baselines: []}
run: {device: cpu, threads: 1}
"""


class Failing(io.StringIO):
    """A stream that fails in one way, whenever it is written to."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def write(self, text: str) -> int:
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize("number", [errno.EPIPE, errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_writing_never_raises(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Failing(number))
    with streams() as (out, _):
        for _ in range(2):
            console.say("·")
            with console.progress("epoch", 2) as live:
                live.update(1, "loss")
    reader_gone = number in (errno.EPIPE, errno.EIO)
    assert (out.unread, bool(out.failed)) == (reader_gone, not reader_gone)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_what_a_terminal_can_not_show_is_replaced(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    with streams():
        console.say("a · b – c ± │ 学 \udcff")
        console.table([["√", "1"]])
    text = written.getvalue().decode(encoding)
    assert text.startswith("a ") and text.endswith("1\n")
    assert ("学" in text) == (encoding == "utf-8")


def reopened(encoding: str) -> None:
    sys.stdout, sys.stderr = (os.fdopen(number, "w", encoding=encoding) for number in (1, 2))


def nobody_reads() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    os.dup2(theirs, 1)
    reopened("utf-8")


def closed() -> None:
    for number in (0, 1, 2):
        os.close(number)
    sys.stdin = sys.stdout = sys.stderr = None  # type: ignore[assignment]  # as Python has it then


def no_room() -> None:
    os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
    reopened("utf-8")


def ascii_only() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    reopened("ascii")


@pytest.mark.parametrize(("prepare", "code"), [(nobody_reads, 0), (closed, 0), (no_room, 1), (ascii_only, 0)])
def test_a_run_is_trained_to_its_end(prepare: Callable[[], None], code: int, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    results = tmp_path / "results"
    command = ("pretrain", tmp_path / "tiny.yaml", "--results", results)
    assert on_its_own(prepare, *command) == code  # a result that could not be printed is told by the exit code
    (folder,) = run_folders(results)
    assert folder.status.finished_well
    assert [row["epoch"] for row in folder.history.read()] == [0, 1, 2, 3]
    for other in (("report", results), ("status", results), ("show", tmp_path / "tiny.yaml"), ("pretrain", "no│such")):
        assert on_its_own(prepare, *other) == (2 if other[0] == "pretrain" else code)


def test_json_for_an_ascii_terminal_is_escaped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from sslrun.cli.options import echo_json

    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    with streams():
        echo_json({"label": "½"})
    assert json.loads(written.getvalue()) == {"label": "½"}


def test_without_a_log_there_is_no_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "log.txt").mkdir()
    with console.logging_to(tmp_path / "log.txt"):
        console.say("said")
    assert capsys.readouterr().out == "said\n"
