"""The commands of a kept table, run again, each as a process of its own: what its reports print."""

import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from sslrun import console
from sslrun.report.verifying import REPORTS, RUNS


def printed(commands: Sequence[Sequence[str]], results: Path, data: Path | None, *, runs: bool) -> str:
    """The markdown that the reports among `commands` print of `results`, after the runs (found done, or done now; left
    alone unless `runs`). Ends as a command ends that fails."""
    texts = []
    for command in commands:
        if command[0] in RUNS and runs:
            console.say(f"sslrun {' '.join(command)}", style="bold")
            more = ["--results", str(results), *(["--data", str(data)] if data else [])]
            _sslrun([*command, *more])
        elif command[0] in REPORTS:
            told = [word for at, word in enumerate(command[1:]) if not (at == 0 and not word.startswith("-"))]
            try:
                texts.append(_sslrun(["report", str(results), *told, "--format", "markdown"], quiet=True))
            except typer.Exit:
                if not runs:
                    console.error(f"--no-runs looks at what is in {results} alone; without it these would run:")
                    made = [["sslrun", *words] for words in commands if words[0] in RUNS]
                    console.error("\n".join(f"  {shlex.join(words)}" for words in made))
                raise
    return "\n".join(texts)


def _sslrun(arguments: Sequence[str], *, quiet: bool = False) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "sslrun", *arguments], stdout=subprocess.PIPE if quiet else None, text=True, check=False
    )
    if done.returncode:
        raise typer.Exit(done.returncode)
    return done.stdout or ""
