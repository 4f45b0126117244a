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
    alone unless `runs`); what the other commands print against the lines kept of it; and the commands that found no
    run or grid to tell of. Ends as a command ends that fails; without `runs` such a one is passed over."""
    texts, looked, missing = [], [], []
    given = ["--data", str(data)] if data else []
    for command in commands:
        words = list(command.words)
        if words[0] in RUNS and runs:
            console.say(f"sslrun {shlex.join(words)}", style="bold")
            _sslrun([*words, "--results", str(results), *given])
        elif words[0] in REPORTS:
            told = [word for at, word in enumerate(words[1:]) if not (at == 0 and not word.startswith("-"))]
            if (text := _told(["report", str(results), *told, "--format", "markdown"], runs)) is None:
                missing.append(command.said)
            else:
                texts.append(text)
        elif words[0] in LOOKS and command.lines:
            with tempfile.TemporaryDirectory() as drawn:
                own = {"preview": [*given, "--out", f"{drawn}/sheet.png"], "theory": ["--results", str(results)]}
                if (text := _told([*words, *own[words[0]]], runs)) is None:
                    missing.append(command.said)
                else:
                    looked.append(compare_lines(command, text))
    if missing:
        console.error(f"--no-runs looks at what is in {results} alone; without it these would run:")
        console.error("\n".join(f"  {one.said}" for one in commands if one.words[0] in RUNS))
    return "\n".join(texts), looked, missing


def _told(arguments: Sequence[str], runs: bool) -> str | None:
    """What a command prints; none where it finds nothing of its name to tell of and nothing may be run for it."""
    try:
        return _sslrun(arguments, quiet=True)
    except typer.Exit as end:
        if runs or end.exit_code != InputError.exit_code:
            raise
        return None


def _sslrun(arguments: Sequence[str], *, quiet: bool = False) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "sslrun", *arguments],
        stdout=subprocess.PIPE if quiet else None,
        env=os.environ | (_WIDE if quiet else {}),
        text=True,
        check=False,
    )
    if done.returncode:
        raise typer.Exit(done.returncode)
    return done.stdout or ""
