"""What the system refuses a command is told in a line, by the file that was meant, without a stack trace."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny import small

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_text("no folder")
    return path


def test_a_results_folder_that_is_a_file(sslrun: Run, file: Path) -> None:
    for results in (file, file / "inside"):
        code, _, err = sslrun("pretrain", "quickstart", "--results", results, *small())
        assert code == 2
        assert err.startswith(f"{results}: ") and "A folder is needed there" in err and "Traceback" not in err


def test_a_figure_where_a_folder_is(sslrun: Run, tmp_path: Path) -> None:
    code, out, err = sslrun("preview", "quickstart", "--out", tmp_path, "--set", "data.limit=64")
    assert (code, out) == (2, "")
    assert err == f"{tmp_path}: Is a directory\nThat is a folder: name a file.\n"


def test_a_sheet_in_a_format_that_is_not_written(sslrun: Run, tmp_path: Path) -> None:
    code, _, err = sslrun("preview", "quickstart", "--out", tmp_path / "p.svg")
    assert code == 2 and err == f"{tmp_path / 'p.svg'}: a sheet of pictures is written as .png\n--out p.png\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="/proc takes no files, whoever asks")
def test_a_report_where_nothing_can_be_written(sslrun: Run, tmp_path: Path) -> None:
    code, _, err = sslrun("report", tmp_path, "--out", "/proc/report.csv")
    assert (code, err) == (2, "/proc/report.csv: No such file or directory\n")


@pytest.mark.parametrize(
    ("error", "told", "ends"),
    [
        (PermissionError(13, "Permission denied", "/a.csv"), "/a.csv: Permission denied\n/ belongs to root (d", 2),
        (OSError(30, "Read-only file system", "a.csv"), "a.csv: Read-only file system\nName a place where", 2),
        (OSError(28, "No space left on device"), "No space left on device\nMake room", 1),
        (OSError(122, "Disk quota exceeded", "a.csv"), "a.csv: Disk quota exceeded\nMake room", 1),
        (OSError(5, "Input/output error", 3), "Input/output error\n", 2),
    ],
)
def test_what_the_system_says_is_said(
    error: OSError, told: str, ends: int, sslrun: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("sslrun.runs.status.overview", refuse)
    code, _, err = sslrun("status", tmp_path)
    assert code == ends and err.startswith(told) and "Traceback" not in err


@pytest.mark.parametrize("error", [OSError("a bug"), ConnectionRefusedError(111, "Connection refused")])
def test_an_error_about_no_file_shows_its_trace(
    error: OSError, sslrun: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("sslrun.runs.status.overview", refuse)
    with pytest.raises(type(error), match=str(error.args[-1])):
        sslrun("status", tmp_path)


def test_report_says_how_a_folder_is_named(sslrun: Run, tmp_path: Path) -> None:
    code, _, err = sslrun("report", tmp_path / "nope")
    assert (code, err) == (2, f"{tmp_path / 'nope'}: no such results folder\nName one with --results DIR.\n")


@pytest.mark.parametrize("module", ["fcntl", "pwd"])
def test_where_it_does_not_run_it_says_so(module: str) -> None:
    code = f"import sys; sys.modules['{module}'] = None; sys.argv = ['sslrun', 'show', 'quickstart']\n"
    code += "from sslrun.cli import main; main()"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 2 and ended.stdout == ""
    assert ended.stderr.startswith("sslrun runs on Linux and macOS; on Windows,") and "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "during",
    [
        "pass",
        # what libraries make of one while they load
        "raise RuntimeError('Error building validator: KeyboardInterrupt')",
        "raise RecursionError",
    ],
)
def test_an_early_interrupt_is_told_in_a_word(during: str) -> None:
    code = f"""
import os, signal, sys
from sslrun import cli
import sslrun.recipe.reading
def load(*a, **k):
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        {during}
        raise
sslrun.recipe.reading.load = load
sys.argv = ["sslrun", "show", "quickstart"]
cli.main()
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "stopped\n")
