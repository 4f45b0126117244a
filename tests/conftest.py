"""What the tests share: small settings of the quickstart recipe, and the command line in this process or its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import warm

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command sets it, for what is forked from here too

os.environ.pop("COLUMNS", None)  # pytest-xdist hands its own terminal's on, and fixtures of whole modules would see it

# Begun in the background (`nohup pytest &`), a process ignores these, and so does all that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

LONG = ("slurm/", "test_readme", "jobs/test_several_devices", "sweep/", "training/test_several_processes")
"""Files of few long tests, which come first: at the end one process would be alone with them."""


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Two processes, each with whole files, where pytest-xdist is there; one for a debugger, or by `-n 0`."""
    one_of_them = hasattr(config, "workerinput")
    if config.getoption("numprocesses", 0) is None and not config.getoption("usepdb") and not one_of_them:
        config.option.numprocesses, config.option.dist = 2, "loadfile"
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        path = item.path.relative_to(Path(__file__).parent).as_posix()
        return next((at for at, beginning in enumerate(LONG) if path.startswith(beginning)), len(LONG))

    items.sort(key=place)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSLRUN_RESULTS", "SSLRUN_DATA", "SSLRUN_TRIAL", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def sslrun(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command in this process; gives (exit code, stdout, stderr)."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        from sslrun.cli import main

        before, sys.argv = sys.argv, ["sslrun", *map(str, arguments)]
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        finally:
            sys.argv = before
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def started() -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start a command as a process of its own, without a terminal; what is left of it is killed at the end."""
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: str | Path) -> "subprocess.Popen[str]":
        processes.append(warm.start(*arguments))
        return processes[-1]

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()
