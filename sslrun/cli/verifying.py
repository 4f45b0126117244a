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
from sslrun.report.verifying import LOOKS, REPORTS, RUNS, Asked, Compared, compare_lines

_WIDE = {"COLUMNS": "200", "NO_COLOR": "1"}
"""A line that a page keeps is one line, however wide."""


def printed(commands: Sequence[Asked], results: Path, data: Path | None, *, runs: bool) -> tuple[str, list[Compared]]:
    """The markdown that the reports among `commands` print of `results`, after the runs (found done, or done now; left
    alone unless `runs`), and what the other commands print against the lines kept of it. Ends as a command ends that
    fails."""
    texts, looked = [], []
    given = ["--data", str(data)] if data else []
    for command in commands:
        words = list(command.words)
        if words[0] in RUNS and runs:
            console.say(f"sslrun {shlex.join(words)}", style="bold")
            _sslrun([*words, "--results", str(results), *given])
        elif words[0] in REPORTS:
            told = [word for at, word in enumerate(words[1:]) if not (at == 0 and not word.startswith("-"))]
            try:
                texts.append(_sslrun(["report", str(results), *told, "--format", "markdown"], quiet=True))
            except typer.Exit:
                if not runs:
                    console.error(f"--no-runs looks at what is in {results} alone; without it these would run:")
                    made = [["sslrun", *one.words] for one in commands if one.words[0] in RUNS]
                    console.error("\n".join(f"  {shlex.join(words)}" for words in made))
                raise
        elif words[0] in LOOKS and command.lines:
            with tempfile.TemporaryDirectory() as drawn:
                own = {"preview": [*given, "--out", f"{drawn}/sheet.png"], "theory": ["--results", str(results)]}
                looked.append(compare_lines(command, _sslrun([*words, *own[words[0]]], quiet=True)))
    return "\n".join(texts), looked


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
