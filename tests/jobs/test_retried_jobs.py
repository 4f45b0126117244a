"""What a job leaves behind when it dies of something that its caller will try again, or will not."""

import errno
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import SMALL

from sslrun.errors import RunFailed
from sslrun.jobs import identify, places, pretrain_job
from sslrun.networks.group import ALONE
from sslrun.recipe import read_recipe
from sslrun.runs.folder import RunFolder, find
from sslrun.sweeps.worker import _outcome, _pretrain
from sslrun.training.pretrain import Trainer

RECIPE = read_recipe("quickstart", [*SMALL, "evaluation={knn: null, linear: null}"])
PASSING = [MemoryError(), torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("a bug")]


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def step(*_: Any) -> None:
        raise error

    monkeypatch.setattr(Trainer, "step", step)


def run_in(results: Path) -> RunFolder:
    folder = find(results, identify(RECIPE, places(RECIPE, results).data))
    assert folder is not None
    return folder


@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
def test_what_a_sweep_tries_again_is_not_failed_meanwhile(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    failing(monkeypatch, error)
    outcome = _outcome(lambda: _pretrain(RECIPE, places(RECIPE, tmp_path, tmp_path), ALONE))
    assert outcome.kind == ("crashed" if "bug" in str(error) else "memory")
    assert "Traceback" in capfd.readouterr().err  # which is the run's log, in a job's process
    status = run_in(tmp_path).status
    assert (status.state, status.reason, status.finished) == ("running", None, None)


@pytest.mark.parametrize(
    ("error", "told"),
    [(RunFailed("not finite at step 3"), "not finite"), (OSError(28, "No space left on device"), "No space left")],
)
def test_a_designed_error_is_final_under_a_sweep_too(
    error: Exception, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, error)
    assert _outcome(lambda: _pretrain(RECIPE, places(RECIPE, tmp_path, tmp_path), ALONE)).kind == "failed"
    status = run_in(tmp_path).status
    assert status.state == "failed" and told in (status.reason or "")


@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
def test_by_hand_every_failure_is_recorded_at_once(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, error)
    with pytest.raises(type(error)):
        pretrain_job(RECIPE, places(RECIPE, tmp_path, tmp_path))
    folder = run_in(tmp_path)
    assert folder.status.state == "failed" and type(error).__name__ in (folder.status.reason or "")
    assert "Traceback" in folder.log.read_text()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes", "memory"),
        ("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported", "memory"),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", "memory"),
        ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", "memory"),
        ("CUDA error: an illegal memory access was encountered", "crashed"),
    ],
)
def test_memory_that_ran_out_is_known_by_what_libraries_say(text: str, kind: str) -> None:
    def work() -> None:
        raise RuntimeError(text)

    found, said = _outcome(work), f"RuntimeError: {text.splitlines()[0]}"
    assert found.kind == kind
    assert found.reason == said if kind == "memory" else re.fullmatch(rf"\S+\.py:\d+: {said}", found.reason)


@pytest.mark.parametrize(("number", "owned"), [(errno.EACCES, True), (errno.EPERM, True), (errno.ENOSPC, False)])
def test_whose_a_file_is_is_said_where_that_is_the_matter(
    number: int, owned: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, OSError(number, "no", str(tmp_path)))
    with pytest.raises(RunFailed, match=r"(?s)a file can't be read or written: no.*Make room or mend it") as found:
        pretrain_job(RECIPE, places(RECIPE, tmp_path))
    assert (f"{tmp_path} belongs to" in str(found.value)) == owned
