"""The commands of a kept table, run again, each as a process of its own: what its reports and looks print."""

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import typer

from sslrun import console
from sslrun.errors import InputError
from sslrun.report.verifying import LOOKS, REPORTS, RUNS, Asked, Compared, compare_lines

_WIDE = {"COLUMNS": "200", "NO_COLOR": "1"}
"""A line that a page keeps is one line, however wide."""


def printed(
    commands: Sequence[Asked], results: Path, data: Path | None, *, runs: bool
) -> tuple[str, list[Compared], list[str]]:
    """The markdown that the reports among `commands` print of `results`, after the runs (found done, or done now; left
    alone unless `runs`); what the other commands print against the lines kept of it; and, without `runs`, the commands
    that found no run or grid to tell of, with the reason. Ends as a command ends that fails otherwise."""
    texts, looked, missing = [], [], []
    given = ["--data", str(data)] if data else []

    def told(command: Asked, arguments: Sequence[str]) -> str | None:
        done = _sslrun(arguments, quiet=True)
        if done.returncode == InputError.exit_code and not runs:
            missing.append(": ".join((command.said, done.stderr.partition("\n")[0])))
            return None
        if done.stderr:
            console.error(done.stderr.rstrip())
        return _whole(done)

    for command in commands:
        words = list(command.words)
        if words[0] in RUNS and runs:
            console.say(f"sslrun {shlex.join(words)}", style="bold")
            _whole(_sslrun([*words, "--results", str(results), *given]))
        elif words[0] in REPORTS:
            options = [word for at, word in enumerate(words[1:]) if not (at == 0 and not word.startswith("-"))]
            text = told(command, ["report", str(results), *options, "--format", "markdown"])
            texts += [] if text is None else [text]
        elif words[0] in LOOKS and command.lines:
            with tempfile.TemporaryDirectory() as drawn:
                own = {"preview": [*given, "--out", f"{drawn}/sheet.png"], "theory": ["--results", str(results)]}
                text = told(command, [*words, *own[words[0]]])
                looked += [] if text is None else [compare_lines(command, text)]
    if missing:
        console.error(f"--no-runs looks at what is in {results} alone; without it these would run:")
        console.error("\n".join(f"  {one.said}" for one in commands if one.words[0] in RUNS))
    return "\n".join(texts), looked, missing


def _sslrun(arguments: Sequence[str], *, quiet: bool = False) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "sslrun", *arguments],
        capture_output=quiet,
        env=os.environ | (_WIDE if quiet else {}),
        text=True,
        check=False,
    )


def _whole(done: "subprocess.CompletedProcess[str]") -> str:
    """What it printed. Ends as it did if it failed."""
    if done.returncode:
        raise typer.Exit(done.returncode)
    return done.stdout or ""
